package pcf8591

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Fields of the control byte: the inputs are read against ground or in pairs.
const (
	againstGround = 0x00
	againstAIN3   = 0x10 // three differences
	inPairs       = 0x30 // AIN0-AIN1, AIN2-AIN3
)

// identify asks for every input alone and for differences of inputs. What gives
// the same byte to all of it is another chip: two inputs that are alike have a
// difference of 0.
func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	var codes []int
	for _, control := range [...]byte{
		againstGround, againstGround | 1, againstGround | 2, againstGround | 3,
		againstAIN3, againstAIN3 | 1, againstAIN3 | 2, inPairs, inPairs | 1,
	} {
		code, err := d.convert(ctx, b, control)
		switch {
		case err == nil:
			codes = append(codes, code)
		case !errors.Is(err, bus.ErrImplausible):
			return err
		}
	}
	switch {
	case len(codes) == 0:
		return fmt.Errorf("conversions in a row differ at every input: %w", bus.ErrWrongChip)
	case codes[0] != 0 && slices.Max(codes) == slices.Min(codes):
		return fmt.Errorf("answer to everything is %02x: %w", codes[0], bus.ErrWrongChip)
	}
	return nil
}

// sample converts the input and returns the code.
func (d *Dev) sample(ctx context.Context, b i2c.Bus, channel int) (int, error) {
	return d.convert(ctx, b, againstGround|byte(channel))
}

// conversions in one transaction, and how far apart they may be in counts.
const (
	conversions = 4
	agreement   = 2
)

// convert reads several conversions of one control byte, of which three in a row
// must agree: a byte carries no checksum, and the bus fills up with FF what it
// loses. Each byte is converted while the one before it is read, so the first is
// as old as the last question, or 80 after power came.
func (d *Dev) convert(ctx context.Context, b i2c.Bus, control byte) (int, error) {
	var answer [1 + conversions]byte
	r := answer[1:]
	for range tries {
		if err := d.transact(ctx, b, []byte{control}, answer[:]); err != nil {
			return 0, err
		}
		for i := range conversions - 2 {
			run := r[i : i+3]
			if slices.Max(run)-slices.Min(run) <= agreement {
				return int(run[1]), nil
			}
		}
	}
	return 0, fmt.Errorf("conversions in a row are % x: %w", r, bus.ErrImplausible)
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
