// Package grovehat reads the converter on the Grove Base HAT of Seeed for the
// Raspberry Pi and the Zero: eight inputs of 12 bits, in volts against ground.
// The registers are those of grove.py; facts and traps are in
// docs/wiring/grovehat.md.
//
// The HAT tells an input in counts, in millivolts and as a part of its supply.
// This package guarantees that the three agree for every sample, as a register
// has no checksum. Its volts are the counts times the supply that it measures,
// so that they follow the supply as a probe without a regulator does. It does
// not know what is wired to an input, and an open one wanders.
package grovehat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Options says how to measure. The zero value is right for a soil probe.
type Options struct {
	// Samples is how many are taken for one value, their median; odd; 0 is 5.
	Samples int
	// Spacing is the time from the start of one sample to that of the next; 0 is
	// 24 ms, at which five samples meet different phases of both 50 and 60 Hz.
	Spacing time.Duration
}

// A Sample is one value of one input.
type Sample struct {
	Raw      int     // median in counts
	Volts    float64 // the same in volts
	Spread   float64 // volts between the least and the greatest sample
	Taken    int     // samples taken
	Rejected int     // of these not used
}

// Dev is one HAT.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	samples int
	spacing time.Duration
}

// The HAT was sold with either address: 0x08 from 2022 to the end of 2024, and
// 0x04 before and after (Seeed-Studio/grove.py#64).
const (
	usualAddress = 0x04
	otherAddress = 0x08
)

// New finds the HAT at addr on b, and where it is not there and addr is 0x04 or
// 0x08, at the other of these two; String says where it was found. Its errors
// are those of package bus: ErrNACK when nothing answers, ErrWrongChip when what
// answers is no HAT.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr}
	if addr < 0x03 || addr > 0x77 {
		return nil, fmt.Errorf("%s: address is outside 0x03..0x77", d)
	}
	if err := d.configure(o); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	err := d.find(ctx)
	if errors.Is(err, bus.ErrNACK) || errors.Is(err, bus.ErrWrongChip) {
		other := &Dev{bus: b, addr: usualAddress ^ otherAddress ^ addr, samples: d.samples, spacing: d.spacing}
		if (addr == usualAddress || addr == otherAddress) && other.find(ctx) == nil {
			return other, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "grovehat@i2c-1:0x04".
func (d *Dev) String() string { return fmt.Sprintf("grovehat@%s:0x%02x", d.bus, d.addr) }

func (d *Dev) configure(o Options) error {
	d.samples = or(o.Samples, 5)
	if d.samples < 0 || d.samples%2 == 0 {
		return fmt.Errorf("number of samples %d is not odd", d.samples)
	}
	d.spacing = or(o.Spacing, 24*time.Millisecond)
	if d.spacing < 0 {
		return fmt.Errorf("spacing %v is negative", d.spacing)
	}
	return nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func (d *Dev) find(ctx context.Context) error {
	return bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error { return d.identify(ctx, b) })
}

// ReadChannel measures the input A0 to A7. It takes about 24 ms a sample. An
// error of the bus ends it at once; samples that cannot be right are left out,
// and only when less than half of them remain it returns ErrImplausible.
func (d *Dev) ReadChannel(ctx context.Context, channel int) (Sample, error) {
	if channel < 0 || channel > 7 {
		return Sample{}, fmt.Errorf("%s: channel %d is outside 0..7", d, channel)
	}
	var s Sample
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		var err error
		s, err = d.measure(ctx, b, channel)
		return err
	})
	if err != nil {
		return Sample{}, fmt.Errorf("%s: channel %d: %w", d, channel, err)
	}
	return s, nil
}

func (d *Dev) measure(ctx context.Context, b i2c.Bus, channel int) (Sample, error) {
	start := time.Now()
	points := make([]point, 0, d.samples)
	var rejected error
	for i := range d.samples {
		if i > 0 {
			if err := bus.Sleep(ctx, d.spacing-time.Since(start)%d.spacing); err != nil {
				return Sample{}, err
			}
		}
		p, err := d.sample(ctx, b, channel)
		switch {
		case errors.Is(err, bus.ErrImplausible):
			rejected = err
		case err != nil:
			return Sample{}, err
		default:
			points = append(points, p)
		}
	}
	if len(points) <= d.samples/2 {
		return Sample{}, fmt.Errorf("%d of %d samples are unusable: %w", d.samples-len(points), d.samples, rejected)
	}
	return d.median(points), nil
}

// A point is one sample: counts, and volts by the supply of that moment.
type point struct {
	raw   int
	volts float64
}

// median, not mean: one outlier ruins a mean.
func (d *Dev) median(points []point) Sample {
	slices.SortFunc(points, func(a, b point) int {
		switch {
		case a.volts < b.volts:
			return -1
		case a.volts > b.volts:
			return 1
		default:
			return a.raw - b.raw
		}
	})
	last := len(points) - 1
	return Sample{
		Raw:      points[last/2].raw,
		Volts:    points[last/2].volts,
		Spread:   points[last].volts - points[0].volts,
		Taken:    d.samples,
		Rejected: d.samples - len(points),
	}
}
