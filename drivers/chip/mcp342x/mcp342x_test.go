package mcp342x_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/mcp342x"
	"github.com/plantgate/plantgate/drivers/emulator"
	"periph.io/x/conn/v3/physic"
)

const addr = 0x68

// truth is what hangs at the inputs, in volts.
var truth = [...]float64{1.6, 0.83, 1.95, 0}

// count is the resolution, in volts.
const count = 2.048 / 32768

func inputs() (v []emulator.Volts) {
	for _, volts := range truth {
		v = append(v, emulator.Steady(volts))
	}
	return v
}

func chip() *emulator.MCP342x { return emulator.NewMCP342x(inputs()...) }

func open(t *testing.T, b *emulator.Bus, o mcp342x.Options) *mcp342x.Dev {
	t.Helper()
	d, err := mcp342x.New(t.Context(), b, addr, o)
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
		d := open(t, b, mcp342x.Options{})
		if want := "mcp3424@i2c-1:0x68"; d.String() != want {
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

// An oscillator at its limits, every number of bits: never the result of another
// input.
func TestSlowClockNeverGivesAnotherInput(t *testing.T) {
	for _, bits := range []int{12, 14, 16, 18} {
		for _, oscillator := range []float64{0.9, 0.97, 1, 1.1} {
			t.Run(fmt.Sprint(bits, oscillator), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := chip()
					c.Oscillator = oscillator
					var b emulator.Bus
					b.Attach(addr, c)
					d := open(t, &b, mcp342x.Options{Bits: bits, Samples: 1})
					for i := range 8 {
						channel := i * 3 % 4
						s, err := d.ReadChannel(t.Context(), channel)
						if err != nil || math.Abs(s.Volts-truth[channel]) > 0.001 {
							t.Errorf("CH%d: got %+v, %v; want %.3f V", channel+1, s, err, truth[channel])
						}
					}
				})
			})
		}
	}
}

// What is beyond the range is an error, not the end of the scale.
func TestOutOfRangeIsImplausible(t *testing.T) {
	for _, volts := range []float64{2.83, -0.1} {
		for _, bits := range []int{12, 16, 18} {
			synctest.Test(t, func(t *testing.T) {
				var b emulator.Bus
				b.Attach(addr, emulator.NewMCP342x(emulator.Steady(volts)))
				if s, err := open(t, &b, mcp342x.Options{Bits: bits}).ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrImplausible) {
					t.Errorf("%v V: got %+v, %v; want %v", volts, s, err, bus.ErrImplausible)
				}
			})
		}
	}
}

// A few counts below zero are normal, and no voltage.
func TestALittleBelowZeroIsZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewMCP342x(emulator.Steady(-0.002)))
		if s, err := open(t, &b, mcp342x.Options{}).ReadChannel(t.Context(), 0); err != nil || s.Raw != -32 || s.Volts != 0 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

func TestRangeIsTheScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewMCP342x(emulator.Steady(0.2)))
		d := open(t, &b, mcp342x.Options{Range: 256 * physic.MilliVolt})
		if s, err := d.ReadChannel(t.Context(), 0); err != nil || s.Raw != 25600 || !near(s.Volts, 0.2) {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

// A conversion that never ends, and a supply that never holds.
func TestChipThatDoesNotWorkIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chip()
		var b emulator.Bus
		b.Attach(addr, c)
		d := open(t, &b, mcp342x.Options{})
		c.Oscillator = 1e-6
		start := time.Now()
		if s, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrNotReady) || time.Since(start) > time.Second {
			t.Errorf("got %+v, %v after %v; want %v", s, err, time.Since(start), bus.ErrNotReady)
		}
		c.Oscillator = 1
		for at := time.Duration(0); at < 2*time.Second; at += 3 * time.Millisecond {
			b.After(at, func(b *emulator.Bus) { b.BrownOut(addr) })
		}
		if s, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrReset) {
			t.Errorf("got %+v, %v; want %v", s, err, bus.ErrReset)
		}
	})
}

func TestModelsHaveTheirInputs(t *testing.T) {
	for _, test := range []struct {
		model    mcp342x.Model
		name     string
		channels int
	}{
		{mcp342x.MCP3421, "mcp3421", 1}, {mcp342x.MCP3422, "mcp3422", 2}, {mcp342x.MCP3423, "mcp3423", 2}, {mcp342x.MCP3424, "mcp3424", 4},
		{mcp342x.MCP3425, "mcp3425", 1}, {mcp342x.MCP3426, "mcp3426", 2}, {mcp342x.MCP3427, "mcp3427", 2}, {mcp342x.MCP3428, "mcp3428", 4},
	} {
		if test.model.String() != test.name || test.model.Channels() != test.channels {
			t.Errorf("got %s with %d inputs, want %s with %d", test.model, test.model.Channels(), test.name, test.channels)
		}
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, chip())
			d := open(t, &b, mcp342x.Options{Model: test.model, Samples: 1})
			for channel := range test.channels + 1 {
				if _, err := d.ReadChannel(t.Context(), channel); (err == nil) != (channel < test.channels) {
					t.Errorf("%s: channel %d: %v", test.model, channel, err)
				}
			}
		})
	}
}

// A chip whose inputs are all tied to ground is no stranger, and gives 0 V.
func TestAllInputsAtGround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewMCP342x())
		if s, err := open(t, &b, mcp342x.Options{}).ReadChannel(t.Context(), 0); err != nil || s.Volts != 0 || s.Raw != 0 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

func TestOptionsThatCannotBeAreErrors(t *testing.T) {
	var b emulator.Bus
	for _, o := range []mcp342x.Options{
		{Samples: 4}, {Samples: -1}, {Spacing: -time.Second}, {Range: physic.Volt}, {Bits: 13}, {Bits: 18, Model: mcp342x.MCP3425}, {Model: 9}, {Model: -1},
	} {
		if _, err := mcp342x.New(t.Context(), &b, addr, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
	if _, err := mcp342x.New(t.Context(), &b, 0x20, mcp342x.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("address 0x20: got %v, want an error about the address", err)
	}
}
