package sht4x_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/sht4x"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x44, emulator.NewSHT4x(emulator.Steady(21.5), emulator.Steady(48)))

	dev, err := sht4x.New(context.Background(), b, 0x44, sht4x.Options{Device: "balcony"})
	if err != nil {
		log.Fatal(err)
	}
	readings, err := dev.Read(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range readings[0].Values {
		fmt.Printf("%s: %s %.0f\n", dev, v.Metric, v.Number)
	}
	// Output:
	// sht4x@i2c-1:0x44: temperature_c 22
	// sht4x@i2c-1:0x44: humidity_pct 48
}
