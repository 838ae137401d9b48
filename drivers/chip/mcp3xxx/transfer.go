package mcp3xxx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
)

// tries is how often a transfer is made before its error is believed.
const tries = 3

// present looks for an input that is not at 0 V. A wire that nobody drives is
// low on a Raspberry Pi, as is that of a chip without power.
func (d *Dev) present(ctx context.Context) error {
	for channel := range d.layout.inputs {
		code, err := d.certain(ctx, channel)
		if err != nil || code > 0 {
			return err
		}
	}
	return fmt.Errorf("every input is at 0 V (MISO low, chip without power, or nothing connected): %w", bus.ErrNACK)
}

// certain takes one sample, again where its copies differ.
func (d *Dev) certain(ctx context.Context, channel int) (code int, err error) {
	for range tries {
		if code, err = d.sample(ctx, channel); !errors.Is(err, bus.ErrCRC) {
			return code, err
		}
	}
	return 0, err
}

// sample converts the input once and returns the code.
func (d *Dev) sample(ctx context.Context, channel int) (int, error) {
	r := make([]byte, d.length)
	for try := 1; ; try++ {
		err := d.conn.Tx(d.request(channel), r)
		if err == nil {
			return d.code(r)
		}
		if try == tries {
			return 0, classified(err)
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// classified gives a class to every error: the SPI of Linux, as periph reaches
// it, loses the number of the kernel.
func classified(err error) error {
	if err = bus.Classify(err); errors.As(err, new(bus.Class)) {
		return err
	}
	return fmt.Errorf("%w: %w", err, bus.ErrBus)
}

// request is the start bit, SGL and the channel. An MCP3002 has a further bit,
// MSBF: 0 asks for the result backwards as well, which the others always give.
func (d *Dev) request(channel int) []byte {
	command := 1<<d.layout.command | 1<<(d.layout.command-1) | channel
	if d.o.Model == MCP3002 {
		command = 0b1100 | channel<<1
	}
	w := make([]byte, d.length)
	for i := range 1 + d.layout.command {
		if command>>(d.layout.command-i)&1 != 0 {
			at := d.lead + i
			w[at/8] |= 0x80 >> (at % 8)
		}
	}
	return w
}

// code takes the result out of an answer: a null bit, the code from its highest
// bit down to bit 0, then from bit 1 up, then zeros. (Figures 6-1 and 5-2 of the
// datasheets.)
func (d *Dev) code(r []byte) (int, error) {
	at := d.lead + d.nullBit()
	if allOnes(r, at) {
		return 0, fmt.Errorf("MISO is high (nothing drives it): %w", bus.ErrNACK)
	}
	if bit(r, at) != 0 {
		return 0, fmt.Errorf("null bit is 1 in % x: %w", r, bus.ErrCRC)
	}
	at++
	last := at + d.layout.bits - 1 // bit 0 of the code
	code := 0
	for i := at; i <= last; i++ {
		code = code<<1 | bit(r, i)
	}
	for i := last + 1; i < 8*len(r); i++ {
		want := 0
		if k := i - last; k < d.layout.bits {
			want = code >> k & 1
		}
		if bit(r, i) != want {
			return 0, fmt.Errorf("result is not the same backwards in % x: %w", r, bus.ErrCRC)
		}
	}
	return code, nil
}

func bit(b []byte, i int) int { return int(b[i/8] >> (7 - i%8) & 1) }

func allOnes(b []byte, from int) bool {
	for i := from; i < 8*len(b); i++ {
		if bit(b, i) == 0 {
			return false
		}
	}
	return true
}
