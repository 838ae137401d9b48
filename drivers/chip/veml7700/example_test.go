package veml7700_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/veml7700"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x10, emulator.NewVEML7700(emulator.Steady(800)))

	dev, err := veml7700.New(context.Background(), b, 0x10, veml7700.Options{Device: "balcony"})
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
	// veml7700@i2c-1:0x10: illuminance_lx 800
}
