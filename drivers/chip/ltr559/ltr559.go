// Package ltr559 reads the light sensor LTR-559ALS-01 of Lite-On, in lux: the one
// on Pimoroni's Grow HAT. Datasheet version 1.1; wiring and faults are in
// docs/wiring/ltr559.md.
//
// It guarantees that a value was measured after it was asked for, with the range
// that was asked for, twice alike; the chip's name is read in front of the
// values. Its proximity sensor is switched off. It does not know the window above
// the chip, and light that changes by more than a third within some 0.3 s gives no
// value.
package ltr559

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

// Options says what the chip is called in its readings.
type Options struct {
	Device  string // must be given
	Channel string // "" for a device with one channel
}

// Dev is one chip.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	options Options
}

// source is what the readings call the chip, and the configuration too.
const source = "ltr559"

// A Fault is why a chip that works gives no value. It is an error; errors.Is
// finds it in what Read returns.
type Fault string

// Saturated means that there is more light than the chip can measure.
const Saturated Fault = "sensor is saturated (give it shade or a diffuser)"

// Error returns what is wrong.
func (f Fault) Error() string { return string(f) }

// State returns the health state of a sensor with this fault.
func (f Fault) State() string { return "saturated" }

// New finds the chip at addr (0x23) on b and resets it. Its errors are those of
// package bus: ErrNACK when nothing answers, ErrWrongChip when what answers does
// not name itself; a BH1750 has the same address.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, options: o}
	if addr != 0x23 {
		return nil, fmt.Errorf("%s: address is not 0x23", d)
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

// String returns the model and where it is, for example "ltr559@i2c-1:0x23".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s:0x%02x", source, d.bus, d.addr) }

// Read measures until two ranges agree. It takes about 0.2 s, in dim light 0.4 s.
// A chip that lost its settings is set up again: then the value comes marked
// suspect together with ErrReset.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	var lux float64
	var doubt error
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		var err error
		lux, err = d.measure(ctx, b)
		if !errors.Is(err, bus.ErrReset) {
			return err
		}
		doubt = err
		if err := d.setUp(ctx, b); err != nil {
			return err
		}
		lux, err = d.measure(ctx, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: measure: %w", d, err)
	}
	r := []reading.Reading{{
		Device: d.options.Device, Channel: d.options.Channel, Source: source,
		Values: []reading.Value{{Metric: reading.Illuminance, Number: math.Round(lux*100) / 100, Suspect: doubt != nil}},
	}}
	if doubt != nil {
		return r, fmt.Errorf("%s: %w", d, doubt)
	}
	return r, nil
}
