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
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// truth is what hangs at the inputs, in volts; those of a chip with fewer inputs
// are its first.
var truth = [8]float64{2.19, 1.6, 2.83, 0, 0.9, 3.1, 1.2, 3.29}

func inputs(n int) (v []emulator.Volts) {
	for _, volts := range truth[:n] {
		v = append(v, emulator.Steady(volts))
	}
	return v
}

func chip(m mcp3xxx.Model) *emulator.MCP3xxx {
	switch v := inputs(m.Channels()); m {
	case mcp3xxx.MCP3002:
		return emulator.NewMCP3002(v...)
	case mcp3xxx.MCP3004:
		return emulator.NewMCP3004(v...)
	case mcp3xxx.MCP3204:
		return emulator.NewMCP3204(v...)
	case mcp3xxx.MCP3208:
		return emulator.NewMCP3208(v...)
	default:
		return emulator.NewMCP3008(v...)
	}
}

var models = []mcp3xxx.Model{mcp3xxx.MCP3002, mcp3xxx.MCP3004, mcp3xxx.MCP3008, mcp3xxx.MCP3204, mcp3xxx.MCP3208}

func connect(t *testing.T, s *emulator.SPI) spi.Conn {
	t.Helper()
	c, err := s.Connect(mcp3xxx.MaxSpeed, mcp3xxx.Mode, 8)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, s *emulator.SPI, o mcp3xxx.Options) *mcp3xxx.Dev {
	t.Helper()
	d, err := mcp3xxx.New(t.Context(), connect(t, s), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// near is within one count of ten bits.
func near(got, want float64) bool { return math.Abs(got-want) <= 3.3/1024 }

// Every input of every model, in both framings.
func TestEveryInputInBothFramings(t *testing.T) {
	for _, model := range models {
		for _, framing := range []mcp3xxx.Framing{mcp3xxx.Aligned, mcp3xxx.StartFirst} {
			t.Run(fmt.Sprint(model, framing), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := emulator.SPI{Name: "spi0.0", IdleHigh: framing == mcp3xxx.Aligned}
					s.Attach(chip(model))
					d := open(t, &s, mcp3xxx.Options{Model: model, Framing: framing})
					if want := model.String() + "@spi0.0"; d.String() != want {
						t.Errorf("got name %q, want %q", d, want)
					}
					for channel := range model.Channels() {
						got, err := d.ReadChannel(t.Context(), channel)
						if err != nil || !near(got.Volts, truth[channel]) || got.Spread != 0 || got.Taken != 5 || got.Rejected != 0 {
							t.Errorf("CH%d: got %+v, %v; want %.3f V", channel, got, err, truth[channel])
						}
					}
					if _, err := d.ReadChannel(t.Context(), model.Channels()); err == nil {
						t.Error("an input that the chip does not have was read")
					}
				})
			})
		}
	}
}

// A wire is a recorder of what is sent, with answers from a list.
type wire struct {
	sent    [][]byte
	answers [][]byte
}

func (w *wire) Tx(out, in []byte) error {
	w.sent = append(w.sent, append([]byte(nil), out...))
	clear(in)
	if len(w.answers) > 0 {
		copy(in, w.answers[0])
		w.answers = w.answers[1:]
	}
	return nil
}

// The bytes of the datasheet's and of Adafruit's framing, and what their answers
// mean.
func TestBytesOnTheWire(t *testing.T) {
	for _, test := range []struct {
		model   mcp3xxx.Model
		framing mcp3xxx.Framing
		channel int
		request []byte
		answer  []byte
		raw     int
	}{
		{mcp3xxx.MCP3008, mcp3xxx.Aligned, 0, []byte{0x01, 0x80, 0}, []byte{0xff, 0xfa, 0xa7, 0xca, 0x80}, 0x2a7},
		{mcp3xxx.MCP3008, mcp3xxx.Aligned, 5, []byte{0x01, 0xd0, 0}, []byte{0xff, 0xfa, 0xa7, 0xca, 0x80}, 0x2a7},
		{mcp3xxx.MCP3008, mcp3xxx.StartFirst, 0, []byte{0xc0, 0, 0}, []byte{0x01, 0x53, 0xe5, 0x40}, 0x2a7},
		{mcp3xxx.MCP3008, mcp3xxx.StartFirst, 5, []byte{0xe8, 0, 0}, []byte{0x01, 0x53, 0xe5, 0x40}, 0x2a7},
		{mcp3xxx.MCP3208, mcp3xxx.Aligned, 0, []byte{0x06, 0x00, 0}, []byte{0xff, 0xea, 0x5c, 0x74, 0xa0}, 0xa5c},
		{mcp3xxx.MCP3208, mcp3xxx.Aligned, 5, []byte{0x07, 0x40, 0}, []byte{0xff, 0xea, 0x5c, 0x74, 0x80}, -1},
		{mcp3xxx.MCP3002, mcp3xxx.Aligned, 1, []byte{0x70, 0x00}, []byte{0xfa, 0xa7, 0xca, 0x80}, 0x2a7},
	} {
		w := &wire{}
		d, err := mcp3xxx.New(t.Context(), conn{w, test.answer}, mcp3xxx.Options{Model: test.model, Framing: test.framing, Samples: 1})
		if test.raw < 0 {
			if !errors.Is(err, bus.ErrCRC) {
				t.Errorf("%s % x: got %v, want %v", test.model, test.answer, err, bus.ErrCRC)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s %v: %v", test.model, test.framing, err)
		}
		got, err := d.ReadChannel(t.Context(), test.channel)
		if err != nil || got.Raw != test.raw {
			t.Errorf("%s channel %d: got %+v, %v; want %x", test.model, test.channel, got, err, test.raw)
		}
		sent := w.sent[len(w.sent)-1]
		for i := range sent {
			if i < len(test.request) && sent[i] != test.request[i] || i >= len(test.request) && sent[i] != 0 {
				t.Errorf("%s channel %d: sent % x, want % x and zeros", test.model, test.channel, sent, test.request)
			}
		}
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s emulator.SPI
		s.Attach(chip(mcp3xxx.MCP3008))
		d := open(t, &s, mcp3xxx.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := d.ReadChannel(ctx, 0); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 30*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestOptionsThatCannotBeAreErrors(t *testing.T) {
	c := connect(t, &emulator.SPI{})
	for _, o := range []mcp3xxx.Options{
		{Model: 9}, {Model: -1}, {Samples: 2}, {Samples: -3}, {Spacing: -1}, {Reference: physic.MilliVolt}, {Reference: 12 * physic.Volt},
	} {
		if _, err := mcp3xxx.New(t.Context(), c, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
}

// The reference makes the volts.
func TestReferenceIsTheScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s emulator.SPI
		c := chip(mcp3xxx.MCP3208)
		c.Reference = 4.096
		s.Attach(c)
		d := open(t, &s, mcp3xxx.Options{Model: mcp3xxx.MCP3208, Reference: 4096 * physic.MilliVolt})
		if got, err := d.ReadChannel(t.Context(), 0); err != nil || got.Raw != 2190 || !near(got.Volts, 2.19) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
