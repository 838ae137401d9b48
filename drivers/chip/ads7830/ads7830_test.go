package ads7830_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads7830"
	"github.com/plantgate/plantgate/drivers/emulator"
	"periph.io/x/conn/v3/physic"
)

const addr = 0x48

// truth is what hangs at the inputs, in volts.
var truth = [...]float64{1.6, 0.83, 2.29, 1.1, 0.4, 2.02, 0.95, 0}

// count is the resolution, in volts.
const count = 2.5 / 256

func inputs() (v []emulator.Volts) {
	for _, volts := range truth {
		v = append(v, emulator.Steady(volts))
	}
	return v
}

func chip() *emulator.ADS7830 { return emulator.NewADS7830(inputs()...) }

func open(t *testing.T, b *emulator.Bus, o ads7830.Options) *ads7830.Dev {
	t.Helper()
	d, err := ads7830.New(t.Context(), b, addr, o)
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
		d := open(t, b, ads7830.Options{})
		if want := "ads7830@i2c-1:0x48"; d.String() != want {
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

// The commands of Adafruit's library: the even inputs come first.
func TestCommandsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		w := &recorder{Bus: &b}
		d, err := ads7830.New(t.Context(), w, addr, ads7830.Options{Samples: 1})
		if err != nil {
			t.Fatal(err)
		}
		for channel, want := range [8]byte{0x8c, 0xcc, 0x9c, 0xdc, 0xac, 0xec, 0xbc, 0xfc} {
			if _, err := d.ReadChannel(t.Context(), channel); err != nil || w.last != want {
				t.Errorf("channel %d: sent %02x, %v; want %02x", channel, w.last, err, want)
			}
		}
	})
}

// A recorder keeps the last byte that was written.
type recorder struct {
	*emulator.Bus
	last byte
}

func (r *recorder) Tx(addr uint16, w, buf []byte) error {
	r.last = w[len(w)-1]
	return r.Bus.Tx(addr, w, buf)
}

// More than the reference inside is not 2.49 V; with REF at the supply the end
// of the scale is the supply.
func TestEndOfTheScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		c := chip()
		c.Volts[0] = emulator.Steady(2.83)
		c.Reference = 3.3
		b.Attach(addr, c)
		if s, err := open(t, &b, ads7830.Options{}).ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrImplausible) {
			t.Errorf("got %+v, %v; want %v", s, err, bus.ErrImplausible)
		}
		d := open(t, &b, ads7830.Options{Reference: 3300 * physic.MilliVolt})
		for _, volts := range []float64{2.83, 3.295} {
			c.Volts[0] = emulator.Steady(volts)
			if s, err := d.ReadChannel(t.Context(), 0); err != nil || math.Abs(s.Volts-volts) > 3.3/256 {
				t.Errorf("%v V: got %+v, %v", volts, s, err)
			}
		}
	})
}

// A chip whose inputs are all tied to ground is no stranger, and gives 0 V.
func TestAllInputsAtGround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewADS7830())
		if s, err := open(t, &b, ads7830.Options{}).ReadChannel(t.Context(), 0); err != nil || s.Volts != 0 || s.Raw != 0 {
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
		d := open(t, &b, ads7830.Options{})
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
	for _, o := range []ads7830.Options{
		{Samples: 4}, {Samples: -1}, {Spacing: -time.Second}, {Reference: physic.MilliVolt}, {Reference: 12 * physic.Volt},
	} {
		if _, err := ads7830.New(t.Context(), &b, addr, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
	if _, err := ads7830.New(t.Context(), &b, 0x20, ads7830.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("address 0x20: got %v, want an error about the address", err)
	}
}
