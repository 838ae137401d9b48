package ltr559

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Registers and fields of the datasheet.
const (
	registerControl   = 0x80
	registerProximity = 0x81
	registerRate      = 0x85
	registerPart      = 0x86 // and the maker behind it, and the values behind that
	registerStatus    = 0x8c

	active    = 0x01
	softReset = 0x02
	gainShift = 2

	statusInvalid = 0x80
	statusNew     = 0x04
	statusGain    = 4 // shift

	part  = 0x90 // the lower four bits are the revision
	maker = 0x05
)

// A scale is one range of the chip.
type scale struct {
	gain  byte // code in the control register
	rate  byte // of the register: time of one integration, pause of half a second
	takes time.Duration
	times float64 // how many counts for one at gain 1 and 100 ms
}

// scales go from the coarsest to the finest.
func scales() []scale {
	return []scale{
		{0, 0x0b, 50 * time.Millisecond, 0.5},
		{2, 0x03, 100 * time.Millisecond, 4},
		{6, 0x03, 100 * time.Millisecond, 48},
		{7, 0x13, 200 * time.Millisecond, 192},
	}
}

func (s scale) control() byte { return s.gain<<gainShift | active }

// A result is what one measurement gave: counts of visible and infrared light,
// and of infrared alone.
type result struct {
	first, second uint16
	scale         scale
}

func (r result) cutOff() bool { return max(r.first, r.second) == 0xffff }

// greatest is more than the sun gives, in lux.
const greatest = 150000

// dazzled tells whether there is more light than the scale can show, or than
// there can be.
func (r result) dazzled() bool { return r.cutOff() || r.lux() > greatest }

// lux is the formula of the datasheet's appendix A: how much of the first channel
// an eye sees depends on the share of the second one.
func (r result) lux() float64 {
	first, second := float64(r.first)/r.scale.times, float64(r.second)/r.scale.times
	if first+second == 0 {
		return 0
	}
	switch share := second / (first + second); {
	case share < 0.45:
		return 1.7743*first + 1.1059*second
	case share < 0.64:
		return 4.2785*first - 1.9548*second
	case share < 0.85:
		return 0.5926*first + 0.1185*second
	default:
		return 0 // infrared alone
	}
}

// agrees allows for light that changes, and for a count or two of the coarser
// scale. It compares what was counted: in dim light the formula jumps.
func (r result) agrees(last result) bool {
	if r.cutOff() || last.cutOff() {
		return false
	}
	a, b := float64(r.first)/r.scale.times, float64(last.first)/last.scale.times
	return math.Abs(a-b) <= max(a, b)/3+2/min(r.scale.times, last.scale.times)
}

