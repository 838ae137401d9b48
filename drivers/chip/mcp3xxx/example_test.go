package mcp3xxx_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/mcp3xxx"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the port comes from periph.io/x/host/v3/sysfs.
func Example() {
	port := &emulator.SPI{Name: "spi0.0"}
	port.Attach(emulator.NewMCP3008(emulator.WetSoil()))

	conn, err := port.Connect(mcp3xxx.MaxSpeed, mcp3xxx.Mode, 8)
	if err != nil {
		log.Fatal(err)
	}
	adc, err := mcp3xxx.New(context.Background(), conn, mcp3xxx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := adc.ReadChannel(context.Background(), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d counts, %.2f V\n", adc, s.Raw, s.Volts)
	// Output: mcp3008@spi0.0: 434 counts, 1.40 V
}
