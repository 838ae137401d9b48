package veml7700

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Registers, datasheet table 1. They have two bytes, the lower one first.
const (
	registerConf      = 0x00
	registerHigh      = 0x01 // threshold of an interrupt that is not used
	registerPowerSave = 0x03
	registerLight     = 0x04

	shutDown = 0x0001
	// marker stands in the unused threshold, which is 0 after a start: it shows a
	// reset, and that the chip keeps what is written to it.
	marker = 0xa53c
)

// A scale is one range of the chip.
type scale struct {
	conf  uint16        // of the register
	takes time.Duration // one integration
	lux   float64       // of one count, without correction
}

// scales go from the coarsest to the finest. One count is 0.0036 lx at gain 2 and
// 800 ms (application note, page 5), and in proportion more at less.
func scales() []scale {
	return []scale{
		{0x1300, 25 * time.Millisecond, 1.8432},  // gain 1/8
		{0x1000, 100 * time.Millisecond, 0.4608}, // gain 1/8
		{0x0000, 100 * time.Millisecond, 0.0576}, // gain 1
		{0x0880, 400 * time.Millisecond, 0.0072}, // gain 2
	}
}

// greatest is up to where the correction is given, in lux.
const greatest = 120000

// A result is what one measurement gave.
type result struct {
	count uint16
	scale scale
}

// cutOff is the greatest result: there may have been more light.
const cutOff = 0xffff

func (r result) linear() float64 { return float64(r.count) * r.scale.lux }

// lux corrects strong light, of which the chip shows less than its share
// (application note, page 21).
func (r result) lux() float64 {
	x := r.linear()
	if x <= 1000 {
		return x
	}
	return (((6.0135e-13*x-9.3924e-9)*x+8.1488e-5)*x + 1.0023) * x
}

// dazzled tells whether there is more light than the scale, or the chip, can
// show.
func (r result) dazzled() bool { return r.count == cutOff || r.lux() > greatest }

// agrees allows for light that changes, and for a count or two of the coarser
// scale.
func (r result) agrees(last result) bool {
	if r.count == cutOff || last.count == cutOff {
		return false
	}
	a, b := r.linear(), last.linear()
	return math.Abs(a-b) <= max(a, b)/3+2*max(r.scale.lux, last.scale.lux)
}

// next is the finest scale in which light of the last result has room, and not
// the same one: that would not show a register that stands still.
func (r result) next() scale {
	all := scales()
	next := all[0]
	for _, s := range all[1:] {
		if r.count != cutOff && r.linear()*1.5/s.lux < cutOff && s != r.scale {
			next = s
		}
	}
	if next == r.scale {
		return all[1]
	}
	return next
}

// most is how often the light is measured for one value.
const most = 6

// measure measures with one scale after the other until two results agree.
func (d *Dev) measure(ctx context.Context, b i2c.Bus) (float64, error) {
	last, err := d.once(ctx, b, scales()[0])
	if err != nil {
		return 0, err
	}
	full := 0
	for range most {
		r, err := d.once(ctx, b, last.next())
		if err != nil {
			return 0, err
		}
		if r.agrees(last) {
			return bounded(r.lux())
		}
		if r.dazzled() && last.dazzled() {
			full++
		}
		last = r
	}
	if full == most {
		return 0, Saturated
	}
	return 0, fmt.Errorf("ranges do not agree: %w", bus.ErrImplausible)
}

func bounded(lux float64) (float64, error) {
	if lux > greatest {
		return 0, fmt.Errorf("brighter than %d lx: %w", greatest, Saturated)
	}
	return lux, nil
}

// setUp makes a reset visible and ends the power saving mode, in which results
// come seconds later.
func (d *Dev) setUp(ctx context.Context, b i2c.Bus) error {
	if err := d.set(ctx, b, registerPowerSave, 0); err != nil {
		return err
	}
	if err := d.set(ctx, b, registerConf, shutDown); err != nil {
		return err
	}
	return d.set(ctx, b, registerHigh, marker)
}

// once measures with one scale. Settings are changed while the chip is shut down:
// else an integration under way would end with some of each.
func (d *Dev) once(ctx context.Context, b i2c.Bus, s scale) (result, error) {
	for _, conf := range []uint16{s.conf | shutDown, s.conf} {
		if err := d.set(ctx, b, registerConf, conf); err != nil {
			return result{}, err
		}
	}
	// There is no ready bit. Twice the time, and what it takes to wake up: until
	// the first integration ends, the register holds the result before it.
	if err := bus.Sleep(ctx, 2*s.takes+5*time.Millisecond); err != nil {
		return result{}, err
	}
	count, err := d.agreed(ctx, b, registerLight)
	if err != nil {
		return result{}, err
	}
	// The settings are compared last: what goes wrong before shows then as well.
	for _, kept := range []struct {
		register byte
		value    uint16
	}{{registerConf, s.conf}, {registerPowerSave, 0}, {registerHigh, marker}} {
		if err := d.compare(ctx, b, kept.register, kept.value); err != nil {
			return result{}, err
		}
	}
	return result{count, s}, nil
}

// set writes a register until it holds the value: a write can be lost without an
// error.
func (d *Dev) set(ctx context.Context, b i2c.Bus, register byte, value uint16) (err error) {
	for range tries {
		if err = d.transact(ctx, b, []byte{register, byte(value), byte(value >> 8)}, nil); err != nil {
			return err
		}
		if err = d.compare(ctx, b, register, value); !errors.Is(err, bus.ErrReset) {
			return err
		}
	}
	return err
}

func (d *Dev) compare(ctx context.Context, b i2c.Bus, register byte, want uint16) error {
	got, err := d.agreed(ctx, b, register)
	if err == nil && got != want {
		return fmt.Errorf("register %d holds %04x instead of %04x: %w", register, got, want, bus.ErrReset)
	}
	return err
}

// alike is how many equal readings of a register are believed.
const alike = 3

func (d *Dev) agreed(ctx context.Context, b i2c.Bus, register byte) (uint16, error) {
	var last uint16
	same := 0
	for range 4 * alike {
		var r [2]byte
		if err := d.transact(ctx, b, []byte{register}, r[:]); err != nil {
			return 0, err
		}
		value := uint16(r[0]) | uint16(r[1])<<8
		if value != last {
			same = 0
		}
		if same++; same == alike {
			return value, nil
		}
		last = value
	}
	return 0, fmt.Errorf("register %d reads differently each time: %w", register, bus.ErrImplausible)
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
