package seesaw_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/seesaw"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
)

const addr = 0x36

// The truth of the vendor's vectors.
const (
	counts  = 612
	celsius = 22.5
)

func chip() *emulator.Seesaw {
	return emulator.NewSeesaw(emulator.Steady(counts), emulator.Steady(celsius))
}

// line is a straight curve from 320 counts, dry, to 1014, wet.
type line struct{}

func (line) ID() string                { return "line" }
func (line) Percent(c float64) float64 { return min(max((c-320)/6.94, 0), 100) }

var basil = seesaw.Options{Device: "basil", Curve: line{}}

func open(t *testing.T, b *emulator.Bus, o seesaw.Options) *seesaw.Dev {
	t.Helper()
	d, err := seesaw.New(t.Context(), b, addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func value(rs []reading.Reading, m reading.Metric) (v reading.Value, ok bool) {
	for _, r := range rs {
		for _, v := range r.Values {
			if v.Metric == m {
				return v, true
			}
		}
	}
	return v, false
}

// right is the reading of the vectors, good in every value.
func right(rs []reading.Reading) bool {
	if len(rs) != 1 || len(rs[0].Values) != 3 || rs[0].Quality() != reading.Good || rs[0].Validate() != nil {
		return false
	}
	raw, _ := value(rs, reading.SoilMoistureRaw)
	percent, _ := value(rs, reading.SoilMoisture)
	temperature, _ := value(rs, reading.DeviceTemperature)
	return raw.Number == counts && percent.Number == 42 && temperature.Number == celsius
}

// 612 counts and 22.5 degrees, as the vendor's library reads them.
func TestVendorsVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &emulator.Bus{Name: "i2c-1"}
		b.Attach(addr, chip())
		d := open(t, b, basil)
		if want := "seesaw@i2c-1:0x36"; d.String() != want {
			t.Errorf("got name %q, want %q", d, want)
		}
		rs, err := d.Read(t.Context())
		if err != nil || !right(rs) || rs[0].Device != "basil" || rs[0].Source != "seesaw" || rs[0].Calibration != "line" {
			t.Errorf("got %+v, %v", rs, err)
		}
	})
}

// Firmware differs in how long it takes; the chip's clock by 10 %. Adafruit's
// library gave up or returned 65535 (Adafruit_Seesaw#36, CircuitPython_seesaw#24).
func TestSlowFirmwareIsWaitedFor(t *testing.T) {
	for _, oscillator := range []float64{0.9, 1, 1.1} {
		for _, latency := range []time.Duration{0, 3, 6, 9, 15} {
			t.Run(fmt.Sprint(oscillator, latency), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := chip()
					c.Oscillator, c.Latency = oscillator, latency*time.Millisecond
					var b emulator.Bus
					b.Attach(addr, c)
					d := open(t, &b, basil)
					if rs, err := d.Read(t.Context()); err != nil || !right(rs) {
						t.Errorf("got %+v, %v", rs, err)
					}
				})
			})
		}
	}
}

// An answer that never comes is no value, and least of all 65535 or -0.00002
// degrees, which is what FF FF FF FF would be.
func TestAnswerThatNeverComesIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chip()
		var b emulator.Bus
		b.Attach(addr, c)
		d := open(t, &b, basil)
		c.Latency = time.Second
		rs, err := d.Read(t.Context())
		if len(rs) > 0 || !errors.Is(err, bus.ErrNotReady) {
			t.Errorf("got %+v, %v; want %v", rs, err, bus.ErrNotReady)
		}
	})
}

// Frost is below zero and not 16379 degrees; what cannot be is left out.
func TestTemperatureHasASign(t *testing.T) {
	for _, test := range []struct{ truth, want float64 }{{-5.25, -5.25}, {0, 0}, {124.9, 124.9}, {-41, math.NaN()}, {126, math.NaN()}} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, emulator.NewSeesaw(emulator.Steady(counts), emulator.Steady(test.truth)))
			rs, err := open(t, &b, basil).Read(t.Context())
			v, ok := value(rs, reading.DeviceTemperature)
			if math.IsNaN(test.want) {
				if raw, _ := value(rs, reading.SoilMoistureRaw); ok || raw.Number != counts || !errors.Is(err, bus.ErrImplausible) {
					t.Errorf("%v degrees: got %+v, %v; want the count alone and %v", test.truth, rs, err, bus.ErrImplausible)
				}
				return
			}
			if err != nil || v.Number != test.want {
				t.Errorf("%v degrees: got %+v, %v", test.truth, rs, err)
			}
		})
	}
}

