package bh1750_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/bh1750"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x23, emulator.NewBH1750(emulator.Steady(800)))

	dev, err := bh1750.New(context.Background(), b, 0x23, bh1750.Options{Device: "balcony"})
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
	// bh1750@i2c-1:0x23: illuminance_lx 800
}
