// Package probe turns the volts of an analog soil probe into a reading: what the
// probe gave, and, with a calibration, how moist the soil is.
//
// It guarantees that counts and volts are always there when a probe could be
// read, that a percentage is whole and carries its calibration, and that values
// of a probe which is broken, unplugged or outside its calibration are marked
// suspect and come with a Fault that says why. It does not know which converter
// measures: every converter works with every probe.
package probe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// A Fault is why the values of a probe are doubtful. It is an error; errors.Is
// finds it in what Read returns.
type Fault string

// The faults.
const (
	ShortLow         Fault = "probe gives no voltage (shorted, without power, or unplugged)"
	ShortHigh        Fault = "probe gives the supply voltage (shorted to it, or its ground is open)"
	Floating         Fault = "input floats (is the probe unplugged?)"
	OutOfCalibration Fault = "voltage is outside the calibration (is the probe in air? else calibrate again)"
	WarmingUp        Fault = "probe has not settled since it was switched on"
)

// Error returns what is wrong and what to look at.
func (f Fault) Error() string { return string(f) }

// State returns the health state of a sensor with this fault.
func (f Fault) State() string { return stateOf[f] }

var stateOf = map[Fault]string{
	ShortLow:         "short_low",
	ShortHigh:        "short_high",
	Floating:         "floating",
	OutOfCalibration: "out_of_calibration",
	WarmingUp:        "warming_up",
}

// A Sample is one value of a converter's input, the median of several.
type Sample struct {
	Raw      int     // counts
	Volts    float64 // the same in volts
	Spread   float64 // volts between the least and the greatest sample
	Taken    int     // samples taken
	Rejected int     // of these not used
}

// Config is what a Sensor is made of.
type Config struct {
	Device      string      // the plant: name of the device in its records
	Channel     string      // "" for a device with one probe
	Source      string      // what measures, for example "ads1115"
	Profile     Profile     // of the probe
	Calibration Calibration // zero for none: then there is no percentage
	// Sample measures the input the probe is wired to.
	Sample func(ctx context.Context) (Sample, error)
	// Input names that input in messages, for example "ads1115@i2c-1:0x48 A0".
	Input string
}

// Sensor is one probe at one input of a converter. It is not for several
// goroutines.
type Sensor struct {
	config  Config
	settled bool
}

// New returns a sensor whose probe is taken to have been switched on just now.
func New(c Config) (*Sensor, error) {
	if c.Device == "" || c.Source == "" {
		return nil, errors.New("probe has no device or no source")
	}
	if c.Sample == nil {
		return nil, fmt.Errorf("probe of %s has nothing to measure it", c.Device)
	}
	return &Sensor{config: c}, nil
}

// String returns the device and where its probe is, for logs.
func (s *Sensor) String() string {
	return fmt.Sprintf("%s (%s at %s)", s.config.Device, s.config.Profile.Name, s.config.Input)
}

// Read returns one reading. The first call takes longer: it waits for the probe
// to warm up and settle. An error of the converter comes alone; a Fault comes
// together with the reading, whose doubtful values are marked suspect.
func (s *Sensor) Read(ctx context.Context) ([]reading.Reading, error) {
	sample, err := s.sample(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.config.Device, err)
	}
	fault := s.config.Profile.judge(sample, s.config.Calibration)
	if fault == "" && !s.settled {
		fault = WarmingUp
	}
	r := []reading.Reading{s.reading(sample, fault)}
	if fault == "" {
		return r, nil
	}
	return r, fmt.Errorf("%s: %.3f V, spread %.3f V: %w", s.config.Device, sample.Volts, sample.Spread, fault)
}

// judge looks for the gravest fault first.
func (p Profile) judge(s Sample, c Calibration) Fault {
	switch {
	case s.Volts < p.ShortLow:
		return ShortLow
	case s.Volts > p.ShortHigh:
		return ShortHigh
	case s.Volts >= p.FloatLow && s.Volts <= p.FloatHigh && s.Spread > p.FloatSpread:
		return Floating
	case !c.isZero() && !c.covers(s.Volts, p.Margin):
		return OutOfCalibration
	default:
		return ""
	}
}

// reading writes down what was measured. With a fault in the wiring the voltage
// is not the probe's, and no percentage is made of it; out of calibration it is,
// and only the percentage is doubtful.
func (s *Sensor) reading(sample Sample, fault Fault) reading.Reading {
	wiring := fault == ShortLow || fault == ShortHigh || fault == Floating
	c := s.config
	r := reading.Reading{Device: c.Device, Channel: c.Channel, Source: c.Source}
	r.Values = []reading.Value{
		{Metric: reading.SoilMoistureRaw, Number: float64(sample.Raw), Suspect: wiring || fault == WarmingUp},
		{Metric: reading.SoilVoltage, Number: toMillivolts(sample.Volts), Suspect: wiring || fault == WarmingUp},
	}
	if wiring || c.Calibration.isZero() {
		return r
	}
	r.Calibration = c.Calibration.ID()
	// Whole percents: the probe earns no more, and a decimal would claim it.
	percent := math.Round(c.Calibration.Percent(sample.Volts))
	r.Values = append(r.Values, reading.Value{Metric: reading.SoilMoisture, Number: percent, Suspect: fault != ""})
	return r
}

// toMillivolts rounds: the rest is below what any converter here resolves, and
// 1.6005000000000003 is what would be stored.
func toMillivolts(volts float64) float64 { return math.Round(volts*1000) / 1000 }

// How the first reading waits for the probe to stand still. Each try is a median
// of the converter; their number bounds how long others on the bus wait.
const (
	settleTries = 6
	settlePause = 100 * time.Millisecond
	settleRun   = 3 // values in a row that must agree
)

// sample measures, until the probe has settled once: it stands still as soon as
// values in a row agree. The last value is returned in any case.
func (s *Sensor) sample(ctx context.Context) (Sample, error) {
	profile := s.config.Profile
	if s.settled || profile.Settled == 0 {
		s.settled = true
		return s.config.Sample(ctx)
	}
	if err := sleep(ctx, profile.Warmup); err != nil {
		return Sample{}, err
	}
	run := make([]float64, 0, settleTries)
	for {
		last, err := s.config.Sample(ctx)
		if err != nil {
			return Sample{}, err
		}
		run = append(run, last.Volts)
		s.settled = stands(run, profile.Settled)
		if s.settled || len(run) == settleTries {
			return last, nil
		}
		if err := sleep(ctx, settlePause); err != nil {
			return Sample{}, err
		}
	}
}

// stands tells whether the last values agree within a part of their size, or
// within two millivolts, the noise of a converter.
func stands(run []float64, part float64) bool {
	if len(run) < settleRun {
		return false
	}
	run = run[len(run)-settleRun:]
	low, high := slices.Min(run), slices.Max(run)
	return high-low <= max(part*high, 0.002)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
