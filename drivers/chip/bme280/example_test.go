package bme280_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/bme280"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x76, emulator.NewBME280(emulator.Steady(21.5), emulator.Steady(48), emulator.Steady(1009)))

	dev, err := bme280.New(context.Background(), b, 0x76, bme280.Options{Device: "balcony"})
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
	// bme280@i2c-1:0x76: temperature_c 22
	// bme280@i2c-1:0x76: pressure_hpa 1009
	// bme280@i2c-1:0x76: humidity_pct 48
}
