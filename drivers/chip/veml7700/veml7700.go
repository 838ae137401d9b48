// Package veml7700 reads the light sensor VEML7700 of Vishay, in lux. Datasheet
// 84286 and application note 84323; wiring and faults are in
// docs/wiring/veml7700.md.
//
// The chip has no ready bit and its results carry no checksum: its settings are
// read back before and after each measurement, and the light is measured with
// different ranges until two of them agree.
//
// It guarantees that a value was measured after it was asked for, with the range
// that was asked for. It does not know the cover above the chip, and light that
// changes by more than a third within some 0.3 s gives no value.
package veml7700

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
const source = "veml7700"

// A Fault is why a chip that works gives no value. It is an error; errors.Is
// finds it in what Read returns.
type Fault string

// Saturated means that there is more light than the chip can measure.
const Saturated Fault = "sensor is saturated (give it shade or a diffuser)"

// Error returns what is wrong.
func (f Fault) Error() string { return string(f) }

// State returns the health state of a sensor with this fault.
func (f Fault) State() string { return "saturated" }

// New finds the chip at addr (0x10) on b. Its errors are those of package bus:
// ErrNACK when nothing answers, ErrWrongChip when what answers does not keep a
// setting.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, options: o}
	if addr != 0x10 {
		return nil, fmt.Errorf("%s: address is not 0x10", d)
	}
	if o.Device == "" {
		return nil, fmt.Errorf("%s: no device is named", d)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.setUp(ctx, b) })
	if errors.Is(err, bus.ErrReset) || errors.Is(err, bus.ErrImplausible) {
		err = fmt.Errorf("%w: %w", bus.ErrWrongChip, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: set up: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "veml7700@i2c-1:0x10".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s:0x%02x", source, d.bus, d.addr) }

// Read measures until two ranges agree. It takes about 0.3 s, in dim light 0.9 s.
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
