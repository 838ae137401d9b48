package probe_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/drivers/probe"
	"github.com/plantgate/plantgate/reading"
)

func capacitive(t *testing.T) probe.Profile {
	t.Helper()
	p, ok := probe.Named("capacitive")
	if !ok {
		t.Fatal("no profile capacitive")
	}
	return p
}

func twoPoint(t *testing.T) probe.Calibration {
	t.Helper()
	c, err := probe.TwoPoint("pot-1", 2.80, 1.40)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sensor measures the same value for ever.
func sensor(t *testing.T, s probe.Sample, c probe.Calibration) *probe.Sensor {
	t.Helper()
	p, err := probe.New(probe.Config{
		Device: "basil", Source: "ads1115", Input: "A0", Profile: capacitive(t), Calibration: c,
		Sample: func(context.Context) (probe.Sample, error) { return s, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func values(r []reading.Reading) map[reading.Metric]reading.Value {
	m := map[reading.Metric]reading.Value{}
	for _, v := range r[0].Values {
		m[v.Metric] = v
	}
	return m
}

// A good reading, whole: what Kafka gets of a probe.
func TestReadingCarriesRawVoltsPercentAndCalibration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sensor(t, probe.Sample{Raw: 12800, Volts: 1.6005000000000003, Spread: 0.001}, twoPoint(t))
		got, err := s.Read(t.Context())
		want := []reading.Reading{{
			Device: "basil", Source: "ads1115", Calibration: "pot-1",
			Values: []reading.Value{
				{Metric: reading.SoilMoistureRaw, Number: 12800},
				{Metric: reading.SoilVoltage, Number: 1.601},
				{Metric: reading.SoilMoisture, Number: 86},
			},
		}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v, difference (-want +got):\n%s", err, diff)
		}
		if err := got[0].Validate(); err != nil {
			t.Error(err)
		}
		if want := "basil (capacitive at A0)"; s.String() != want {
			t.Errorf("got name %q, want %q", s, want)
		}
	})
}

// An uncalibrated probe says what it measured and no percentage: a guess would
// look like a measurement.
func TestUncalibratedProbeGivesNoPercent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := sensor(t, probe.Sample{Raw: 12800, Volts: 1.6}, probe.Calibration{}).Read(t.Context())
		if err != nil || len(got[0].Values) != 2 || got[0].Calibration != "" {
			t.Errorf("got %+v, %v; want raw and volts alone", got, err)
		}
	})
}

// What the fault window of each kind looks like in a record: raw and volts are
// always there, and nothing doubtful passes for good.
func TestFaultWindow(t *testing.T) {
	const trusted, suspect, absent = "trusted", "suspect", "absent"
	for _, test := range []struct {
		name          string
		volts, spread float64
		fault         probe.Fault
		state         string
		raw, percent  string
		number        float64
	}{
		{"short to ground", 0.012, 0, probe.ShortLow, "short_low", suspect, absent, 0},
		{"just above a short", 0.051, 0, probe.OutOfCalibration, "out_of_calibration", trusted, suspect, 100},
		{"floating", 0.56, 0.023, probe.Floating, "floating", suspect, absent, 0},
		{"quiet at the voltage of a floating input", 0.56, 0.001, probe.OutOfCalibration, "out_of_calibration", trusted, suspect, 100},
		{"in air, far from dry soil", 3.05, 0, probe.OutOfCalibration, "out_of_calibration", trusted, suspect, 0},
		{"a little drier than ever", 3.00, 0, "", "", trusted, trusted, 0},
		{"a little wetter than ever", 1.20, 0, "", "", trusted, trusted, 100},
		{"wetter than can be", 1.18, 0, probe.OutOfCalibration, "out_of_calibration", trusted, suspect, 100},
		{"short to the supply", 3.26, 0, probe.ShortHigh, "short_high", suspect, absent, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := sensor(t, probe.Sample{Raw: int(test.volts * 8000), Volts: test.volts, Spread: test.spread}, twoPoint(t))
				got, err := s.Read(t.Context())
				if test.fault == "" && err != nil || test.fault != "" && !errors.Is(err, test.fault) {
					t.Errorf("got error %v, want %v", err, test.fault)
				}
				if test.fault.State() != test.state {
					t.Errorf("got state %q, want %q", test.fault.State(), test.state)
				}
				v := values(got)
				for metric, want := range map[reading.Metric]string{
					reading.SoilMoistureRaw: test.raw, reading.SoilVoltage: test.raw, reading.SoilMoisture: test.percent,
				} {
					have := trusted
					if value, ok := v[metric]; !ok {
						have = absent
					} else if value.Suspect {
						have = suspect
					}
					if have != want {
						t.Errorf("%s is %s, want %s", metric, have, want)
					}
				}
				if v[reading.SoilMoisture].Number != test.number {
					t.Errorf("got %v %%, want %v", v[reading.SoilMoisture].Number, test.number)
				}
			})
		})
	}
}

