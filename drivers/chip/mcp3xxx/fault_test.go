package mcp3xxx_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/mcp3xxx"
	"github.com/plantgate/plantgate/drivers/emulator"
	"golang.org/x/sync/errgroup"
	periph "periph.io/x/conn/v3"
	"periph.io/x/conn/v3/spi"
)

// conn is a wire that always gives the same answer.
type conn struct {
	*wire
	answer []byte
}

func (c conn) Tx(out, in []byte) error {
	c.answers = [][]byte{c.answer}
	return c.wire.Tx(out, in)
}
func (c conn) String() string                 { return "wire" }
func (c conn) Duplex() periph.Duplex          { return periph.Full }
func (c conn) TxPackets(p []spi.Packet) error { return c.Tx(p[0].W, p[0].R) }

// SPI has no acknowledge: an absent chip is a wire that is always high or always
// low, and so is one without power.
func TestAbsentChipIsNoVoltage(t *testing.T) {
	for _, model := range models {
		for _, high := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				s := emulator.SPI{IdleHigh: high}
				c := connect(t, &s)
				if _, err := mcp3xxx.New(t.Context(), c, mcp3xxx.Options{Model: model}); !errors.Is(err, bus.ErrNACK) {
					t.Errorf("%s, wire high %v: got %v, want %v", model, high, err, bus.ErrNACK)
				}
				s.Attach(chip(model))
				d, err := mcp3xxx.New(t.Context(), c, mcp3xxx.Options{Model: model})
				if err != nil {
					t.Fatal(err)
				}
				s.Detach()
				if got, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrNACK) {
					t.Errorf("%s unplugged, wire high %v: got %+v, %v; want %v", model, high, got, err, bus.ErrNACK)
				}
				s.Attach(chip(model))
				if got, err := d.ReadChannel(t.Context(), 0); err != nil || !near(got.Volts, truth[0]) {
					t.Errorf("%s back: got %+v, %v", model, got, err)
				}
			})
		}
	}
}

// Unplugged between two samples: the others are not enough.
func TestUnpluggedInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &emulator.SPI{}
		s.Attach(chip(mcp3xxx.MCP3008))
		d := open(t, s, mcp3xxx.Options{})
		var g errgroup.Group
		g.Go(func() error {
			time.Sleep(30 * time.Millisecond)
			s.Detach()
			return nil
		})
		got, err := d.ReadChannel(t.Context(), 0)
		if !errors.Is(err, bus.ErrNACK) {
			t.Errorf("got %+v, %v; want %v", got, err, bus.ErrNACK)
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// An error of the adapter is tried again, and has a class whatever it is.
func TestErrorOfTheAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s emulator.SPI
		s.Attach(chip(mcp3xxx.MCP3008))
		d := open(t, &s, mcp3xxx.Options{})
		s.Inject(emulator.SPIFaults{EIO: 1})
		if got, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrBus) {
			t.Errorf("got %+v, %v; want %v", got, err, bus.ErrBus)
		}
		s.Inject(emulator.SPIFaults{EIO: 0.1})
		if got, err := d.ReadChannel(t.Context(), 0); err != nil || !near(got.Volts, truth[0]) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	c := broken{conn{&wire{}, nil}}
	if _, err := mcp3xxx.New(t.Context(), c, mcp3xxx.Options{}); !errors.Is(err, bus.ErrBus) {
		t.Errorf("got %v, want %v", err, bus.ErrBus)
	}
}

// broken has errors without a number, as those of periph's SPI.
type broken struct{ conn }

func (broken) Tx([]byte, []byte) error { return errors.New("sysfs-spi: transfer failed") }

// A chip that loses its power for a moment has nothing to lose.
func TestBrownOutIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s emulator.SPI
		s.Attach(chip(mcp3xxx.MCP3008))
		d := open(t, &s, mcp3xxx.Options{})
		s.BrownOut()
		if got, err := d.ReadChannel(t.Context(), 1); err != nil || !near(got.Volts, truth[1]) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// Ten thousand readings over a bad cable, with wrong bits and lost clocks: some
// may fail, none may be wrong.
func TestTenThousandReadingsWithoutAWrongOne(t *testing.T) {
	total := 10000
	if testing.Short() {
		total = 1000
	}
	for i, model := range models {
		t.Run(model.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := emulator.SPI{Seed: uint64(i), IdleHigh: i%2 == 0}
				s.Attach(chip(model))
				d := open(t, &s, mcp3xxx.Options{Model: model, Framing: mcp3xxx.Framing(i % 2)})
				s.Inject(emulator.SPIFaults{EIO: 0.05, Flip: 0.01, Lost: 0.002})
				failed := 0
				for n := range total / len(models) {
					channel := n % model.Channels()
					got, err := d.ReadChannel(t.Context(), channel)
					switch {
					case err != nil:
						failed++
					case !near(got.Volts, truth[channel]):
						t.Errorf("reading %d of CH%d: got %+v, want %.3f V", n, channel, got, truth[channel])
					}
				}
				if failed > total/len(models)/20 {
					t.Errorf("%d of %d readings failed, want at most one in twenty", failed, total/len(models))
				}
			})
		})
	}
}

// Several sensors at one chip, each read on its own.
func TestInputsDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s emulator.SPI
		s.Attach(chip(mcp3xxx.MCP3208))
		c := connect(t, &s)
		var g errgroup.Group
		for channel := range 8 {
			g.Go(func() error {
				d, err := mcp3xxx.New(t.Context(), c, mcp3xxx.Options{Model: mcp3xxx.MCP3208, Samples: 1})
				if err != nil {
					return err
				}
				for range 50 {
					if got, err := d.ReadChannel(t.Context(), channel); err != nil || !near(got.Volts, truth[channel]) {
						return fmt.Errorf("CH%d: got %+v, %w", channel, got, err)
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// noise answers with whatever it is given.
type noise struct {
	conn
	bytes []byte
}

func (n *noise) Tx(_, in []byte) error {
	count := copy(in, n.bytes)
	n.bytes = n.bytes[count:]
	clear(in[count:])
	return nil
}

// FuzzWire: whatever MISO carries, a read ends and gives volts that can be.
func FuzzWire(f *testing.F) {
	f.Add([]byte{0xff, 0xfa, 0xa7, 0xca, 0x80, 0xff, 0xfa, 0xa7, 0xca, 0x80}, byte(0), byte(0), false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, byte(1), byte(1), true)
	f.Fuzz(func(t *testing.T, answers []byte, model, channel byte, first bool) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			o := mcp3xxx.Options{Model: mcp3xxx.Model(model % 5), Samples: 1}
			if first {
				o.Framing = mcp3xxx.StartFirst
			}
			d, err := mcp3xxx.New(ctx, &noise{bytes: answers}, o)
			if err != nil {
				return
			}
			got, err := d.ReadChannel(ctx, int(channel))
			if ctx.Err() != nil {
				t.Fatal("it does not end")
			}
			if err == nil && (math.IsNaN(got.Volts) || got.Volts < 0 || got.Volts >= 3.3 || got.Raw < 0 || got.Taken != 1) {
				t.Errorf("%+v", got)
			}
		})
	})
}
