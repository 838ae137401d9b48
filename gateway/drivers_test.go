package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/gateway/internal/config"
)

// A chip that the configuration accepts and the table opens as another one would
// be found on the bus only, with the soldering iron in hand: each entry is opened
// on what its datasheet says.
func TestEachChipOfTheTableReadsItsOwn(t *testing.T) {
	steady := func(v float64) func(time.Time) float64 { return func(time.Time) float64 { return v } }
	for name, emulated := range map[string]emulator.Chip{
		"ads7830": emulator.NewADS7830(steady(1.2)), "pcf8591": emulator.NewPCF8591(steady(1.2)), "mcp3424": emulator.NewMCP342x(steady(1.2)),
		"sht3x": emulator.NewSHT3x(steady(21), steady(50)), "sht4x": emulator.NewSHT4x(steady(21), steady(50)),
		"aht20": emulator.NewAHT20(steady(21), steady(50)), "bh1750": emulator.NewBH1750(steady(400)),
		"veml7700": emulator.NewVEML7700(steady(400)), "ltr559": emulator.NewLTR559(steady(400)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, ok := drivers()[name]
				if !ok {
					t.Fatal("not in the table")
				}
				b := new(emulator.Bus)
				b.Attach(d.limits.Usual, emulated)
				time.Sleep(5 * time.Second) // it was powered long ago
				sensor, err := d.open(t.Context(), b, config.Sensor{Name: "balcony", Chip: name, Address: d.limits.Usual})
				if err != nil {
					t.Fatal(err)
				}
				got, err := sensor.Read(t.Context())
				if err != nil || len(got) == 0 || got[0].Device != "balcony" || len(got[0].Values) == 0 {
					t.Errorf("read %+v, %v", got, err)
				}
			})
		})
	}
}
