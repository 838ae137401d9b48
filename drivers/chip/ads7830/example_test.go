package ads7830_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/ads7830"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x48, emulator.NewADS7830(emulator.WetSoil()))

	adc, err := ads7830.New(context.Background(), b, 0x48, ads7830.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := adc.ReadChannel(context.Background(), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.1f V\n", adc, s.Volts)
	// Output: ads7830@i2c-1:0x48: 1.4 V
}
