// Package bh1750 reads the light sensor BH1750FVI of Rohm, in lux. Datasheet
// revision D; wiring and faults are in docs/wiring/bh1750.md.
//
// The chip says neither what it is nor when it is done, and its result carries
// no checksum. So the light is measured with different times until two results
// in a row agree: a chip that was reset, a start that got lost, a result of the
// time before, another chip or a wire at one level do not scale with the time.
//
// It guarantees that a value above 2 lx was measured twice after it was asked for.
// It does not know the dark from a chip that always says 0, and light that changes
// by more than a third within half a second gives no value.
package bh1750

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

// Options says what the chip is called in its readings.
type Options struct {
	Device  string // must be given
	Channel string // "" for a device with one channel
}

// Dev is one chip.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	options Options
}

// source is what the readings call the chip, and the configuration too.
const source = "bh1750"

// Commands, datasheet page 5.
const (
	commandPowerOn  = 0x01
	commandReset    = 0x07 // sets the result to 0
	commandOnce     = 0x20 // one measurement of high resolution, then sleep
	commandSpanHigh = 0x40 // the upper three bits of MTreg follow
	commandSpanLow  = 0x60 // the lower five bits follow
)

// The measurement times as MTreg counts them. They share the lower five bits, so
// that a byte that gets lost gives twice or half the time, never nearly the right
// one.
const (
	spanShort  = 31 // up to 121,000 lx: the sun
	spanMiddle = 63
	spanLong   = 127 // down to 0.5 lx
	spanUsual  = 69  // the one of the datasheet's figures
)

// New finds the chip at addr (0x23, or 0x5c with ADDR high) on b and measures
// once, as that alone shows what it is. Its errors are those of package bus:
// ErrNACK when nothing answers, ErrWrongChip when results do not follow the
// measurement time. In the dark, any chip that says 0 passes.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, options: o}
	if addr != 0x23 && addr != 0x5c {
		return nil, fmt.Errorf("%s: address is neither 0x23 nor 0x5c", d)
	}
	if o.Device == "" {
		return nil, fmt.Errorf("%s: no device is named", d)
	}
	if err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.exclude(ctx, b) }); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	_, err := d.measure(ctx)
	switch {
	case errors.Is(err, bus.ErrImplausible):
		return nil, fmt.Errorf("%s: %w: %w", d, bus.ErrWrongChip, err)
	case err != nil && !errors.Is(err, Saturated):
		return nil, fmt.Errorf("%s: measure: %w", d, err)
	}
	return d, nil
}

// exclude looks for the LTR559, which has the same address on the Grow HAT and
// would pass for darkness: its registers 86 and 87 name it. To a BH1750 86 is no
// command.
func (d *Dev) exclude(ctx context.Context, b i2c.Bus) error {
	for range tries {
		var r [2]byte
		if err := d.transact(ctx, b, []byte{0x86}, r[:]); err != nil {
			return err
		}
		if r != [2]byte{0x92, 0x05} {
			return nil
		}
	}
	return fmt.Errorf("an LTR559: %w", bus.ErrWrongChip)
}

// String returns the model and where it is, for example "bh1750@i2c-1:0x23".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s:0x%02x", source, d.bus, d.addr) }

// Read measures until two results agree. It takes about 0.6 s, in light that
// flickers up to 1.5 s.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	lux, err := d.measure(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: measure: %w", d, err)
	}
	return []reading.Reading{{
		Device: d.options.Device, Channel: d.options.Channel, Source: source,
		Values: []reading.Value{{Metric: reading.Illuminance, Number: math.Round(lux*10) / 10}},
	}}, nil
}

// A Fault is why a chip that works gives no value. It is an error; errors.Is
// finds it in what Read returns.
type Fault string

// Saturated means that there is more light than the chip can measure.
const Saturated Fault = "sensor is saturated (give it shade or a diffuser)"

// Error returns what is wrong.
func (f Fault) Error() string { return string(f) }

// State returns the health state of a sensor with this fault.
func (f Fault) State() string { return "saturated" }

