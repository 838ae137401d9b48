package seesaw_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/seesaw"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x36, emulator.NewSeesaw(emulator.Steady(612), emulator.Steady(22.5)))

	sensor, err := seesaw.New(context.Background(), b, 0x36, seesaw.Options{Device: "basil"})
	if err != nil {
		log.Fatal(err)
	}
	readings, err := sensor.Read(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range readings[0].Values {
		fmt.Println(v.Metric, v.Number)
	}
	// Output:
	// soil_moisture_raw 612
	// device_temperature_c 22.5
}
