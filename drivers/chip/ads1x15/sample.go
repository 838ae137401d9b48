package ads1x15

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// sample converts the input once and returns the code.
func (d *Dev) sample(ctx context.Context, b i2c.Bus, channel int) (int, error) {
	// A start during a conversion has no effect: the result would be that of
	// another program's input.
	if _, err := d.awaitIdle(ctx, b, d.longest()); err != nil {
		return 0, err
	}
	config := d.config(channel)
	if err := d.write(ctx, b, config|operational); err != nil {
		return 0, err
	}
	period := time.Second / time.Duration(d.rate)
	if err := bus.Sleep(ctx, period*11/10); err != nil {
		return 0, err
	}
	// The oscillator may be off by 10 % (datasheet section 7.5), so the time
	// alone proves nothing: until the chip is idle, the conversion register
	// holds the value of the last conversion, of whichever input that was.
	if _, err := d.awaitIdle(ctx, b, period*14/10+20*time.Millisecond); err != nil {
		return 0, err
	}
	code, err := d.agreed(ctx, b, registerConversion)
	if err != nil {
		return 0, err
	}
	// The settings are compared last: what goes wrong before shows then as well.
	got, err := d.agreed(ctx, b, registerConfig)
	if err != nil {
		return 0, err
	}
	if got != config|operational {
		return 0, fmt.Errorf("config register holds %04x instead of %04x: %w", got, config|operational, bus.ErrReset)
	}
	return d.plausible(code)
}

// longest is the time within which any conversion ends, whoever started it.
func (d *Dev) longest() time.Duration {
	slowest := time.Second / time.Duration(d.model.rates()[0])
	return slowest*5/2 + 20*time.Millisecond
}

// awaitIdle returns the config register as soon as no conversion is under way.
func (d *Dev) awaitIdle(ctx context.Context, b i2c.Bus, limit time.Duration) (uint16, error) {
	end := time.Now().Add(limit)
	for {
		config, err := d.agreed(ctx, b, registerConfig)
		if err != nil || config&operational != 0 {
			return config, err
		}
		if time.Now().After(end) {
			return 0, fmt.Errorf("conversion timeout after %v: %w", limit, bus.ErrNotReady)
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// lowest is how far below ground an input may be, in volts. A few counts are
// normal (TI e2e 293939); far below it is a byte with its leading bits smeared.
const lowest = -0.05

// plausible turns a register into a code. Full scale means that the input is
// beyond the range.
func (d *Dev) plausible(register uint16) (int, error) {
	code := int(int16(register))
	full := 0x7fff
	if d.model == ADS1015 {
		full = 0x7ff0
	}
	if code >= full {
		return 0, fmt.Errorf("input is above the range: %w", bus.ErrImplausible)
	}
	if volts := float64(code) * d.volt; volts < lowest {
		return 0, fmt.Errorf("input is at %.3f V: %w", volts, bus.ErrImplausible)
	}
	return code, nil
}

// agreed reads a register until two readings in a row are the same. A register
// carries no checksum; a smeared or lost bit shows in no other way, and a
// smeared first byte would make a busy chip look idle.
func (d *Dev) agreed(ctx context.Context, b i2c.Bus, register byte) (uint16, error) {
	last, err := d.read(ctx, b, register)
	if err != nil {
		return 0, err
	}
	for range 2 * tries {
		next, err := d.read(ctx, b, register)
		if err != nil {
			return 0, err
		}
		if next == last {
			return next, nil
		}
		last = next
	}
	return 0, fmt.Errorf("register %d reads differently each time: %w", register, bus.ErrImplausible)
}

func (d *Dev) read(ctx context.Context, b i2c.Bus, register byte) (uint16, error) {
	var r [2]byte
	err := d.transact(ctx, b, []byte{register}, r[:])
	return uint16(r[0])<<8 | uint16(r[1]), err
}

func (d *Dev) write(ctx context.Context, b i2c.Bus, config uint16) error {
	return d.transact(ctx, b, []byte{registerConfig, byte(config >> 8), byte(config)}, nil)
}

// tries is how often a transaction is made before the bus is believed: on a
// Raspberry Pi an error can make the next transaction fail as well.
const tries = 3

// transact may repeat: every transaction with this chip can be made twice. A
// held bus is not tried again, as each try takes the kernel's timeout.
func (d *Dev) transact(ctx context.Context, b i2c.Bus, w, r []byte) error {
	for try := 1; ; try++ {
		err := b.Tx(d.addr, w, r)
		if err == nil || try == tries || !errors.Is(err, bus.ErrNACK) && !errors.Is(err, bus.ErrBus) {
			return err
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}
