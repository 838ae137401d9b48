package ads1x15_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x48, emulator.NewADS1115(emulator.WetSoil()))

	adc, err := ads1x15.New(context.Background(), b, 0x48, ads1x15.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := adc.ReadChannel(context.Background(), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d counts, %.2f V\n", adc, s.Raw, s.Volts)
	// Output: ads1115@i2c-1:0x48: 11200 counts, 1.40 V
}
