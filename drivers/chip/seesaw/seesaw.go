// Package seesaw reads the capacitive soil sensor STEMMA 4026 of Adafruit: counts
// that rise with moisture, and the temperature of its chip. The registers and
// their timing are those of its firmware (github.com/adafruit/seesaw); facts and
// traps are in docs/wiring/seesaw.md.
//
// It guarantees that a count is the median of answers to its own questions:
// never an answer that was not there yet (the chip gives FF then), never one
// that was left over from another question. It does not know the soil: without
// a curve there is no percentage. The temperature is that of the chip, which is
// good for two degrees, and not that of the soil.
package seesaw

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

// A Fault is why a count is doubtful. It is an error; errors.Is finds it in what
// Read returns.
type Fault string

// The faults.
const (
	InAir     Fault = "count is that of a sensor in air (is it in the soil?)"
	Saturated Fault = "count is at its end (is the sensor under water, or its electronics wet?)"
)

// Error returns what is wrong and what to look at.
func (f Fault) Error() string { return string(f) }

// State returns the health state of a sensor with this fault.
func (f Fault) State() string {
	if f == Saturated {
		return "saturated"
	}
	return "out_of_calibration"
}

// A Curve turns counts into percent. Records carry its ID.
type Curve interface {
	ID() string
	Percent(counts float64) float64
}

// Options says whose sensor it is and what is normal for it.
type Options struct {
	Device  string // the plant: name of the device in its records
	Channel string // "" for a device with one sensor
	Curve   Curve  // nil: no percentage
	// Air is the count up to which the sensor is taken to hang in the air; 0 is
	// 250, below 0 never. Some boards count 320 there.
	Air int
	// Most is the greatest count that can be; 0 is 1023, that of a firmware
	// whose converter has ten bits. Up to 4095.
	Most int
	// Samples is how many answers are taken for one value, their median; odd; 0
	// is 5.
	Samples int
}

// Dev is one sensor. It is not for several goroutines.
type Dev struct {
	bus  i2c.Bus
	addr uint16
	o    Options
}

// New finds the sensor at addr (0x36 to 0x39) on b. It resets a chip that
// acknowledges and has nothing to say, which takes half a second. Its errors are
// those of package bus: ErrNACK when nothing answers, ErrWrongChip when what
// answers is no soil sensor.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, o: o}
	if addr < 0x36 || addr > 0x39 {
		return nil, fmt.Errorf("%s: address is outside 0x36..0x39", d)
	}
	if err := d.configure(); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.identify(ctx, b) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "seesaw@i2c-1:0x36".
func (d *Dev) String() string { return fmt.Sprintf("seesaw@%s:0x%02x", d.bus, d.addr) }

func (d *Dev) configure() error {
	o := &d.o
	if o.Device == "" {
		return errors.New("sensor has no device")
	}
	o.Air = or(o.Air, 250)
	o.Most = or(o.Most, 1023)
	if o.Most < 1 || o.Most > 4095 {
		return fmt.Errorf("greatest count %d is outside 1..4095", o.Most)
	}
	o.Samples = or(o.Samples, 5)
	if o.Samples < 0 || o.Samples%2 == 0 {
		return fmt.Errorf("number of samples %d is not odd", o.Samples)
	}
	return nil
}

func or(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

// Read returns one reading: the count, the percentage where there is a curve,
// and the temperature of the chip. It takes about 70 ms. What could not be
// measured is absent, and the error says why; a Fault comes together with the
// reading, whose doubtful values are marked suspect.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	var count, celsius float64
	var noCelsius error
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		var err error
		if count, err = d.median(ctx, b, d.count); err != nil {
			return fmt.Errorf("read moisture: %w", err)
		}
		celsius, noCelsius = d.median(ctx, b, d.celsius)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	fault := d.judge(count)
	r := d.moisture(count, fault)
	switch {
	case noCelsius != nil:
		return []reading.Reading{r}, fmt.Errorf("%s: read temperature: %w", d, noCelsius)
	case fault != "":
		err = fmt.Errorf("%s: %.0f counts: %w", d, count, fault)
	}
	r.Values = append(r.Values, reading.Value{Metric: reading.DeviceTemperature, Number: math.Round(celsius*100) / 100})
	return []reading.Reading{r}, err
}

// near the end: users see 1014 and 1015 in water (CircuitPython_seesaw#139).
const endOfScale = 13

func (d *Dev) judge(count float64) Fault {
	switch {
	case count >= float64(d.o.Most-endOfScale):
		return Saturated
	case count <= float64(d.o.Air):
		return InAir
	default:
		return ""
	}
}

// moisture writes down the count. At the end of the scale no percentage is made
// of it; in air the count is right, and only the percentage is doubtful.
func (d *Dev) moisture(count float64, fault Fault) reading.Reading {
	r := reading.Reading{Device: d.o.Device, Channel: d.o.Channel, Source: "seesaw"}
	r.Values = []reading.Value{{Metric: reading.SoilMoistureRaw, Number: count, Suspect: fault == Saturated}}
	if d.o.Curve == nil || fault == Saturated {
		return r
	}
	r.Calibration = d.o.Curve.ID()
	// Whole percents: the sensor earns no more, and a decimal would claim it.
	percent := math.Round(d.o.Curve.Percent(count))
	r.Values = append(r.Values, reading.Value{Metric: reading.SoilMoisture, Number: percent, Suspect: fault != ""})
	return r
}

// median asks several times, as an answer carries no checksum: a byte that got
// lost shows in no other way. An error of the bus ends it; values that cannot be
// are left out, unless they are half of them.
func (d *Dev) median(ctx context.Context, b i2c.Bus, ask func(context.Context, i2c.Bus) (float64, error)) (float64, error) {
	samples := d.o.Samples
	values := make([]float64, 0, samples)
	var rejected error
	for range samples {
		value, err := ask(ctx, b)
		switch {
		case errors.Is(err, bus.ErrImplausible):
			rejected = err
		case err != nil:
			return 0, err
		default:
			values = append(values, value)
		}
	}
	if len(values) <= samples/2 {
		return 0, fmt.Errorf("%d of %d answers are unusable: %w", samples-len(values), samples, rejected)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2], nil
}
