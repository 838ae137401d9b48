package chirp_test

import (
	"context"
	"fmt"
	"log"

	"github.com/plantgate/plantgate/drivers/chip/chirp"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// On a board the bus comes from bus.Open("/dev/i2c-1"), shared by bus.Share.
func Example() {
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(0x20, emulator.NewChirp(emulator.Steady(455), emulator.Steady(24.4)))

	sensor, err := chirp.New(context.Background(), b, 0x20, chirp.Options{Device: "basil"})
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
	// soil_moisture_raw 455
	// temperature_c 24.4
}
