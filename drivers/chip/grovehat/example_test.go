package grovehat_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/grovehat"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x04, emulator.NewGroveHAT(emulator.WetSoil()))

	adc, err := grovehat.New(context.Background(), b, 0x04, grovehat.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := adc.ReadChannel(context.Background(), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.1f V\n", adc, s.Volts)
	// Output: grovehat@i2c-1:0x04: 1.4 V
}
