// Package mcp3xxx reads the analog-to-digital converters MCP3002, MCP3004,
// MCP3008 (10 bit), MCP3204 and MCP3208 (12 bit) of Microchip over SPI: two to
// eight inputs, in volts. Datasheets DS21294, DS21295 and DS21298; facts and
// traps are in docs/wiring/mcp3008.md.
//
// SPI has neither address nor acknowledge, so an absent chip does not show as an
// error of the bus. The chip gives every result twice, forwards and backwards;
// this package guarantees that a sample was the same both times, and that an
// answer of nothing but ones, or of zeros at every input, is taken for a chip
// that is not there. A chip without any voltage at its inputs therefore looks
// like none. It does not know what is wired to an input.
package mcp3xxx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// How to connect a port: Connect(MaxSpeed, Mode, 8). All models do this much at
// 3.3 V; the datasheets give 1.35 MHz for the ten bit models at 2.7 V, and 1 MHz
// for the others.
const (
	MaxSpeed = physic.MegaHertz
	Mode     = spi.Mode0
)

// Model tells the chips apart. An answer does not say which one it comes from.
type Model int

// The models.
const (
	MCP3008 Model = iota
	MCP3002
	MCP3004
	MCP3204
	MCP3208
)

// A layout is what differs between the models.
type layout struct {
	name         string
	bits, inputs int
	command      int // bits behind the start bit
	sampling     int // clocks between the command and the null bit
}

func (m Model) layout() layout {
	switch m {
	case MCP3002:
		return layout{"mcp3002", 10, 2, 3, 0}
	case MCP3004:
		return layout{"mcp3004", 10, 4, 4, 1}
	case MCP3204:
		return layout{"mcp3204", 12, 4, 4, 1}
	case MCP3208:
		return layout{"mcp3208", 12, 8, 4, 1}
	default:
		return layout{"mcp3008", 10, 8, 4, 1}
	}
}

// String returns the name of the model as the configuration writes it.
func (m Model) String() string { return m.layout().name }

// Channels returns the number of inputs.
func (m Model) Channels() int { return m.layout().inputs }

// Framing is where in the bytes the start bit is. The chip does not mind.
type Framing int

// The framings.
const (
	// Aligned puts zeros before the start bit, so that the result ends with a
	// byte: the datasheet's, and that of ESPHome.
	Aligned Framing = iota
	// StartFirst begins with the start bit: that of Adafruit's libraries.
	StartFirst
)

// Options says how to measure. The zero value is right for an MCP3008 whose
// reference is the supply of 3.3 V.
type Options struct {
	Model Model
	// Reference is the voltage at VREF, on an MCP3002 at VDD; 0 is 3.3 V.
	Reference physic.ElectricPotential
	Framing   Framing
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

// Dev is one chip.
type Dev struct {
	conn    spi.Conn
	o       Options
	layout  layout
	lead    int     // zeros before the start bit
	length  int     // bytes of a transfer
	volt    float64 // volts of one count
	spacing time.Duration
}

// New finds the chip behind c. Its errors are those of package bus; ErrNACK when
// nothing there drives MISO, or every input is at 0 V.
func New(ctx context.Context, c spi.Conn, o Options) (*Dev, error) {
	d := &Dev{conn: c, o: o}
	if err := d.configure(); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	if err := d.present(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "mcp3008@spi0.0".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s", d.o.Model, d.conn) }

func (d *Dev) configure() error {
	if d.o.Model < MCP3008 || d.o.Model > MCP3208 {
		return fmt.Errorf("model %d is not known", int(d.o.Model))
	}
	d.layout = d.o.Model.layout()
	d.o.Reference = or(d.o.Reference, 3300*physic.MilliVolt)
	if d.o.Reference < 250*physic.MilliVolt || d.o.Reference > 5500*physic.MilliVolt {
		return fmt.Errorf("reference %s is outside 250mV..5.5V", d.o.Reference)
	}
	d.o.Samples = or(d.o.Samples, 5)
	if d.o.Samples < 0 || d.o.Samples%2 == 0 {
		return fmt.Errorf("number of samples %d is not odd", d.o.Samples)
	}
	d.spacing = or(d.o.Spacing, 24*time.Millisecond)
	if d.spacing < 0 {
		return fmt.Errorf("spacing %v is negative", d.spacing)
	}
	d.volt = float64(d.o.Reference) / float64(physic.Volt) / float64(int(1)<<d.layout.bits)
	until := d.nullBit() + d.layout.bits // of the result, from the start bit on
	if d.o.Framing == Aligned {
		d.lead = 7 - until%8
	}
	d.length = (d.lead + until + d.layout.bits + 7) / 8
	return nil
}

// nullBit is where the answer begins, from the start bit on.
func (d *Dev) nullBit() int { return 1 + d.layout.command + d.layout.sampling }

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// ReadChannel measures an input, from 0. It takes about 24 ms a sample. An error
// of the bus ends it at once; samples whose two copies differ are left out, and
// only when less than half of them remain it returns ErrCRC.
func (d *Dev) ReadChannel(ctx context.Context, channel int) (Sample, error) {
	if channel < 0 || channel >= d.layout.inputs {
		return Sample{}, fmt.Errorf("%s: channel %d is outside 0..%d", d, channel, d.layout.inputs-1)
	}
	s, err := d.measure(ctx, channel)
	if err == nil && s.Raw == 0 {
		err = d.present(ctx)
	}
	if err != nil {
		return Sample{}, fmt.Errorf("%s: channel %d: %w", d, channel, err)
	}
	return s, nil
}

func (d *Dev) measure(ctx context.Context, channel int) (Sample, error) {
	start := time.Now()
	codes := make([]int, 0, d.o.Samples)
	var rejected error
	for i := range d.o.Samples {
		if i > 0 {
			if err := bus.Sleep(ctx, d.spacing-time.Since(start)%d.spacing); err != nil {
				return Sample{}, err
			}
		}
		code, err := d.sample(ctx, channel)
		switch {
		case errors.Is(err, bus.ErrCRC):
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

// median, not mean: a bit of the command that gets lost gives another input's
// value, and one of those ruins a mean.
func (d *Dev) median(codes []int) Sample {
	slices.Sort(codes)
	last := len(codes) - 1
	middle := codes[last/2]
	return Sample{
		Raw:      middle,
		Volts:    float64(middle) * d.volt,
		Spread:   float64(codes[last]-codes[0]) * d.volt,
		Taken:    d.o.Samples,
		Rejected: d.o.Samples - len(codes),
	}
}
