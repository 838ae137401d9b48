// Package ads1x15 reads the analog-to-digital converters ADS1115 (16 bit) and
// ADS1015 (12 bit) of Texas Instruments: four inputs, in volts against ground.
// Datasheets SBAS444 and SBAS473; facts and traps are in docs/wiring/ads1115.md.
//
// It guarantees that a sample was converted from the input that was asked for,
// with the range and rate that were asked for, after it was asked for, as long as
// no other program starts conversions of the same chip; where one does, a wrong
// sample is noticed or, in a window of half a millisecond, outvoted by the
// others. It does not know what is wired to an input.
package ads1x15

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

// Model tells the two chips apart. They have the same registers; an answer does
// not say which one it comes from.
type Model int

// The models.
const (
	ADS1115 Model = iota
	ADS1015
)

// String returns the name of the model as the configuration writes it.
func (m Model) String() string {
	if m == ADS1015 {
		return "ads1015"
	}
	return "ads1115"
}

// rates are the samples per second by their code in the config register.
func (m Model) rates() []int {
	if m == ADS1015 {
		return []int{128, 250, 490, 920, 1600, 2400, 3300}
	}
	return []int{8, 16, 32, 64, 128, 250, 475, 860}
}

// ranges are the full scales by their code in the config register.
var ranges = []physic.ElectricPotential{
	6144 * physic.MilliVolt, 4096 * physic.MilliVolt, 2048 * physic.MilliVolt,
	1024 * physic.MilliVolt, 512 * physic.MilliVolt, 256 * physic.MilliVolt,
}

// Options says how to measure. The zero value is right for a soil probe on
// 3.3 V.
type Options struct {
	Model Model
	// Range is the full scale; 0 is 4.096 V. No range allows more at an input
	// than the chip's supply plus 0.3 V.
	Range physic.ElectricPotential
	// Rate is in samples per second; 0 is 128. 8 is best against mains hum.
	Rate int
	// Samples is how many are taken for one value, their median; odd; 0 is 5.
	Samples int
	// Spacing is the time from the start of one sample to that of the next; 0 is
	// 24 ms. At 24 ms five samples meet different phases of both 50 and 60 Hz;
	// at 20 ms they would meet the same phase of 50 Hz five times.
	Spacing time.Duration
}

// A Sample is one value of one input.
type Sample struct {
	Raw      int     // median in counts, negative when the input is a little below ground
	Volts    float64 // the same in volts, never below 0
	Spread   float64 // volts between the least and the greatest sample
	Taken    int     // samples taken
	Rejected int     // of these not used
}

// Dev is one chip.
type Dev struct {
	bus      i2c.Bus
	addr     uint16
	model    Model
	rate     int
	samples  int
	spacing  time.Duration
	settings uint16  // config register without input and start
	volt     float64 // volts of one count
}

// Fields of the config register, datasheet section 9.6.3.
const (
	registerConversion = 0x00
	registerConfig     = 0x01

	operational   = 0x8000 // OS: written, starts; read, the chip is idle
	inputShift    = 12     // MUX
	firstInput    = 0x4    // AIN0 against ground
	rangeShift    = 9      // PGA
	singleShot    = 0x0100 // MODE
	rateShift     = 5      // DR
	comparatorOff = 0x0003 // COMP_QUE
)

// New finds the chip at addr (0x48 to 0x4b) on b. It changes the chip's settings,
// which ends a continuous mode that another program left behind. Its errors are
// those of package bus: ErrNACK when nothing answers, ErrWrongChip when what
// answers does not keep a setting.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, model: o.Model}
	if addr < 0x48 || addr > 0x4b {
		return nil, fmt.Errorf("%s: address is outside 0x48..0x4b", d)
	}
	if err := d.configure(o); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.identify(ctx, b) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "ads1115@i2c-1:0x48".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s:0x%02x", d.model, d.bus, d.addr) }

func (d *Dev) configure(o Options) error {
	scale := slices.Index(ranges, or(o.Range, 4096*physic.MilliVolt))
	if scale < 0 {
		return fmt.Errorf("range %s is none of %v", o.Range, ranges)
	}
	d.rate = or(o.Rate, 128)
	rate := slices.Index(o.Model.rates(), d.rate)
	if rate < 0 {
		return fmt.Errorf("rate %d is none of %v", d.rate, o.Model.rates())
	}
	d.samples = or(o.Samples, 5)
	if d.samples < 0 || d.samples%2 == 0 {
		return fmt.Errorf("number of samples %d is not odd", d.samples)
	}
	d.spacing = or(o.Spacing, 24*time.Millisecond)
	if d.spacing < 0 {
		return fmt.Errorf("spacing %v is negative", d.spacing)
	}
	d.settings = uint16(scale)<<rangeShift | singleShot | uint16(rate)<<rateShift | comparatorOff
	// The ADS1015 puts its twelve bits to the left of the register, so that one
	// count is the same.
	d.volt = float64(ranges[scale]) / float64(physic.Volt) / 32768
	return nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// identify writes the settings without a start and looks whether they are kept.
func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	want := d.config(0)
	var got uint16
	for range tries { // a write can be lost without an error
		if err := d.write(ctx, b, want); err != nil {
			return err
		}
		var err error
		if got, err = d.agreed(ctx, b, registerConfig); err != nil {
			return err
		}
		if got&^operational == want {
			return nil
		}
	}
	return fmt.Errorf("config register holds %04x after %04x was written: %w", got, want, bus.ErrWrongChip)
}

func (d *Dev) config(channel int) uint16 {
	return d.settings | uint16(firstInput+channel)<<inputShift
}

// ReadChannel measures the input AIN0 to AIN3. It takes about 24 ms a sample, at
// slow rates the time of the conversions. An error of the bus ends it at once;
// samples that cannot be right are left out, and only when less than half of
// them remain it returns ErrImplausible or ErrReset.
func (d *Dev) ReadChannel(ctx context.Context, channel int) (Sample, error) {
	if channel < 0 || channel > 3 {
		return Sample{}, fmt.Errorf("%s: channel %d is outside 0..3", d, channel)
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
	codes := make([]int, 0, d.samples)
	var rejected error
	for i := range d.samples {
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
	if len(codes) <= d.samples/2 {
		return Sample{}, fmt.Errorf("%d of %d samples are unusable: %w", d.samples-len(codes), d.samples, rejected)
	}
	return d.median(codes), nil
}

// median, not mean: one outlier of 33,700 ruins a mean of ten
// (adafruit/Adafruit_Blinka#84).
func (d *Dev) median(codes []int) Sample {
	slices.Sort(codes)
	last := len(codes) - 1
	middle := codes[last/2]
	return Sample{
		Raw:      middle,
		Volts:    max(0, float64(middle)*d.volt),
		Spread:   float64(codes[last]-codes[0]) * d.volt,
		Taken:    d.samples,
		Rejected: d.samples - len(codes),
	}
}
