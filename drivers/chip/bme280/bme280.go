// Package bme280 reads temperature, pressure and humidity of the air from the
// BME280 of Bosch, and the first two from the BMP280. Datasheets
// BST-BME280-DS002 and BST-BMP280-DS001; wiring and faults are in
// docs/wiring/bme280.md.
//
// It guarantees that a value was measured after it was asked for, with the
// settings that were asked for and with the calibration of the chip that
// measured it: a chip whose power failed forgets its settings and would go on to
// report 71 % where it was 41 % (skylarstein/bme280-sensor#7). It does not know
// whether another program uses the same chip, and it does not reduce the
// pressure to sea level.
package bme280

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

// Model tells the two chips apart.
type Model int

// The models.
const (
	BME280 Model = iota
	BMP280       // without humidity
)

// String returns the name of the model as the configuration writes it.
func (m Model) String() string {
	if m == BMP280 {
		return "bmp280"
	}
	return "bme280"
}

// A Fault is why a value is doubtful although the chip works. It is an error;
// errors.Is finds it in what Read returns.
type Fault string

// Saturated means that the humidity has stood at 100 % for a day: water has
// condensed in the chip, which then may say so for weeks.
const Saturated Fault = "humidity has been at 100 % for a day (is the chip wet?)"

// Error returns what is wrong.
func (f Fault) Error() string { return string(f) }

// State returns the health state of a sensor with this fault.
func (f Fault) State() string { return "saturated" }

// When the humidity counts as saturated.
const (
	saturation    = 99.5
	saturatesFrom = 24 * time.Hour
)

// Options says which chip it is and what it is called in its readings.
type Options struct {
	Model   Model
	Device  string // must be given
	Channel string // "" for a device with one channel
}

// Dev is one chip. It is not for several goroutines.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	options Options
	trim    trim
	raw     [33]byte  // the trim as the chip holds it
	missed  bool      // a transaction failed since the trim was last read
	wetFrom time.Time // since when the humidity is saturated; zero when it is not
}

// New finds the chip at addr (0x76 or 0x77) on b, resets it and reads its
// calibration. Its errors are those of package bus: ErrNACK when nothing answers,
// ErrWrongChip when what answers is another chip, and be it a BMP280 that was
// sold as a BME280.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, options: o}
	if addr != 0x76 && addr != 0x77 {
		return nil, fmt.Errorf("%s: address is neither 0x76 nor 0x77", d)
	}
	if o.Device == "" {
		return nil, fmt.Errorf("%s: no device is named", d)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.setUp(ctx, b) })
	if err != nil {
		return nil, fmt.Errorf("%s: set up: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "bme280@i2c-1:0x76".
func (d *Dev) String() string {
	return fmt.Sprintf("%s@%s:0x%02x", d.options.Model, d.bus, d.addr)
}

// Read measures once. It takes about 15 ms, more on a bad bus. A chip that lost
// its settings since the last time is set up again, and the values come marked
// suspect together with ErrReset.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	var v values
	var doubt error
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		var err error
		v, err = d.measure(ctx, b)
		if !errors.Is(err, bus.ErrReset) {
			return err
		}
		doubt = err
		if err := d.setUp(ctx, b); err != nil {
			return err
		}
		v, err = d.measure(ctx, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return d.reading(v, doubt)
}

func (d *Dev) reading(v values, doubt error) ([]reading.Reading, error) {
	suspect := doubt != nil
	r := reading.Reading{
		Device: d.options.Device, Channel: d.options.Channel, Source: d.options.Model.String(),
		Values: []reading.Value{
			{Metric: reading.Temperature, Number: v.temperature, Suspect: suspect},
			{Metric: reading.Pressure, Number: hundredths(v.pascal / 100), Suspect: suspect},
		},
	}
	if d.options.Model == BME280 {
		if d.saturated(v.humidity) && doubt == nil {
			doubt = Saturated
		}
		r.Values = append(r.Values, reading.Value{
			Metric: reading.Humidity, Number: hundredths(v.humidity), Suspect: doubt != nil,
		})
	}
	if doubt != nil {
		return []reading.Reading{r}, fmt.Errorf("%s: %w", d, doubt)
	}
	return []reading.Reading{r}, nil
}

// saturated tells whether the humidity has been as high as this for a day.
func (d *Dev) saturated(humidity float64) bool {
	if humidity <= saturation {
		d.wetFrom = time.Time{}
		return false
	}
	if d.wetFrom.IsZero() {
		d.wetFrom = time.Now()
	}
	return time.Since(d.wetFrom) >= saturatesFrom
}

// hundredths are what the chip resolves.
func hundredths(x float64) float64 { return math.Round(x*100) / 100 }
