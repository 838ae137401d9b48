package grovehat_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/grovehat"
	"github.com/plantgate/plantgate/drivers/emulator"
)

const addr = 0x04

// truth is what hangs at the inputs, in volts.
var truth = [...]float64{1.6, 0.83, 2.83, 1.1, 0.4, 2.02, 0.95, 0}

// count is the resolution, in volts.
const count = 3.3 / 4096

func inputs() (v []emulator.Volts) {
	for _, volts := range truth {
		v = append(v, emulator.Steady(volts))
	}
	return v
}

func chip() *emulator.GroveHAT { return emulator.NewGroveHAT(inputs()...) }

func open(t *testing.T, b *emulator.Bus, o grovehat.Options) *grovehat.Dev {
	t.Helper()
	d, err := grovehat.New(t.Context(), b, addr, o)
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
		d := open(t, b, grovehat.Options{})
		if want := "grovehat@i2c-1:0x04"; d.String() != want {
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

// The numbers of the vendor's vectors: 2048 counts are 1.650 V.
func TestVendorsVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewGroveHAT(emulator.Steady(1.65)))
		if s, err := open(t, &b, grovehat.Options{}).ReadChannel(t.Context(), 0); err != nil || s.Raw != 2048 || s.Volts != 1.65 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

// HATs of 2022 to 2024 are at 0x08: the configuration need not know. It is the
// HAT of a Zero as well.
func TestHATIsFoundAtItsOtherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &emulator.Bus{Name: "i2c-1"}
		c := chip()
		c.Product = 5
		b.Attach(0x08, c)
		d := open(t, b, grovehat.Options{})
		if want := "grovehat@i2c-1:0x08"; d.String() != want {
			t.Errorf("got name %q, want %q", d, want)
		}
		if s, err := d.ReadChannel(t.Context(), 0); err != nil || !near(s.Volts, truth[0]) {
			t.Errorf("got %+v, %v", s, err)
		}
		b.Attach(addr, emulator.Stranger(0x55))
		if d := open(t, b, grovehat.Options{}); d.String() != "grovehat@i2c-1:0x08" {
			t.Errorf("beside a stranger: got %v", d)
		}
		b.Detach(0x08)
		b.Attach(0x10, c)
		if _, err := grovehat.New(t.Context(), b, 0x10, grovehat.Options{}); err != nil {
			t.Error(err)
		}
		if _, err := grovehat.New(t.Context(), b, 0x11, grovehat.Options{}); !errors.Is(err, bus.ErrNACK) {
			t.Errorf("another address is not searched for: got %v", err)
		}
	})
}

// Volts follow the supply; one that cannot be is no supply.
func TestSupplyIsTheScale(t *testing.T) {
	for _, test := range []struct {
		supply float64
		err    error
	}{{3.1, nil}, {5, nil}, {1, bus.ErrImplausible}, {6, bus.ErrImplausible}} {
		synctest.Test(t, func(t *testing.T) {
			c := chip()
			c.Supply = test.supply
			var b emulator.Bus
			b.Attach(addr, c)
			s, err := open(t, &b, grovehat.Options{}).ReadChannel(t.Context(), 1)
			if !errors.Is(err, test.err) || err == nil && math.Abs(s.Volts-truth[1]) > 0.002 {
				t.Errorf("%v V: got %+v, %v", test.supply, s, err)
			}
		})
	}
}

// Smeared bits give a low byte that is too high, which looks like a voltage.
func TestSmearedLowByteIsImplausible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewGroveHAT(emulator.Steady(1.65)))
		d := open(t, &b, grovehat.Options{})
		b.Inject(addr, emulator.Faults{Smear: 1})
		if s, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrImplausible) {
			t.Errorf("got %+v, %v; want %v", s, err, bus.ErrImplausible)
		}
	})
}

// What one register says alone is not believed, however steady it is.
func TestFormsThatDisagreeAreImplausible(t *testing.T) {
	for _, register := range []byte{0x10, 0x20, 0x30} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, chip())
			d, err := grovehat.New(t.Context(), &lying{&b, register}, addr, grovehat.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if s, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrImplausible) {
				t.Errorf("register %02x: got %+v, %v; want %v", register, s, err, bus.ErrImplausible)
			}
		})
	}
}

// lying is a bus on which one register always has a bit too many.
type lying struct {
	*emulator.Bus
	register byte
}

func (l *lying) Tx(addr uint16, w, r []byte) error {
	err := l.Bus.Tx(addr, w, r)
	if len(w) > 0 && w[0] == l.register {
		r[0] ^= 0x20
	}
	return err
}

// A chip whose inputs are all tied to ground is no stranger, and gives 0 V.
func TestAllInputsAtGround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewGroveHAT())
		if s, err := open(t, &b, grovehat.Options{}).ReadChannel(t.Context(), 0); err != nil || s.Volts != 0 || s.Raw != 0 {
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
		d := open(t, &b, grovehat.Options{})
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
	for _, o := range []grovehat.Options{
		{Samples: 4}, {Samples: -1}, {Spacing: -time.Second},
	} {
		if _, err := grovehat.New(t.Context(), &b, addr, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
	if _, err := grovehat.New(t.Context(), &b, 0x78, grovehat.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("address 0x78: got %v, want an error about the address", err)
	}
}
