// Package aht20 reads temperature and humidity of the air from the AHT20 of
// Aosong, whose values have a checksum, and from its predecessor AHT10, whose have
// none. Datasheets AHT20 (A0) and AHT10 (A3); wiring and faults are in
// docs/wiring/aht20.md.
//
// It guarantees that a value was measured after it was asked for, and was either
// checked or read twice alike. It does not know how much the chip warms itself
// when it is read more often than every two seconds.
package aht20

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

// Model tells the two chips apart.
type Model int

// The models.
const (
	AHT20 Model = iota
	AHT10       // no checksum, another command to initialise it
)

// String returns the name of the model as the configuration writes it.
func (m Model) String() string {
	if m == AHT10 {
		return "aht10"
	}
	return "aht20"
}

// Options says which chip it is and what it is called in its readings.
type Options struct {
	Model   Model
	Device  string // must be given
	Channel string // "" for a device with one channel
}

// Dev is one chip.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	options Options
}

// New finds the chip at addr (0x38; an AHT10 may have 0x39) on b, initialises it
// and measures once, as that alone shows what it is. Its errors are those of
// package bus: ErrNACK when nothing answers, ErrWrongChip when what answers has
// another status or a wrong checksum. A seesaw soil sensor may be at 0x38 too.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, options: o}
	if addr != 0x38 && (addr != 0x39 || o.Model != AHT10) {
		return nil, fmt.Errorf("%s: address is not 0x38 (or 0x39 of an AHT10)", d)
	}
	if o.Device == "" {
		return nil, fmt.Errorf("%s: no device is named", d)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.identify(ctx, b) })
	if err != nil {
		return nil, fmt.Errorf("%s: set up: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "aht20@i2c-1:0x38".
func (d *Dev) String() string {
	return fmt.Sprintf("%s@%s:0x%02x", d.options.Model, d.bus, d.addr)
}

// identify takes a chip that cannot be measured with for another one.
func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	if err := d.initialise(ctx, b); err != nil {
		return err
	}
	_, err := d.measure(ctx, b)
	switch {
	case errors.Is(err, bus.ErrCRC):
		return fmt.Errorf("%w (an AHT10?): %w", bus.ErrWrongChip, err)
	case errors.Is(err, bus.ErrNotReady), errors.Is(err, bus.ErrImplausible), errors.Is(err, bus.ErrReset):
		return fmt.Errorf("%w: %w", bus.ErrWrongChip, err)
	default:
		return err
	}
}

// Read measures once. It takes about 80 ms, more on a bad bus. When the chip had
// lost its calibration since the last time, it is initialised again, and the
// values come marked suspect together with ErrReset.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	var v codes
	var doubt error
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		var err error
		v, err = d.measure(ctx, b)
		if !errors.Is(err, bus.ErrReset) {
			return err
		}
		doubt = err
		if err := d.initialise(ctx, b); err != nil {
			return err
		}
		v, err = d.measure(ctx, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: measure: %w", d, err)
	}
	r := []reading.Reading{{
		Device: d.options.Device, Channel: d.options.Channel, Source: d.options.Model.String(),
		Values: []reading.Value{
			{Metric: reading.Temperature, Number: hundredths(v.temperature()), Suspect: doubt != nil},
			{Metric: reading.Humidity, Number: hundredths(v.percent()), Suspect: doubt != nil},
		},
	}}
	if doubt != nil {
		return r, fmt.Errorf("%s: %w", d, doubt)
	}
	return r, nil
}

// codes are two numbers of 20 bits.
type codes struct{ humidity, warmth uint32 }

// percent and temperature are the formulas of the datasheet's section 6.
func (c codes) percent() float64     { return float64(c.humidity) * 100 / (1 << 20) }
func (c codes) temperature() float64 { return float64(c.warmth)*200/(1<<20) - 50 }

// check holds the codes against what can be. A humidity of exactly 0 is none: the
// chip gives it at times, and after a start (ESPHome asks again then).
func (c codes) check() error {
	if c.humidity == 0 {
		return fmt.Errorf("humidity is 0: %w", bus.ErrImplausible)
	}
	if t := c.temperature(); t < -40 || t > 100 {
		return fmt.Errorf("temperature %.2f is outside -40..100: %w", t, bus.ErrImplausible)
	}
	return nil
}

// hundredths are what the chip resolves.
func hundredths(x float64) float64 { return math.Round(x*100) / 100 }