// next is the finest scale in which light of the last result has room.
func (r result) next() scale {
	next := scales()[0]
	for _, s := range scales()[1:] {
		if !r.cutOff() && float64(max(r.first, r.second))/r.scale.times*s.times*1.5 < 0xffff {
			next = s
		}
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
		if r.agrees(last) && !r.dazzled() {
			return r.lux(), nil
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

// setUp identifies the chip, resets it, and switches proximity off, whose
// infrared lamp shines on leaves.
func (d *Dev) setUp(ctx context.Context, b i2c.Bus) error {
	name, err := d.agreed(ctx, b, registerPart, 2)
	if err != nil {
		return err
	}
	if name[0]&0xf0 != part || name[1] != maker {
		return fmt.Errorf("part and maker are % x: %w", name, bus.ErrWrongChip)
	}
	if err := d.transact(ctx, b, []byte{registerControl, softReset}, nil); err != nil {
		return err
	}
	if err := bus.Sleep(ctx, 10*time.Millisecond); err != nil {
		return err
	}
	end := time.Now().Add(200 * time.Millisecond)
	for {
		control, err := d.agreed(ctx, b, registerControl, 1)
		if err != nil {
			return err
		}
		if control[0]&softReset == 0 {
			return d.set(ctx, b, registerProximity, 0)
		}
		if time.Now().After(end) {
			return fmt.Errorf("reset does not end: %w", bus.ErrNotReady)
		}
		if err := bus.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// once measures with one scale. It starts from standby, as settings that change
// under way would count for a part of it; what was not fetched before is thrown
// away, as it would look new.
func (d *Dev) once(ctx context.Context, b i2c.Bus, s scale) (result, error) {
	if err := d.set(ctx, b, registerControl, s.control()&^active); err != nil {
		return result{}, err
	}
	if err := d.set(ctx, b, registerRate, s.rate); err != nil {
		return result{}, err
	}
	if _, err := d.agreed(ctx, b, registerPart, 6); err != nil {
		return result{}, err
	}
	if err := d.set(ctx, b, registerControl, s.control()); err != nil {
		return result{}, err
	}
	if err := bus.Sleep(ctx, s.takes*11/10+10*time.Millisecond); err != nil {
		return result{}, err
	}
	if err := d.await(ctx, b, s); err != nil {
		return result{}, err
	}
	// The name comes first as a shield: it is the first byte that smears.
	page, err := d.agreed(ctx, b, registerPart, 6)
	if err != nil {
		return result{}, err
	}
	if page[0]&0xf0 != part || page[1] != maker {
		return result{}, fmt.Errorf("part and maker are % x: %w", page[:2], bus.ErrReset)
	}
	// The settings are compared last: what goes wrong before shows then as well.
	return result{
		second: uint16(page[2]) | uint16(page[3])<<8,
		first:  uint16(page[4]) | uint16(page[5])<<8,
		scale:  s,
	}, d.compareAll(ctx, b, s)
}

// await polls the status until there is new data of this gain. A smeared status
// has the bit of invalid data set.
func (d *Dev) await(ctx context.Context, b i2c.Bus, s scale) error {
	end := time.Now().Add(s.takes + 50*time.Millisecond)
	for {
		var r [1]byte
		if err := d.transact(ctx, b, []byte{registerStatus}, r[:]); err != nil {
			return err
		}
		if r[0]&(statusInvalid|statusNew) == statusNew && r[0]>>statusGain&7 == s.gain {
			return nil
		}
		if time.Now().After(end) {
			if err := d.compareAll(ctx, b, s); err != nil {
				return err
			}
			return fmt.Errorf("no valid data, status %02x: %w", r[0], bus.ErrNotReady)
		}
		if err := bus.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *Dev) compareAll(ctx context.Context, b i2c.Bus, s scale) error {
	if err := d.compare(ctx, b, registerControl, s.control()); err != nil {
		return err
	}
	return d.compare(ctx, b, registerRate, s.rate)
}

// set writes a register until it holds the value: a write can be lost without an
// error.
func (d *Dev) set(ctx context.Context, b i2c.Bus, register, value byte) (err error) {
	for range tries {
		if err = d.transact(ctx, b, []byte{register, value}, nil); err != nil {
			return err
		}
		if err = d.compare(ctx, b, register, value); !errors.Is(err, bus.ErrReset) {
			return err
		}
	}
	return err
}

func (d *Dev) compare(ctx context.Context, b i2c.Bus, register, want byte) error {
	got, err := d.agreed(ctx, b, register, 1)
	if err == nil && got[0] != want {
		return fmt.Errorf("register %02x holds %02x instead of %02x: %w", register, got[0], want, bus.ErrReset)
	}
	return err
}

// agreed reads registers until two readings in a row are the same: they carry no
// checksum.
func (d *Dev) agreed(ctx context.Context, b i2c.Bus, register byte, n int) ([]byte, error) {
	last, next := make([]byte, n), make([]byte, n)
	if err := d.transact(ctx, b, []byte{register}, last); err != nil {
		return nil, err
	}
	for range 2 * tries {
		if err := d.transact(ctx, b, []byte{register}, next); err != nil {
			return nil, err
		}
		if bytes.Equal(last, next) {
			return next, nil
		}
		last, next = next, last
	}
	return nil, fmt.Errorf("register %02x reads differently each time: %w", register, bus.ErrImplausible)
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
