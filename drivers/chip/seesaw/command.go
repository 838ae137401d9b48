package seesaw

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// A command is a module of the firmware and a function of it.
type command [2]byte

var (
	hardwareID  = command{0x00, 0x01}
	version     = command{0x00, 0x02}
	temperature = command{0x00, 0x04}
	moisture    = command{0x0f, 0x10}
)

const (
	hardwareSAMD = 0x55
	productSoil  = 4026
)

// identify asks for the hardware and the product.
func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	err := d.fingerprint(ctx, b)
	if !errors.Is(err, bus.ErrNotReady) {
		return err
	}
	// It acknowledges and says nothing: the firmware hangs. Another chip would
	// not be reset, as it says something.
	if err := d.send(ctx, b, []byte{0x00, 0x7f, 0xff}); err != nil {
		return err
	}
	if err := bus.Sleep(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	return d.fingerprint(ctx, b)
}

// fingerprint asks twice before it calls a chip wrong: bits can be smeared.
func (d *Dev) fingerprint(ctx context.Context, b i2c.Bus) error {
	var id [1]byte
	var product [4]byte
	for range tries {
		if err := d.ask(ctx, b, hardwareID, id[:]); err != nil {
			return err
		}
		if err := d.ask(ctx, b, version, product[:]); err != nil {
			return err
		}
		if id[0] == hardwareSAMD && binary.BigEndian.Uint16(product[:]) == productSoil {
			return nil
		}
	}
	return fmt.Errorf("hardware %02x, product %d instead of %02x, %d: %w",
		id[0], binary.BigEndian.Uint16(product[:]), hardwareSAMD, productSoil, bus.ErrWrongChip)
}

// count asks for the capacitance once.
func (d *Dev) count(ctx context.Context, b i2c.Bus) (float64, error) {
	var r [2]byte
	if err := d.ask(ctx, b, moisture, r[:]); err != nil {
		return 0, err
	}
	count := int(binary.BigEndian.Uint16(r[:]))
	// 0 is the answer to a channel that the firmware does not have. Everything
	// above the maximum is smeared, not only FFFF.
	if count < 1 || count > d.o.Most {
		return 0, fmt.Errorf("%d counts are outside 1..%d: %w", count, d.o.Most, bus.ErrImplausible)
	}
	return float64(count), nil
}

// celsius asks for the temperature once: signed, with 16 bits behind the point.
// Masking the sign away, as Adafruit's library does, gives 16383.99 for an
// answer that is not there (CircuitPython_seesaw#33), and spoils frost.
func (d *Dev) celsius(ctx context.Context, b i2c.Bus) (float64, error) {
	var r [4]byte
	if err := d.ask(ctx, b, temperature, r[:]); err != nil {
		return 0, err
	}
	celsius := float64(int32(binary.BigEndian.Uint32(r[:]))) / 65536
	if celsius < -40 || celsius > 125 {
		return 0, fmt.Errorf("%.2f degrees are outside -40..125: %w", celsius, bus.ErrImplausible)
	}
	return celsius, nil
}

// ask sends a command and fetches its answer. Command and answer are two
// transactions: a repeated start between them does not end the command. The
// chip says that it is busy by not acknowledging, and that it has not started
// by FF, so longer waits are tried after a short one. New firmware needs them
// (Adafruit_Seesaw#36).
func (d *Dev) ask(ctx context.Context, b i2c.Bus, c command, r []byte) error {
	var last error
	for _, wait := range [...]time.Duration{5, 8, 12, 20} {
		if err := d.send(ctx, b, c[:]); err != nil {
			return err
		}
		if err := bus.Sleep(ctx, wait*time.Millisecond); err != nil {
			return err
		}
		last = d.fetch(ctx, b, r)
		if last == nil || !errors.Is(last, bus.ErrNotReady) && !passes(last) {
			return last
		}
	}
	return fmt.Errorf("command %02x %02x: %w", c[0], c[1], last)
}

// fetch reads an answer. One that is not acknowledged is read once more, as the
// chip may only have been busy. After any other error the command has to be sent
// anew, which empties the chip's queue: what is left there is half an answer.
func (d *Dev) fetch(ctx context.Context, b i2c.Bus, r []byte) error {
	err := b.Tx(d.addr, nil, r)
	if errors.Is(err, bus.ErrNACK) {
		if err := bus.Sleep(ctx, pause); err != nil {
			return err
		}
		err = b.Tx(d.addr, nil, r)
	}
	if err != nil {
		return err
	}
	for _, c := range r {
		if c != 0xff {
			return nil
		}
	}
	return fmt.Errorf("answer is empty: %w", bus.ErrNotReady)
}

// How often a command is sent before the bus is believed, and the pause between:
// the chip does not acknowledge while it measures, for about 3 ms.
const (
	tries = 3
	pause = 5 * time.Millisecond
)

// send may repeat: every command can be given twice.
func (d *Dev) send(ctx context.Context, b i2c.Bus, w []byte) error {
	for try := 1; ; try++ {
		err := b.Tx(d.addr, w, nil)
		if try == tries || !passes(err) {
			return err
		}
		if err := bus.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// passes tells an error that may be gone at the next try. A held bus is not
// tried again, as each try takes the kernel's timeout.
func passes(err error) bool { return errors.Is(err, bus.ErrNACK) || errors.Is(err, bus.ErrBus) }
