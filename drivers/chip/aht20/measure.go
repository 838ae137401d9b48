package aht20

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Bits of the status byte, which is the first of every read.
const (
	statusBusy       = 0x80
	statusMode       = 0x60 // 00 is the mode of the AHT10 that is used here
	statusCalibrated = 0x08
)

// The times of the datasheets: the AHT10 measures for 75 ms, the AHT20 for 80 ms,
// and after a start both are deaf for up to 20 ms.
const (
	takes    = 75 * time.Millisecond
	patience = 200 * time.Millisecond
)

// initialise loads the calibration where the chip did not do so by itself.
func (d *Dev) initialise(ctx context.Context, b i2c.Bus) error {
	command := []byte{0xbe, 0x08, 0x00}
	if d.options.Model == AHT10 {
		command[0] = 0xe1
	}
	var status byte
	for range tries {
		var err error
		if status, err = d.status(ctx, b); err != nil {
			return err
		}
		if status&(statusCalibrated|statusMode) == statusCalibrated {
			return nil
		}
		if err := d.transact(ctx, b, command, nil); err != nil {
			return err
		}
		if err := bus.Sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("status is %02x: %w", status, bus.ErrWrongChip)
}

// status reads until two readings in a row are alike: a byte alone has no
// checksum.
func (d *Dev) status(ctx context.Context, b i2c.Bus) (byte, error) {
	var last, next [1]byte
	if err := d.transact(ctx, b, nil, last[:]); err != nil {
		return 0, err
	}
	for range 2 * tries {
		if err := d.transact(ctx, b, nil, next[:]); err != nil {
			return 0, err
		}
		if next == last {
			return next[0], nil
		}
		last = next
	}
	return 0, fmt.Errorf("status reads differently each time: %w", bus.ErrImplausible)
}

// measure measures, again where that gave what cannot be.
func (d *Dev) measure(ctx context.Context, b i2c.Bus) (c codes, err error) {
	for range tries {
		if c, err = d.measureOnce(ctx, b); err == nil {
			err = c.check()
		}
		if !errors.Is(err, bus.ErrImplausible) {
			return c, err
		}
	}
	return c, err
}

func (d *Dev) measureOnce(ctx context.Context, b i2c.Bus) (codes, error) {
	if err := d.start(ctx, b); err != nil {
		return codes{}, err
	}
	if err := bus.Sleep(ctx, takes); err != nil {
		return codes{}, err
	}
	return d.fetch(ctx, b)
}

// start asks for a measurement and looks whether the chip is busy with it: a
// command that got lost leaves the last values where they are, with a right
// checksum.
func (d *Dev) start(ctx context.Context, b i2c.Bus) error {
	for range tries {
		if err := d.transact(ctx, b, []byte{0xac, 0x33, 0x00}, nil); err != nil {
			return err
		}
		status, err := d.status(ctx, b)
		if err != nil {
			return err
		}
		if status&statusBusy != 0 {
			return nil
		}
	}
	return fmt.Errorf("measurement does not start: %w", bus.ErrNotReady)
}

// fetch reads until the chip is done and the values are sure.
func (d *Dev) fetch(ctx context.Context, b i2c.Bus) (codes, error) {
	end := time.Now().Add(patience)
	var spoilt error
	for {
		r, err := d.answer(ctx, b)
		switch {
		case errors.Is(err, bus.ErrCRC):
			spoilt = err
		case err != nil:
			return codes{}, err
		case r[0]&statusBusy == 0 && r[0]&statusCalibrated == 0:
			return codes{}, fmt.Errorf("calibration is lost: %w", bus.ErrReset)
		case r[0]&statusBusy == 0:
			return codes{
				humidity: uint32(r[1])<<12 | uint32(r[2])<<4 | uint32(r[3])>>4,
				warmth:   uint32(r[3]&0x0f)<<16 | uint32(r[4])<<8 | uint32(r[5]),
			}, nil
		}
		if time.Now().After(end) {
			if spoilt != nil {
				return codes{}, spoilt
			}
			return codes{}, fmt.Errorf("still busy after %v: %w", patience, bus.ErrNotReady)
		}
		if err := bus.Sleep(ctx, 10*time.Millisecond); err != nil {
			return codes{}, err
		}
	}
}

// answer reads status and values. Those of an AHT10 have no checksum and are read
// twice.
func (d *Dev) answer(ctx context.Context, b i2c.Bus) ([6]byte, error) {
	var first, second [7]byte
	n := len(first)
	if d.options.Model == AHT10 {
		n--
	}
	if err := d.transact(ctx, b, nil, first[:n]); err != nil {
		return [6]byte{}, err
	}
	if d.options.Model == AHT10 {
		if err := d.transact(ctx, b, nil, second[:n]); err != nil {
			return [6]byte{}, err
		}
		if first != second {
			return [6]byte{}, fmt.Errorf("answers % x and % x differ: %w", first[:n], second[:n], bus.ErrCRC)
		}
		return [6]byte(first[:n]), nil
	}
	if crc8(first[:6]) != first[6] {
		return [6]byte{}, fmt.Errorf("answer % x: %w", first, bus.ErrCRC)
	}
	return [6]byte(first[:6]), nil
}

// tries is how often something is done before the bus is believed: on a Raspberry
// Pi an error can make the next transaction fail as well.
const tries = 3

// transact may repeat: every transaction with this chip can be made twice. The
// pauses together are longer than a start of the chip. A held bus is not tried
// again, as each try takes the kernel's timeout.
func (d *Dev) transact(ctx context.Context, b i2c.Bus, w, r []byte) error {
	for try := 1; ; try++ {
		err := b.Tx(d.addr, w, r)
		if err == nil || try == tries || !errors.Is(err, bus.ErrNACK) && !errors.Is(err, bus.ErrBus) {
			return err
		}
		if err := bus.Sleep(ctx, 11*time.Millisecond); err != nil {
			return err
		}
	}
}

// crc8 is the checksum of the AHT20: polynomial 31, starting with all ones.
func crc8(data []byte) byte {
	crc := byte(0xff)
	for _, b := range data {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
