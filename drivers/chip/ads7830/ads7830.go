// Package ads7830 reads the analog-to-digital converter ADS7830 of Texas
// Instruments: eight inputs of eight bits, in volts against ground. Datasheet
// SBAS302; facts and traps are in docs/wiring/ads7830.md.
//
// The chip has no register that says what it is, none that can be read back, and
// no checksum. This package guarantees that a sample was the same in several
// conversions in a row, that the reference had its time to rise, and that a chip
// which answers everything alike is refused. It does not notice every other
// chip at its address, nor what is wired to an input.
package ads7830

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

// internal is the reference inside the chip.
const internal = 2500 * physic.MilliVolt

// Options says how to measure. The zero value uses the reference inside, and
// reaches up to 2.5 V.
type Options struct {
	// Reference is the voltage at the pin REF; 0 is that of 2.5 V inside. A
	// probe on 3.3 V may need REF at 3.3 V.
	Reference physic.ElectricPotential
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
	bus     i2c.Bus
	addr    uint16
	o       Options
	power   byte    // of the command: what stays on
	volt    float64 // volts of one count
	spacing time.Duration
}

// Fields of the command byte, datasheet table 1.
const (
	single       = 0x80 // SD: against ground
	channelShift = 4    // C2 to C0
	converterOn  = 0x04 // PD0
	referenceOn  = 0x08 // PD1
)

// New finds the chip at addr (0x48 to 0x4b) on b. Its errors are those of
// package bus: ErrNACK when nothing answers, ErrWrongChip when the answer does
// not depend on the question.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, o: o}
	if addr < 0x48 || addr > 0x4b {
		return nil, fmt.Errorf("%s: address is outside 0x48..0x4b", d)
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

// String returns the model and where it is, for example "ads7830@i2c-1:0x48".
func (d *Dev) String() string { return fmt.Sprintf("ads7830@%s:0x%02x", d.bus, d.addr) }

func (d *Dev) configure() error {
	d.power = converterOn
	if d.o.Reference == 0 {
		d.power |= referenceOn
	}
	reference := or(d.o.Reference, internal)
	if reference < 50*physic.MilliVolt || reference > 5500*physic.MilliVolt {
		return fmt.Errorf("reference %s is outside 50mV..5.5V", reference)
	}
	d.volt = float64(reference) / float64(physic.Volt) / 256
	d.o.Samples = or(d.o.Samples, 5)
	if d.o.Samples < 0 || d.o.Samples%2 == 0 {
		return fmt.Errorf("number of samples %d is not odd", d.o.Samples)
	}
	d.spacing = or(d.o.Spacing, 24*time.Millisecond)
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

// ReadChannel measures the input CH0 to CH7. It takes about 24 ms a sample. An
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
		case errors.Is(err, bus.ErrImplausible):
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

// median, not mean: a sample of a moment without reference ruins a mean.
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
