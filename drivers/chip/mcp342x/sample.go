package mcp342x

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Fields of the configuration, datasheet register 5-1. Without continuous mode
// every conversion is started.
const (
	start           = 0x80 // RDY: written, starts; read, the result is old
	channelShift    = 5    // C
	resolutionShift = 2    // S
	otherGain       = 0x01 // G0
)

// identify writes two settings without a start and looks whether they are kept.
func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	for _, want := range [...]byte{d.config(0) ^ otherGain, d.config(0)} {
		if err := d.keeps(ctx, b, want); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dev) keeps(ctx context.Context, b i2c.Bus, want byte) error {
	for range tries { // a write can be lost without an error
		if err := d.transact(ctx, b, []byte{want}, nil); err != nil {
			return err
		}
		var r result
		if err := d.transact(ctx, b, nil, r[:d.length()]); err != nil {
			return err
		}
		if _, err := d.code(r, want); err == nil {
			return nil
		}
	}
	return fmt.Errorf("configuration %02x is not kept: %w", want, bus.ErrWrongChip)
}

func (d *Dev) config(channel int) byte { return d.settings | byte(channel)<<channelShift }

// A result is what the chip tells: two or three bytes of it, and its
// configuration three times.
type result [3 + configs]byte

const configs = 3

func (d *Dev) length() int { return d.width() + configs }

// width is the number of bytes of a code.
func (d *Dev) width() int {
	if d.o.Bits == 18 {
		return 3
	}
	return 2
}

// code takes the code out of a result whose configuration is the one wanted,
// each time it comes: a byte that is lost on the wires moves the others, and the
// last one shows it.
func (d *Dev) code(r result, want byte) (int, error) {
	for _, config := range r[d.width():d.length()] {
		if config&^start != want {
			return 0, fmt.Errorf("configuration is %02x instead of %02x: %w", config&^start, want, bus.ErrReset)
		}
	}
	code := int(int8(r[0]))
	for _, c := range r[1:d.width()] {
		code = code<<8 | int(c)
	}
	return code, nil
}

// sample converts the input once and returns the code. It starts again after an
// error: the chip tells a result as new only once, and may have told it to
// nobody.
func (d *Dev) sample(ctx context.Context, b i2c.Bus, channel int) (int, error) {
	var code int
	var err error
	for range tries {
		code, err = d.convert(ctx, b, d.config(channel))
		if err == nil {
			return d.plausible(code)
		}
		if !errors.Is(err, bus.ErrNotReady) && !passes(err) {
			break
		}
	}
	return 0, err
}

func (d *Dev) convert(ctx context.Context, b i2c.Bus, config byte) (int, error) {
	if err := d.transact(ctx, b, []byte{config | start}, nil); err != nil {
		return 0, err
	}
	if err := bus.Sleep(ctx, d.period); err != nil {
		return 0, err
	}
	r, err := d.await(ctx, b, config)
	if err != nil {
		return 0, err
	}
	return d.agreed(ctx, b, r, config)
}

// await reads until the result is a new one. Until then it is the one before, of
// whichever input that was. Writing and reading in one transaction, as SMBus
// does, would write the configuration anew each time. A chip that has another
// configuration twice in a row has lost this one, and no result will come.
func (d *Dev) await(ctx context.Context, b i2c.Bus, config byte) (result, error) {
	limit := d.period/2 + 20*time.Millisecond
	end := time.Now().Add(limit)
	var lost error
	for {
		var r result
		if err := b.Tx(d.addr, nil, r[:d.length()]); err != nil {
			return r, err
		}
		_, err := d.code(r, config)
		switch {
		case err != nil && lost != nil:
			return r, err
		case err == nil && r[d.width()]&start == 0:
			return r, nil
		case time.Now().After(end):
			return r, fmt.Errorf("conversion timeout after %v: %w", d.period+limit, bus.ErrNotReady)
		}
		lost = err
		if err := bus.Sleep(ctx, max(d.period/20, time.Millisecond)); err != nil {
			return r, err
		}
	}
}

// agreed reads the result until two readings in a row are the same. It carries
// no checksum; a smeared bit shows in no other way.
func (d *Dev) agreed(ctx context.Context, b i2c.Bus, r result, config byte) (int, error) {
	last, failed := d.code(r, config)
	for range 2 * tries {
		if err := d.transact(ctx, b, nil, r[:d.length()]); err != nil {
			return 0, err
		}
		next, err := d.code(r, config)
		if err == nil && failed == nil && next == last {
			return next, nil
		}
		last, failed = next, err
	}
	if failed != nil {
		return 0, failed
	}
	return 0, fmt.Errorf("result reads differently each time: %w", bus.ErrImplausible)
}

// lowest is how far plus may be below minus, in volts. A few counts are normal.
const lowest = -0.05

// plausible refuses the ends of the scale, which say only "more" or "less".
func (d *Dev) plausible(code int) (int, error) {
	if full := 1 << (d.o.Bits - 1); code >= full-1 || code < -full {
		return 0, fmt.Errorf("input is above the range: %w", bus.ErrImplausible)
	}
	if volts := float64(code) * d.volt; volts < lowest {
		return 0, fmt.Errorf("input is at %.3f V: %w", volts, bus.ErrImplausible)
	}
	return code, nil
}

// tries is how often a transaction is made before the bus is believed: on a
// Raspberry Pi an error can make the next transaction fail as well.
const tries = 3

// transact may repeat: a conversion that is started twice starts anew. A held
// bus is not tried again, as each try takes the kernel's timeout.
func (d *Dev) transact(ctx context.Context, b i2c.Bus, w, r []byte) error {
	for try := 1; ; try++ {
		err := b.Tx(d.addr, w, r)
		if try == tries || !passes(err) {
			return err
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// passes tells an error that may be gone at the next try.
func passes(err error) bool { return errors.Is(err, bus.ErrNACK) || errors.Is(err, bus.ErrBus) }