// A result is what one measurement gave.
type result struct {
	count uint16
	span  byte
}

// cutOff is the greatest result: there may have been more light.
const cutOff = 0xffff

// lux is count/1.2 for the usual time (datasheet page 11).
func (r result) lux() float64 { return float64(r.count) / 1.2 * spanUsual / float64(r.span) }

// next is the time that tells most after r: another one, in which the result is
// neither cut off nor coarse.
func (r result) next() byte {
	switch {
	case r.span != spanMiddle:
		return spanMiddle
	case r.count < 0x6000:
		return spanLong
	default:
		return spanShort
	}
}

// agrees allows for light that changes, and for a count more or less. A result
// that was cut off only says that there is at least as much light.
func (r result) agrees(last result) bool {
	if r.count == cutOff {
		return false
	}
	a, b := r.lux(), last.lux()
	if last.count == cutOff && a > b {
		return true
	}
	return math.Abs(a-b) <= max(a, b)/3+1.2
}

// most is how often the light is measured for one value.
const most = 5

// measure measures with one time after the other until two results agree. It
// takes three to believe in the dark: 0 is also what is left when a command got
// lost.
func (d *Dev) measure(ctx context.Context) (lux float64, err error) {
	err = bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		last := result{span: spanLong}
		dark, full := 0, 0
		for i := range most {
			r, err := d.once(ctx, b, last.next())
			if err != nil {
				return err
			}
			switch r.count {
			case 0:
				dark++
			case cutOff:
				full++
			}
			if i > 0 && r.agrees(last) && (r.count > 0 || dark > 2) {
				lux = r.lux()
				return nil
			}
			last = r
		}
		if full == most {
			return fmt.Errorf("brighter than 121,000 lx: %w", Saturated)
		}
		return fmt.Errorf("results do not follow the measurement time: %w", bus.ErrImplausible)
	})
	return lux, err
}

// once measures with one time.
func (d *Dev) once(ctx context.Context, b i2c.Bus, span byte) (result, error) {
	if err := d.clear(ctx, b); err != nil {
		return result{}, err
	}
	if err := d.order(ctx, b, commandSpanHigh|span>>5, commandSpanLow|span&0x1f, commandOnce); err != nil {
		return result{}, err
	}
	// There is no ready bit: the greatest time of the datasheet, 180 ms for the
	// usual span, and a tenth more.
	if err := bus.Sleep(ctx, 198*time.Millisecond*time.Duration(span)/spanUsual); err != nil {
		return result{}, err
	}
	count, err := d.agreed(ctx, b)
	return result{count, span}, err
}

// clear wakes the chip and sets the result to 0: what is read after a measurement
// is then of that, or nothing. What does not become 0 is another chip.
func (d *Dev) clear(ctx context.Context, b i2c.Bus) error {
	var count uint16
	for range tries {
		if err := d.order(ctx, b, commandPowerOn, commandReset); err != nil {
			return err
		}
		var err error
		if count, err = d.agreed(ctx, b); err != nil {
			return err
		}
		if count == 0 {
			return nil
		}
	}
	return fmt.Errorf("result stays at %d when it is set to 0: %w", count, bus.ErrImplausible)
}

func (d *Dev) order(ctx context.Context, b i2c.Bus, commands ...byte) error {
	for _, command := range commands {
		if err := d.transact(ctx, b, []byte{command}, nil); err != nil {
			return err
		}
	}
	return nil
}

// alike is how many equal readings of the result are believed. Its first byte is
// the one that smears, and carries most.
const alike = 3

func (d *Dev) agreed(ctx context.Context, b i2c.Bus) (uint16, error) {
	var last uint16
	same := 0
	for range 4 * alike {
		var r [2]byte
		if err := d.transact(ctx, b, nil, r[:]); err != nil {
			return 0, err
		}
		count := uint16(r[0])<<8 | uint16(r[1])
		if count != last {
			same = 0
		}
		if same++; same == alike {
			return count, nil
		}
		last = count
	}
	return 0, fmt.Errorf("result reads differently each time: %w", bus.ErrImplausible)
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
