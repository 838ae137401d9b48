package pcf8591_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/pcf8591"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x48, emulator.NewPCF8591(emulator.WetSoil()))

	adc, err := pcf8591.New(context.Background(), b, 0x48, pcf8591.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := adc.ReadChannel(context.Background(), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.1f V\n", adc, s.Volts)
	// Output: pcf8591@i2c-1:0x48: 1.4 V
}
