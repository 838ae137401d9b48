package ads1x15_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
	"github.com/plantgate/plantgate/drivers/emulator"
	"periph.io/x/conn/v3/physic"
)

const addr = 0x48

// truth is what hangs at the four inputs, in volts.
var truth = [4]float64{1.6, 2.83, 3.3, -0.002}

// expected is what may be said about it: nothing below ground.
var expected = [4]float64{1.6, 2.83, 3.3, 0}

// count is the resolution of an ADS1015, in volts.
const count = 4.096 / 2048

func inputs() (v []emulator.Volts) {
	for _, volts := range truth {
		v = append(v, emulator.Steady(volts))
	}
	return v
}

func chip(model ads1x15.Model) *emulator.ADS1x15 {
	if model == ads1x15.ADS1015 {
		return emulator.NewADS1015(inputs()...)
	}
	return emulator.NewADS1115(inputs()...)
}

func open(t *testing.T, b *emulator.Bus, o ads1x15.Options) *ads1x15.Dev {
	t.Helper()
	d, err := ads1x15.New(t.Context(), b, addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func near(got, want float64) bool { return math.Abs(got-want) <= count }

// The values of the vendor's vectors (A0 12800 = 1.600 V, A1 22640, A2 26400,
// A3 -16), read by both models.
func TestVendorsVectors(t *testing.T) {
	for _, model := range []ads1x15.Model{ads1x15.ADS1115, ads1x15.ADS1015} {
		t.Run(model.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{Name: "i2c-1"}
				b.Attach(addr, chip(model))
				d := open(t, b, ads1x15.Options{Model: model})
				if want := model.String() + "@i2c-1:0x48"; d.String() != want {
					t.Errorf("got name %q, want %q", d, want)
				}
				for channel, raw := range [4]int{12800, 22640, 26400, -16} {
					s, err := d.ReadChannel(t.Context(), channel)
					want := ads1x15.Sample{Raw: raw, Volts: expected[channel], Taken: 5}
					if err != nil || s.Raw != want.Raw || !near(s.Volts, want.Volts) || s.Spread != 0 || s.Taken != 5 || s.Rejected != 0 {
						t.Errorf("A%d: got %+v, %v; want %+v", channel, s, err, want)
					}
				}
			})
		})
	}
}

// TestSlowClockNeverGivesAnotherInput is the regression test "ads1115 slow
// clock": periph.io/x/devices v3.7.4 sleeps for the nominal time and reads, and
// with an oscillator that is 10 % slow, which the datasheet allows, it returned
// the value of another input in 19 of 20 reads at 8 SPS (hybridgroup/gobot#827,
// Adafruit_ADS1X15#46).
func TestSlowClockNeverGivesAnotherInput(t *testing.T) {
	rates := map[ads1x15.Model][]int{
		ads1x15.ADS1115: {8, 16, 32, 64, 128, 250, 475, 860},
		ads1x15.ADS1015: {128, 250, 490, 920, 1600, 2400, 3300},
	}
	for model, rates := range rates {
		for _, rate := range rates {
			for _, oscillator := range []float64{0.9, 0.97, 0.999, 1, 1.1} {
				t.Run(fmt.Sprintf("%s/%d/%v", model, rate, oscillator), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { fourInputsTwice(t, model, rate, oscillator) })
				})
			}
		}
	}
}

func fourInputsTwice(t *testing.T, model ads1x15.Model, rate int, oscillator float64) {
	c := chip(model)
	c.Oscillator = oscillator
	var b emulator.Bus
	b.Attach(addr, c)
	d := open(t, &b, ads1x15.Options{Model: model, Rate: rate, Samples: 1})
	for i := range 8 {
		channel := i * 3 % 4
		s, err := d.ReadChannel(t.Context(), channel)
		if err != nil || !near(s.Volts, expected[channel]) {
			t.Errorf("A%d: got %.3f V, %v; want %.3f V", channel, s.Volts, err, expected[channel])
		}
	}
}

// What a wrong wiring or a wrong range gives is an error, not a number.
func TestOutOfRangeIsImplausible(t *testing.T) {
	for _, test := range []struct {
		name  string
		volts float64
		scale physic.ElectricPotential
		model ads1x15.Model
	}{
		{"above the range", 2.1, 2048 * physic.MilliVolt, ads1x15.ADS1115},
		{"above the range of an ADS1015", 2.1, 2048 * physic.MilliVolt, ads1x15.ADS1015},
		{"below ground", -0.1, 0, ads1x15.ADS1115},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b emulator.Bus
				c := chip(test.model)
				c.Volts[0] = emulator.Steady(test.volts)
				b.Attach(addr, c)
				d := open(t, &b, ads1x15.Options{Model: test.model, Range: test.scale})
				if s, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrImplausible) {
					t.Errorf("got %+v, %v; want %v", s, err, bus.ErrImplausible)
				}
			})
		})
	}
}

// Five samples at 24 ms meet different phases of the mains, so that the median
// stays nearer to the truth than a single sample would. At 20 ms they meet the
// same phase of 50 Hz, and the median follows the hum.
func TestSpacedSamplesDoNotFollowMainsHum(t *testing.T) {
	const amplitude = 0.1
	for _, test := range []struct {
		hertz   float64
		spacing time.Duration
		follows bool
	}{{50, 0, false}, {60, 0, false}, {50, 20 * time.Millisecond, true}} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, emulator.NewADS1115(emulator.Hum(emulator.Steady(1.6), amplitude, test.hertz)))
			d := open(t, &b, ads1x15.Options{Rate: 860, Spacing: test.spacing})
			worst := 0.0
			for range 30 {
				s, err := d.ReadChannel(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				worst = max(worst, math.Abs(s.Volts-1.6))
				time.Sleep(1237 * time.Millisecond)
			}
			if follows := worst > 0.8*amplitude; follows != test.follows {
				t.Errorf("%v Hz every %v: off by %.3f V, want the hum followed: %v", test.hertz, test.spacing, worst, test.follows)
			}
		})
	}
}

// Shutting down must not wait for a conversion.
func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip(ads1x15.ADS1115))
		d := open(t, &b, ads1x15.Options{Rate: 8})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := d.ReadChannel(ctx, 0)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 30*time.Millisecond {
			t.Errorf("got %v after %v, want the context's error after 30ms", err, time.Since(start))
		}
	})
}

func TestOptionsThatTheChipDoesNotHaveAreErrors(t *testing.T) {
	var b emulator.Bus
	for _, o := range []ads1x15.Options{
		{Rate: 100}, {Rate: 1600}, {Model: ads1x15.ADS1015, Rate: 8}, {Range: physic.Volt},
		{Samples: 4}, {Samples: -1}, {Spacing: -time.Second},
	} {
		if _, err := ads1x15.New(t.Context(), &b, addr, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
	if _, err := ads1x15.New(t.Context(), &b, 0x40, ads1x15.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("address 0x40: got %v, want an error about the address", err)
	}
}
