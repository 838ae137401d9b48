package ads7830

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// settling is the time that the reference inside gets after it was switched on.
const settling = 10 * time.Millisecond

// identify asks for every input alone and for pairs of inputs. What gives the
// same byte to all of it is another chip: two inputs that are alike have a
// difference of 0.
func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	if err := d.transact(ctx, b, []byte{d.command(0)}, nil); err != nil {
		return err
	}
	if err := bus.Sleep(ctx, settling); err != nil {
		return err
	}
	var codes []int
	for n := range 16 {
		code, err := d.convert(ctx, b, d.power|byte(n)<<channelShift)
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

// command converts one input and leaves converter and reference on, so that the
// reference is there for the next.
func (d *Dev) command(channel int) byte {
	// The even inputs come first.
	code := channel>>1 | channel&1<<2
	return single | byte(code)<<channelShift | d.power
}

// sample converts the input and returns the code.
func (d *Dev) sample(ctx context.Context, b i2c.Bus, channel int) (int, error) {
	code, err := d.convert(ctx, b, d.command(channel))
	if err != nil {
		return 0, err
	}
	// With the reference outside it is the supply, and a probe may reach it;
	// inside it is less, and the end of the scale says only "more".
	if code == 255 && d.o.Reference == 0 {
		return 0, fmt.Errorf("input is above the reference of %s: %w", internal, bus.ErrImplausible)
	}
	return code, nil
}

// conversions in one transaction, and how far apart they may be in counts.
const (
	conversions = 4
	agreement   = 2
)

// convert reads several conversions of one command, of which three in a row
// must agree: a byte carries no checksum, and the bus smears the first one and
// fills up with FF what it loses.
func (d *Dev) convert(ctx context.Context, b i2c.Bus, command byte) (int, error) {
	var r [conversions]byte
	for range tries {
		if err := d.transact(ctx, b, []byte{command}, r[:]); err != nil {
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
