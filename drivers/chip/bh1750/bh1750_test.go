package bh1750_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/bh1750"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
)

const addr = 0x23

func open(t *testing.T, b *emulator.Bus) *bh1750.Dev {
	t.Helper()
	d, err := bh1750.New(t.Context(), b, addr, bh1750.Options{Device: "balcony", Channel: "2"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// From the dark to the sun, and beyond what the chip can measure: there it says
// so, and gives no number.
func TestFromDarkToSun(t *testing.T) {
	for _, lux := range []float64{0, 0.6, 3, 10, 100, 500, 8000, 40000, 59000, 61000, 100000, 120000, 125000, 1e6} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, emulator.NewBH1750(emulator.Steady(lux)))
			r, err := open(t, &b).Read(t.Context())
			if lux > 121000 {
				fault, is := errors.AsType[bh1750.Fault](err)
				if !is || fault.State() != "saturated" || len(r) > 0 {
					t.Errorf("%v lx: got %v, %v; want %v", lux, r, err, bh1750.Saturated)
				}
				return
			}
			if err != nil || len(r) != 1 || r[0].Device != "balcony" || r[0].Channel != "2" || r[0].Source != "bh1750" {
				t.Fatalf("%v lx: got %v, %v", lux, r, err)
			}
			v := r[0].Values[0]
			if v.Metric != reading.Illuminance || math.Abs(v.Number-lux) > 1+lux/1000 {
				t.Errorf("%v lx: got %v", lux, v)
			}
		})
	}
}

// Slow and fast chips, as the datasheet allows, and lamps that are switched while
// it measures: what comes out is light that was there.
func TestLightThatChangesGivesOneOfItsValues(t *testing.T) {
	for at := time.Duration(0); at < 1200*time.Millisecond; at += 7 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			c := emulator.NewBH1750(emulator.Steady(50))
			c.Oscillator = 0.9
			b.Attach(addr, c)
			d := open(t, &b)
			c.Light = emulator.Until(time.Now().Add(at), emulator.Steady(50), emulator.Steady(2000))
			r, err := d.Read(t.Context())
			if err != nil || math.Abs(r[0].Values[0].Number-50) > 1 && math.Abs(r[0].Values[0].Number-2000) > 2 {
				t.Errorf("switched after %v: got %v, %v; want 50 or 2000", at, r, err)
			}
		})
	}
}

// Light that never stands still gives no value.
func TestFlickerIsImplausible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		c := emulator.NewBH1750(emulator.Steady(50))
		b.Attach(addr, c)
		d := open(t, &b)
		n := 0
		c.Light = func(time.Time) float64 { n++; return []float64{50, 5000}[n%2] }
		if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrImplausible) || len(r) > 0 {
			t.Errorf("got %v, %v; want %v", r, err, bus.ErrImplausible)
		}
	})
}

// An LTR559 has the same address and ignores what it does not know: it would pass
// for darkness.
func TestLTR559IsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, named{})
		_, err := bh1750.New(t.Context(), &b, addr, bh1750.Options{Device: "balcony"})
		if !errors.Is(err, bus.ErrWrongChip) || !strings.Contains(err.Error(), "LTR559") {
			t.Errorf("got %v, want %v that names the LTR559", err, bus.ErrWrongChip)
		}
	})
}

// named answers the question for its name, and 0 otherwise.
type named struct{}

func (named) PowerOn(time.Time) {}

func (named) Transfer(_ time.Time, w, r []byte) bool {
	clear(r)
	if len(w) == 1 && w[0] == 0x86 {
		copy(r, []byte{0x92, 0x05})
	}
	return true
}

func TestNamelessDeviceIsAnError(t *testing.T) {
	if _, err := bh1750.New(context.Background(), &emulator.Bus{}, addr, bh1750.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want an error about the device", err)
	}
}
