// Package mcp342x reads the analog-to-digital converters MCP3421 to MCP3428 of
// Microchip: one to four inputs of 12 to 18 bits, in volts between plus and
// minus, up to 2.048 V. Datasheets DS22003, DS22088, DS22072 and DS22226; facts
// and traps are in docs/wiring/mcp3424.md.
//
// It guarantees that a sample was converted from the input that was asked for,
// with the settings that were asked for, after it was asked for. It does not
// know what is wired to an input, nor a divider in front of it.
package mcp342x

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Model tells the chips apart. An answer does not say which one it comes from.
type Model int

// The models.
const (
	MCP3424 Model = iota
	MCP3421
	MCP3422
	MCP3423
	MCP3425
	MCP3426
	MCP3427
	MCP3428
)

// String returns the name of the model as the configuration writes it.
func (m Model) String() string {
	switch m {
	case MCP3421, MCP3422, MCP3423:
		return fmt.Sprintf("mcp342%d", m)
	case MCP3425, MCP3426, MCP3427, MCP3428:
		return fmt.Sprintf("mcp342%d", m+1)
	default:
		return "mcp3424"
	}
}

// Channels returns the number of inputs.
func (m Model) Channels() int {
	switch m {
	case MCP3421, MCP3425:
		return 1
	case MCP3424, MCP3428:
		return 4
	default:
		return 2
	}
}

// bits are the greatest number of bits.
func (m Model) bits() int {
	if m >= MCP3425 {
		return 16
	}
	return 18
}

// ranges are the full scales by their code in the configuration.
var ranges = []physic.ElectricPotential{
	2048 * physic.MilliVolt, 1024 * physic.MilliVolt, 512 * physic.MilliVolt, 256 * physic.MilliVolt,
}

// Options says how to measure. The zero value measures with 16 bits up to 2.048
// V.
type Options struct {
	Model Model
	// Range is the full scale; 0 is 2.048 V, the most it can.
	Range physic.ElectricPotential
	// Bits is 12, 14, 16 or, with four of the models, 18; 0 is 16. A conversion
	// takes 4, 17, 67 or 267 ms.
	Bits int
	// Samples is how many are taken for one value, their median; odd; 0 is 5.
	Samples int
	// Spacing is what the time between the starts of two samples is a multiple
	// of; 0 is 24 ms, at which samples meet different phases of 50 and 60 Hz.
	Spacing time.Duration
}

// A Sample is one value of one input.
type Sample struct {
	Raw      int     // median in counts, negative when plus is a little below minus
	Volts    float64 // the same in volts, never below 0
	Spread   float64 // volts between the least and the greatest sample
	Taken    int     // samples taken
	Rejected int     // of these not used
}

// Dev is one chip.
type Dev struct {
	bus      i2c.Bus
	addr     uint16
	o        Options
	settings byte // configuration without input and start
	period   time.Duration
	volt     float64 // volts of one count
	spacing  time.Duration
}

// New finds the chip at addr (0x68 to 0x6f) on b. It changes the chip's settings,
// which ends its continuous conversions. Its errors are those of package bus:
// ErrNACK when nothing answers, ErrWrongChip when what answers does not keep a
// setting, as the clocks do that have the same address.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, o: o}
	if addr < 0x68 || addr > 0x6f {
		return nil, fmt.Errorf("%s: address is outside 0x68..0x6f", d)
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

// String returns the model and where it is, for example "mcp3424@i2c-1:0x68".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s:0x%02x", d.o.Model, d.bus, d.addr) }

func (d *Dev) configure() error {
	if d.o.Model < MCP3424 || d.o.Model > MCP3428 {
		return fmt.Errorf("model %d is not known", int(d.o.Model))
	}
	scale := slices.Index(ranges, or(d.o.Range, ranges[0]))
	if scale < 0 {
		return fmt.Errorf("range %s is none of %v", d.o.Range, ranges)
	}
	d.o.Bits = or(d.o.Bits, 16)
	resolution := slices.Index([]int{12, 14, 16, 18}, d.o.Bits)
	if resolution < 0 || d.o.Bits > d.o.Model.bits() {
		return fmt.Errorf("%d bits are none of 12, 14, 16 to %d", d.o.Bits, d.o.Model.bits())
	}
	d.o.Samples = or(d.o.Samples, 5)
	if d.o.Samples < 0 || d.o.Samples%2 == 0 {
		return fmt.Errorf("number of samples %d is not odd", d.o.Samples)
	}
	d.spacing = or(d.o.Spacing, 24*time.Millisecond)
	if d.spacing < 0 {
		return fmt.Errorf("spacing %v is negative", d.spacing)
	}
	d.settings = byte(resolution<<resolutionShift | scale)
	d.period = time.Second / 240 << (2 * resolution)
	d.volt = float64(ranges[scale]) / float64(physic.Volt) / float64(int(1)<<(d.o.Bits-1))
	return nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// ReadChannel measures an input, from 0. It takes a conversion and a little more
// for each sample. An error of the bus ends it; samples that cannot be right are
// left out, and only when less than half of them remain it returns
// ErrImplausible or ErrReset.
func (d *Dev) ReadChannel(ctx context.Context, channel int) (Sample, error) {
	if channel < 0 || channel >= d.o.Model.Channels() {
		return Sample{}, fmt.Errorf("%s: channel %d is outside 0..%d", d, channel, d.o.Model.Channels()-1)
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
	codes := make([]int, 0, d.o.Samples)
	var rejected error
	for i := range d.o.Samples {
		if i > 0 {
			if err := bus.Sleep(ctx, d.spacing-time.Since(start)%d.spacing); err != nil {
				return Sample{}, err
			}
		}
		code, err := d.sample(ctx, b, channel)
		switch {
		case errors.Is(err, bus.ErrImplausible), errors.Is(err, bus.ErrReset):
			rejected = err
		case err != nil:
			return Sample{}, err
		default:
			codes = append(codes, code)
		}
	}
	if len(codes) <= d.o.Samples/2 {
		return Sample{}, fmt.Errorf("%d of %d samples are unusable: %w", d.o.Samples-len(codes), d.o.Samples, rejected)
	}
	return d.median(codes), nil
}

// median, not mean: one outlier ruins a mean.
func (d *Dev) median(codes []int) Sample {
	slices.Sort(codes)
	last := len(codes) - 1
	middle := codes[last/2]
	return Sample{
		Raw:      middle,
		Volts:    max(0, float64(middle)*d.volt),
		Spread:   float64(codes[last]-codes[0]) * d.volt,
		Taken:    d.o.Samples,
		Rejected: d.o.Samples - len(codes),
	}
}
