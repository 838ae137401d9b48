package grovehat

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Registers, as in grove.py; those of an input end with its number.
const (
	product   = 0x00
	raw       = 0x10 // counts, 12 bits
	millivolt = 0x20
	supply    = 0x29 // millivolts
	ratio     = 0x30 // of the supply, in tenths of a percent
)

// The products that have these registers.
const (
	productHAT     = 4
	productZeroHAT = 5
)

func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	var id int
	for range tries { // bits can be smeared
		var err error
		if id, err = d.read(ctx, b, product); err != nil {
			return err
		}
		if id == productHAT || id == productZeroHAT {
			return nil
		}
	}
	return fmt.Errorf("product is %04x instead of %04x or %04x: %w", id, productHAT, productZeroHAT, bus.ErrWrongChip)
}

// How far apart answers may be, which come from conversions a millisecond apart:
// two of one register, and those of different ones.
const (
	slackAgain      = 6
	slackMillivolts = 15
	slackTenths     = 5
)

// sample reads an input in its three forms. The low byte comes first here, so
// that bits which are smeared give a number that is a little too high, and
// nothing but another reading shows it.
func (d *Dev) sample(ctx context.Context, b i2c.Bus, channel int) (point, error) {
	var v [4]int
	for i, register := range [...]byte{supply, raw + byte(channel), millivolt + byte(channel), ratio + byte(channel)} {
		var err error
		if v[i], err = d.agreed(ctx, b, register); err != nil {
			return point{}, err
		}
	}
	vcc, counts, mv, tenths := v[0], v[1], v[2], v[3]
	if vcc < 2700 || vcc > 5500 {
		return point{}, fmt.Errorf("supply of %d mV is outside 2700..5500: %w", vcc, bus.ErrImplausible)
	}
	if counts > 4095 {
		return point{}, fmt.Errorf("%d counts are more than twelve bits: %w", counts, bus.ErrImplausible)
	}
	if off(counts*vcc/4096, mv) > slackMillivolts || off(counts*1000/4096, tenths) > slackTenths {
		return point{}, fmt.Errorf("%d counts, %d mV and %d per mille of %d mV disagree: %w", counts, mv, tenths, vcc, bus.ErrImplausible)
	}
	return point{raw: counts, volts: float64(counts*vcc) / 4096 / 1000}, nil
}

func off(a, b int) int { return max(a-b, b-a) }

// agreed reads a register until two readings in a row are alike.
func (d *Dev) agreed(ctx context.Context, b i2c.Bus, register byte) (int, error) {
	last, err := d.read(ctx, b, register)
	if err != nil {
		return 0, err
	}
	for range tries {
		next, err := d.read(ctx, b, register)
		if err != nil {
			return 0, err
		}
		if off(next, last) <= slackAgain {
			return next, nil
		}
		last = next
	}
	return 0, fmt.Errorf("register %02x reads differently each time: %w", register, bus.ErrImplausible)
}

func (d *Dev) read(ctx context.Context, b i2c.Bus, register byte) (int, error) {
	var r [2]byte
	err := d.transact(ctx, b, []byte{register}, r[:])
	return int(binary.LittleEndian.Uint16(r[:])), err
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
