package ltr559_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ltr559"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
)

const addr = 0x23

func open(t *testing.T, b *emulator.Bus) *ltr559.Dev {
	t.Helper()
	d, err := ltr559.New(t.Context(), b, addr, ltr559.Options{Device: "balcony", Channel: "2"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// From the dark to the sun, and beyond what the chip can measure: there it says
// so, and gives no number.
func TestFromDarkToSun(t *testing.T) {
	for _, lux := range []float64{0, 0.1, 1, 30, 300, 500, 900, 8000, 40000, 100000, 145000, 155000, 250000, 1e6} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, emulator.NewLTR559(emulator.Steady(lux)))
			r, err := open(t, &b).Read(t.Context())
			if lux > 150000 {
				fault, is := errors.AsType[ltr559.Fault](err)
				if !is || fault.State() != "saturated" || len(r) > 0 {
					t.Errorf("%v lx: got %v, %v; want %v", lux, r, err, ltr559.Saturated)
				}
				return
			}
			if err != nil || len(r) != 1 || r[0].Device != "balcony" || r[0].Channel != "2" || r[0].Source != "ltr559" {
				t.Fatalf("%v lx: got %v, %v", lux, r, err)
			}
			v := r[0].Values[0]
			if v.Metric != reading.Illuminance || math.Abs(v.Number-lux) > 0.03+lux/500 {
				t.Errorf("%v lx: got %v", lux, v)
			}
		})
	}
}

// Daylight, lamps and embers have different shares of infrared light; the eye
// sees the same. Infrared alone is dark.
func TestInfraredShareIsTakenOut(t *testing.T) {
	for _, test := range []struct{ share, want float64 }{{0.1, 500}, {0.4, 500}, {0.5, 500}, {0.7, 500}, {0.95, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			c := emulator.NewLTR559(nil)
			c.Infrared = test.share
			b.Attach(addr, c)
			r, err := open(t, &b).Read(t.Context())
			if err != nil || math.Abs(r[0].Values[0].Number-test.want) > 1 {
				t.Errorf("share %v: got %v, %v; want %v lx", test.share, r, err, test.want)
			}
		})
	}
}

// Slow chips, and lamps that are switched while it measures: what comes out is
// light that was there.
func TestLightThatChangesGivesOneOfItsValues(t *testing.T) {
	for at := time.Duration(0); at < time.Second; at += 7 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			c := emulator.NewLTR559(emulator.Steady(50))
			c.Oscillator = 0.9
			b.Attach(addr, c)
			d := open(t, &b)
			c.Light = emulator.Until(time.Now().Add(at), emulator.Steady(50), emulator.Steady(900))
			r, err := d.Read(t.Context())
			if err != nil || math.Abs(r[0].Values[0].Number-50) > 1 && math.Abs(r[0].Values[0].Number-900) > 2 {
				t.Errorf("switched after %v: got %v, %v; want 50 or 900", at, r, err)
			}
		})
	}
}

// A loose supply wire between two readings or within one is mended; within one
// it is told.
func TestBrownOutIsToldAndMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewLTR559(nil))
		d := open(t, &b)
		b.After(50*time.Millisecond, func(b *emulator.Bus) { b.BrownOut(addr) })
		r, err := d.Read(t.Context())
		if !errors.Is(err, bus.ErrReset) || len(r) != 1 || r[0].Quality() == reading.Good {
			t.Errorf("got %v, %v; want it suspect, and %v", r, err, bus.ErrReset)
		}
		b.BrownOut(addr)
		if r, err := d.Read(t.Context()); err != nil || r[0].Quality() != reading.Good {
			t.Errorf("then got %v, %v; want it good", r, err)
		}
	})
}

// Pimoroni's own program runs too, and sets its times and gains at any point of a
// reading.
func TestAnotherProgramNeverChangesTheValue(t *testing.T) {
	for _, written := range [][]byte{{0x85, 0x08}, {0x85, 0x10}, {0x80, 0x09}, {0x80, 0x00}, {0x80, 0x02}} {
		for at := time.Duration(0); at < 300*time.Millisecond; at += time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				var b emulator.Bus
				c := emulator.NewLTR559(nil)
				b.Attach(addr, c)
				d := open(t, &b)
				b.After(at, func(*emulator.Bus) { c.Transfer(time.Now(), written, nil) })
				r, err := d.Read(t.Context())
				if err != nil && !errors.Is(err, bus.ErrReset) && !errors.Is(err, bus.ErrNotReady) {
					t.Errorf("% x after %v: got %v", written, at, err)
				}
				if len(r) > 0 && r[0].Quality() == reading.Good && math.Abs(r[0].Values[0].Number-500) > 1 {
					t.Errorf("% x after %v: got %v, want 500 lx", written, at, r)
				}
			})
		}
	}
}

// A BH1750 has the same address.
func TestBH1750IsAnotherChip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewBH1750(nil))
		if _, err := ltr559.New(t.Context(), &b, addr, ltr559.Options{Device: "balcony"}); !errors.Is(err, bus.ErrWrongChip) {
			t.Errorf("got %v, want %v", err, bus.ErrWrongChip)
		}
	})
}

func TestNamelessDeviceIsAnError(t *testing.T) {
	if _, err := ltr559.New(t.Context(), &emulator.Bus{}, addr, ltr559.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want an error about the device", err)
	}
}
