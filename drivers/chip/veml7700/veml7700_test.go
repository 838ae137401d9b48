package veml7700_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/veml7700"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
)

const addr = 0x10

func open(t *testing.T, b *emulator.Bus) *veml7700.Dev {
	t.Helper()
	d, err := veml7700.New(t.Context(), b, addr, veml7700.Options{Device: "balcony", Channel: "2"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// From the dark to the sun, corrected where the chip shows less than its share,
// and beyond what it can measure: there it says so, and gives no number.
func TestFromDarkToSun(t *testing.T) {
	for _, lux := range []float64{0, 0.05, 1, 30, 300, 500, 900, 1200, 8000, 40000, 100000, 119000, 121000, 150000, 400000, 1e6} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, emulator.NewVEML7700(emulator.Steady(lux)))
			r, err := open(t, &b).Read(t.Context())
			if lux > 120000 {
				fault, is := errors.AsType[veml7700.Fault](err)
				if !is || fault.State() != "saturated" || len(r) > 0 {
					t.Errorf("%v lx: got %v, %v; want %v", lux, r, err, veml7700.Saturated)
				}
				return
			}
			if err != nil || len(r) != 1 || r[0].Device != "balcony" || r[0].Channel != "2" || r[0].Source != "veml7700" {
				t.Fatalf("%v lx: got %v, %v", lux, r, err)
			}
			v := r[0].Values[0]
			if v.Metric != reading.Illuminance || math.Abs(v.Number-lux) > 0.01+lux/500 {
				t.Errorf("%v lx: got %v", lux, v)
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
			c := emulator.NewVEML7700(emulator.Steady(50))
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

// Light that never stands still gives no value.
func TestFlickerIsImplausible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		c := emulator.NewVEML7700(nil)
		b.Attach(addr, c)
		d := open(t, &b)
		c.Light = func(at time.Time) float64 { return 20 * math.Pow(3, float64(at.UnixMilli()/100%5)) }
		if r, err := d.Read(t.Context()); err != nil && !errors.Is(err, bus.ErrImplausible) {
			t.Errorf("got %v, %v; want %v", r, err, bus.ErrImplausible)
		}
	})
}

// What another program or the last start left behind does not slow it down.
func TestPowerSavingIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewVEML7700(nil))
		if err := b.Tx(addr, []byte{3, 7, 0}, nil); err != nil {
			t.Fatal(err)
		}
		if r, err := open(t, &b).Read(t.Context()); err != nil || math.Abs(r[0].Values[0].Number-500) > 0.5 {
			t.Errorf("got %v, %v; want 500 lx", r, err)
		}
	})
}

// A loose supply wire between two readings is told, and mended.
func TestBrownOutIsToldAndMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewVEML7700(nil))
		d := open(t, &b)
		b.BrownOut(addr)
		if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrReset) || len(r) != 1 || r[0].Quality() == reading.Good {
			t.Errorf("got %v, %v; want it suspect, and %v", r, err, bus.ErrReset)
		}
		if r, err := d.Read(t.Context()); err != nil || r[0].Quality() != reading.Good {
			t.Errorf("then got %v, %v; want it good", r, err)
		}
	})
}

func TestNamelessDeviceIsAnError(t *testing.T) {
	if _, err := veml7700.New(t.Context(), &emulator.Bus{}, addr, veml7700.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want an error about the device", err)
	}
}
