package pcf8591_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/pcf8591"
	"github.com/plantgate/plantgate/drivers/emulator"
	"periph.io/x/conn/v3/physic"
)

const addr = 0x48

// truth is what hangs at the inputs, in volts.
var truth = [...]float64{1.6, 0.83, 2.83, 0}

// count is the resolution, in volts.
const count = 3.3 / 256

func inputs() (v []emulator.Volts) {
	for _, volts := range truth {
		v = append(v, emulator.Steady(volts))
	}
	return v
}

func chip() *emulator.PCF8591 { return emulator.NewPCF8591(inputs()...) }

func open(t *testing.T, b *emulator.Bus, o pcf8591.Options) *pcf8591.Dev {
	t.Helper()
	d, err := pcf8591.New(t.Context(), b, addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func near(got, want float64) bool { return math.Abs(got-want) <= count }

func TestEveryInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &emulator.Bus{Name: "i2c-1"}
		b.Attach(addr, chip())
		d := open(t, b, pcf8591.Options{})
		if want := "pcf8591@i2c-1:0x48"; d.String() != want {
			t.Errorf("got name %q, want %q", d, want)
		}
		for channel, volts := range truth {
			s, err := d.ReadChannel(t.Context(), channel)
			if err != nil || !near(s.Volts, volts) || s.Spread != 0 || s.Taken != 5 || s.Rejected != 0 {
				t.Errorf("input %d: got %+v, %v; want %.3f V", channel, s, err, volts)
			}
		}
		if _, err := d.ReadChannel(t.Context(), len(truth)); err == nil {
			t.Error("an input that the chip does not have was read")
		}
	})
}

// The first byte is the conversion before, of another input: it is never the
// value, in whichever order the inputs are read.
func TestPreviousConversionIsNotTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		d := open(t, &b, pcf8591.Options{Samples: 1})
		for i := range 16 {
			channel := i * 3 % 4
			if s, err := d.ReadChannel(t.Context(), channel); err != nil || !near(s.Volts, truth[channel]) {
				t.Errorf("input %d: got %+v, %v; want %.3f V", channel, s, err, truth[channel])
			}
		}
	})
}

// The reference makes the volts.
func TestReferenceIsTheScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		c := chip()
		c.Reference = 2.56
		b.Attach(addr, c)
		d := open(t, &b, pcf8591.Options{Reference: 2560 * physic.MilliVolt})
		if s, err := d.ReadChannel(t.Context(), 1); err != nil || s.Raw != 83 || !near(s.Volts, 0.83) {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

// A chip whose inputs are all tied to ground is no stranger, and gives 0 V.
func TestAllInputsAtGround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewPCF8591())
		if s, err := open(t, &b, pcf8591.Options{}).ReadChannel(t.Context(), 0); err != nil || s.Volts != 0 || s.Raw != 0 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

// One input that floats, so that conversions in a row differ, does not spoil the
// others.
func TestRestlessInputIsImplausible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		c := chip()
		c.Volts[3] = emulator.Noise(emulator.Steady(1), 0.5, 1)
		b.Attach(addr, c)
		d := open(t, &b, pcf8591.Options{})
		if s, err := d.ReadChannel(t.Context(), 3); !errors.Is(err, bus.ErrImplausible) {
			t.Errorf("got %+v, %v", s, err)
		}
		if s, err := d.ReadChannel(t.Context(), 0); err != nil || !near(s.Volts, truth[0]) {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

func TestOptionsThatCannotBeAreErrors(t *testing.T) {
	var b emulator.Bus
	for _, o := range []pcf8591.Options{
		{Samples: 4}, {Samples: -1}, {Spacing: -time.Second}, {Reference: physic.MilliVolt}, {Reference: 12 * physic.Volt},
	} {
		if _, err := pcf8591.New(t.Context(), &b, addr, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
	if _, err := pcf8591.New(t.Context(), &b, 0x20, pcf8591.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("address 0x20: got %v, want an error about the address", err)
	}
}
