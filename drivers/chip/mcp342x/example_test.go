package mcp342x_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/mcp342x"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x68, emulator.NewMCP342x(emulator.WetSoil()))

	adc, err := mcp342x.New(context.Background(), b, 0x68, mcp342x.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := adc.ReadChannel(context.Background(), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.1f V\n", adc, s.Volts)
	// Output: mcp3424@i2c-1:0x68: 1.4 V
}