// Air, water and a count that the firmware gives when it has no touch channel.
func TestEndsOfTheScaleAreNotBelieved(t *testing.T) {
	type want struct {
		err                 error
		state               string
		rawSuspect, percent bool
	}
	air320 := basil
	air320.Air = 330
	never := basil
	never.Air = -1
	for _, test := range []struct {
		counts float64
		o      seesaw.Options
		want
	}{
		{240, basil, want{seesaw.InAir, "out_of_calibration", false, true}},
		{320, basil, want{nil, "", false, true}},
		{320, air320, want{seesaw.InAir, "out_of_calibration", false, true}},
		{10, never, want{nil, "", false, true}},
		{1015, basil, want{seesaw.Saturated, "saturated", true, false}},
		{0, basil, want{bus.ErrImplausible, "implausible", false, false}},
	} {
		t.Run(fmt.Sprint(test.counts, test.o.Air), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b emulator.Bus
				b.Attach(addr, emulator.NewSeesaw(emulator.Steady(test.counts), emulator.Steady(celsius)))
				rs, err := open(t, &b, test.o).Read(t.Context())
				if !errors.Is(err, test.err) {
					t.Fatalf("got %v, want %v", err, test.err)
				}
				var stated interface{ State() string }
				if err != nil && (!errors.As(err, &stated) || stated.State() != test.state) {
					t.Errorf("got state of %v, want %q", err, test.state)
				}
				if test.err == bus.ErrImplausible {
					if len(rs) > 0 {
						t.Errorf("got %+v, want no reading", rs)
					}
					return
				}
				raw, _ := value(rs, reading.SoilMoistureRaw)
				percent, has := value(rs, reading.SoilMoisture)
				if raw.Number != test.counts || raw.Suspect != test.rawSuspect || has != test.percent || has && percent.Suspect != (test.err != nil) {
					t.Errorf("got %+v", rs)
				}
			})
		})
	}
}

// Without a curve there is no percentage, rather than one somebody invented.
func TestNoCurveNoPercentage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		rs, err := open(t, &b, seesaw.Options{Device: "basil"}).Read(t.Context())
		if _, has := value(rs, reading.SoilMoisture); err != nil || has || len(rs) != 1 || rs[0].Calibration != "" {
			t.Errorf("got %+v, %v", rs, err)
		}
	})
}

// A firmware that hangs is reset once; it takes half a second.
func TestHangingFirmwareIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chip()
		c.Latency = time.Hour
		reset := &resetting{Seesaw: c}
		var b emulator.Bus
		b.Attach(addr, reset)
		if rs, err := open(t, &b, basil).Read(t.Context()); err != nil || !right(rs) || reset.resets != 1 {
			t.Errorf("got %+v, %v after %d resets", rs, err, reset.resets)
		}
	})
}

// resetting works again after a reset.
type resetting struct {
	*emulator.Seesaw
	resets int
}

func (r *resetting) Transfer(at time.Time, w, buf []byte) bool {
	if len(w) == 3 && w[1] == 0x7f {
		r.resets++
		r.Latency = 0
	}
	return r.Seesaw.Transfer(at, w, buf)
}

func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		d := open(t, &b, basil)
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := d.Read(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 13*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestOptionsThatCannotBeAreErrors(t *testing.T) {
	var b emulator.Bus
	for _, o := range []seesaw.Options{
		{}, {Device: "x", Samples: 2}, {Device: "x", Samples: -1}, {Device: "x", Most: 5000}, {Device: "x", Most: -1},
	} {
		if _, err := seesaw.New(t.Context(), &b, addr, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
	if _, err := seesaw.New(t.Context(), &b, 0x48, basil); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("address 0x48: got %v, want an error about the address", err)
	}
}