// When the converter fails there is nothing to say: no zero, no last value.
func TestFailedConverterGivesNoReading(t *testing.T) {
	s, err := probe.New(probe.Config{
		Device: "basil", Source: "ads1115",
		Sample: func(context.Context) (probe.Sample, error) { return probe.Sample{Raw: 1, Volts: 1}, bus.ErrNACK },
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Read(t.Context())
	if len(got) != 0 || !errors.Is(err, bus.ErrNACK) || !strings.HasPrefix(err.Error(), "basil: ") {
		t.Errorf("got %v, %v; want no reading and %v", got, err, bus.ErrNACK)
	}
}

// A probe that was just plugged in climbs for a while: what it gives until it
// stands is not its value.
func TestFirstReadingWaitsForTheProbeToSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := time.Now()
		calls := 0
		s, err := probe.New(probe.Config{
			Device: "basil", Source: "ads1115", Profile: capacitive(t), Calibration: twoPoint(t),
			Sample: func(context.Context) (probe.Sample, error) {
				calls++
				volts := min(2*time.Since(on).Seconds(), 1.6) // stands after 0.8 s
				return probe.Sample{Raw: int(volts * 8000), Volts: volts}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(t.Context())
		if err != nil || values(got)[reading.SoilVoltage].Number != 1.6 {
			t.Errorf("got %+v, %v; want 1.6 V", got, err)
		}
		if took := time.Since(on); took < 800*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("took %v, want about a second", took)
		}
		calls = 0
		if _, err := s.Read(t.Context()); err != nil || calls != 1 {
			t.Errorf("second reading: %v after %d values, want one", err, calls)
		}
	})
}

// A probe with a large output resistor takes long to settle: its first readings
// are doubtful, and the bus is not held up for as long.
func TestProbeThatDoesNotSettleIsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := time.Now()
		s, err := probe.New(probe.Config{
			Device: "basil", Source: "ads1115", Profile: capacitive(t), Calibration: twoPoint(t),
			Sample: func(context.Context) (probe.Sample, error) {
				return probe.Sample{Raw: 1, Volts: max(2.8-time.Since(on).Seconds()/10, 1.6)}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		got, err := s.Read(t.Context())
		if !errors.Is(err, probe.WarmingUp) || got[0].Quality() != reading.Uncertain {
			t.Errorf("got %+v, %v; want suspect values and %v", got, err, probe.WarmingUp)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		time.Sleep(12 * time.Second)
		if got, err = s.Read(t.Context()); err != nil || got[0].Quality() != reading.Good {
			t.Errorf("settled: got %+v, %v", got, err)
		}
	})
}

func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := sensor(t, probe.Sample{Volts: 1.6}, twoPoint(t)).Read(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("got %v after %v, want the context's error after 100ms", err, time.Since(start))
		}
	})
}

// The whole way from the emulated probe through a converter to the fault.
func TestCurvesThroughAConverter(t *testing.T) {
	for _, test := range []struct {
		name    string
		volts   emulator.Volts
		fault   probe.Fault
		percent float64
	}{
		{"wet soil", emulator.WetSoil(), "", 100},
		{"dry soil", emulator.DrySoil(), "", 0},
		{"air", emulator.Air(), "", 0},
		{"noisy, half wet", emulator.Noise(emulator.Steady(2.1), 0.001, 1), "", 50},
		{"shorted", emulator.Shorted(), probe.ShortLow, 0},
		{"shorted to the supply", emulator.ShortedHigh(), probe.ShortHigh, 0},
		{"floating", emulator.Floating(1), probe.Floating, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{Name: "i2c-1"}
				b.Attach(0x48, emulator.NewADS1115(nil, test.volts))
				adc, err := ads1x15.New(t.Context(), b, 0x48, ads1x15.Options{})
				if err != nil {
					t.Fatal(err)
				}
				s, err := probe.New(probe.Config{
					Device: "basil", Source: "ads1115", Profile: capacitive(t), Calibration: twoPoint(t),
					Sample: func(ctx context.Context) (probe.Sample, error) {
						s, err := adc.ReadChannel(ctx, 1)
						return probe.Sample(s), err
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.Read(t.Context())
				if test.fault == "" && err != nil || test.fault != "" && !errors.Is(err, test.fault) {
					t.Errorf("got error %v, want %v", err, test.fault)
				}
				if percent := values(got)[reading.SoilMoisture].Number; percent != test.percent {
					t.Errorf("got %v %%, want %v", percent, test.percent)
				}
			})
		})
	}
}

func TestSensorNeedsItsParts(t *testing.T) {
	for _, c := range []probe.Config{{}, {Device: "basil"}, {Device: "basil", Source: "ads1115"}} {
		if s, err := probe.New(c); err == nil {
			t.Errorf("%+v became %v", c, s)
		}
	}
}

func TestProfilesHaveNames(t *testing.T) {
	for _, p := range probe.Profiles() {
		if got, ok := probe.Named(p.Name); !ok || got != p {
			t.Errorf("%q is not found by its name", p.Name)
		}
	}
	if _, ok := probe.Named("telepathic"); ok {
		t.Error("a profile that does not exist was found")
	}
}
