// Package sht3x reads temperature and humidity of the air from the sensors SHT30,
// SHT31 and SHT35 of Sensirion and their clones. Datasheet "SHT3x-DIS", version
// 7; wiring and faults are in docs/wiring/sht3x.md.
//
// It guarantees that a value was measured after it was asked for and came with
// the right checksum, and that it is marked where the chip was reset or its heater
// was on meanwhile. It does not know whether another program uses the same chip.
package sht3x

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

// Dev is one chip. It is not for several goroutines.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	options Options
	clears  bool // the chip's note of a reset can be cleared; some clones' cannot
}

// Commands, datasheet section 4.
const (
	commandMeasure   = 0x2400 // high repeatability, without clock stretching
	commandBreak     = 0x3093 // ends periodic measurement
	commandHeaterOff = 0x3066
	commandStatus    = 0xf32d
	commandClear     = 0x3041
)

// Fields of the status, datasheet table 18.
const (
	statusHeater = 0x2000
	statusReset  = 0x0010
)

// source is what the readings call the chip, and the configuration too.
const source = "sht3x"

// pause is what the datasheet asks for between two commands.
const pause = time.Millisecond

// New finds the chip at addr (0x44 or 0x45) on b, ends a periodic measurement
// that another program left behind, and switches the heater off: clones come up
// with it on (esphome/issues#1465). Its errors are those of package bus: ErrNACK
// when nothing answers, ErrWrongChip when what answers has no status with a right
// checksum, which is what tells it from an SHT4x.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, options: o}
	if addr != 0x44 && addr != 0x45 {
		return nil, fmt.Errorf("%s: address is neither 0x44 nor 0x45", d)
	}
	if o.Device == "" {
		return nil, fmt.Errorf("%s: no device is named", d)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.identify(ctx, b) })
	if err != nil {
		return nil, fmt.Errorf("%s: set up: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "sht3x@i2c-1:0x44".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s:0x%02x", source, d.bus, d.addr) }

func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	if err := d.order(ctx, b, commandBreak); err != nil {
		return err
	}
	err := d.settle(ctx, b)
	if errors.Is(err, bus.ErrCRC) || errors.Is(err, bus.ErrNotReady) {
		return fmt.Errorf("%w (an SHT4x?): %w", bus.ErrWrongChip, err)
	}
	return err
}

// settle switches the heater off and makes the next reset visible.
func (d *Dev) settle(ctx context.Context, b i2c.Bus) error {
	for _, command := range []uint16{commandHeaterOff, commandClear} {
		if err := d.order(ctx, b, command); err != nil {
			return err
		}
	}
	status, err := d.status(ctx, b)
	if err != nil {
		return err
	}
	if status&statusHeater != 0 {
		return fmt.Errorf("heater stays on: %w", bus.ErrWrongChip)
	}
	d.clears = status&statusReset == 0
	return nil
}

// order sends a command that has no answer.
func (d *Dev) order(ctx context.Context, b i2c.Bus, command uint16) error {
	if err := d.send(ctx, b, command); err != nil {
		return err
	}
	return bus.Sleep(ctx, pause)
}

func (d *Dev) status(ctx context.Context, b i2c.Bus) (uint16, error) {
	var r [3]byte
	err := d.ask(ctx, b, commandStatus, pause, r[:])
	return uint16(r[0])<<8 | uint16(r[1]), err
}

// Read measures once. It takes about 20 ms, more on a bad bus. When the chip was
// reset since the last time, or its heater was on, the values are marked suspect
// and come with ErrReset; the chip is set up again.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	var answer [6]byte
	var doubt error
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		// 15.5 ms is the greatest time of the datasheet (table 4).
		err := d.ask(ctx, b, commandMeasure, 15500*time.Microsecond, answer[:])
		if err != nil {
			return err
		}
		doubt, err = d.doubt(ctx, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: measure: %w", d, err)
	}
	r, err := d.reading(answer, doubt != nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	if doubt != nil {
		return r, fmt.Errorf("%s: %w", d, doubt)
	}
	return r, nil
}

// doubt looks, after the measurement, at what may have spoilt it: what went wrong
// before shows then as well. A chip without this status is another one, which
// may have answered the measurement too.
func (d *Dev) doubt(ctx context.Context, b i2c.Bus) (doubt, err error) {
	status, err := d.status(ctx, b)
	switch {
	case err != nil:
		return nil, err
	case status&statusHeater != 0:
		doubt = fmt.Errorf("heater was on: %w", bus.ErrReset)
	case status&statusReset != 0 && d.clears:
		doubt = fmt.Errorf("chip was restarted: %w", bus.ErrReset)
	default:
		return nil, nil
	}
	return doubt, d.settle(ctx, b)
}

func (d *Dev) reading(answer [6]byte, suspect bool) ([]reading.Reading, error) {
	temperature := -45 + 175*float64(uint16(answer[0])<<8|uint16(answer[1]))/65535
	humidity := 100 * float64(uint16(answer[3])<<8|uint16(answer[4])) / 65535
	// 0000 and FFFF with a right checksum are what a dead sensor gives.
	if temperature < -40 || temperature > 125 {
		return nil, fmt.Errorf("temperature %.2f is outside -40..125: %w", temperature, bus.ErrImplausible)
	}
	return []reading.Reading{{
		Device: d.options.Device, Channel: d.options.Channel, Source: source,
		Values: []reading.Value{
			{Metric: reading.Temperature, Number: hundredths(temperature), Suspect: suspect},
			{Metric: reading.Humidity, Number: hundredths(humidity), Suspect: suspect},
		},
	}}, nil
}

// hundredths are what the chip resolves.
func hundredths(x float64) float64 { return math.Round(x*100) / 100 }

// tries is how often a transaction, and a whole question, is repeated before the
// bus is believed: on a Raspberry Pi an error can make the next transaction fail
// as well.
const tries = 3

// ask sends a command and fills r with its answer. An answer can be fetched once,
// so a spoilt one means to ask again; so does one that never comes,
// because the chip forgets what it was doing when its power fails.
func (d *Dev) ask(ctx context.Context, b i2c.Bus, command uint16, takes time.Duration, r []byte) (err error) {
	for range tries {
		if err = d.send(ctx, b, command); err != nil {
			return err
		}
		if err = bus.Sleep(ctx, takes); err != nil {
			return err
		}
		err = d.fetch(ctx, b, takes*2, r)
		if !errors.Is(err, bus.ErrCRC) && !errors.Is(err, bus.ErrNotReady) {
			return err
		}
	}
	return err
}

// send repeats with pauses that together are longer than a measurement: a
// command that seemed to be lost may have been taken, and a busy chip does not
// acknowledge.
func (d *Dev) send(ctx context.Context, b i2c.Bus, command uint16) error {
	for try := 1; ; try++ {
		err := b.Tx(d.addr, []byte{byte(command >> 8), byte(command)}, nil)
		if err == nil || try == tries || !passing(err) {
			return err
		}
		if err := bus.Sleep(ctx, 9*time.Millisecond); err != nil {
			return err
		}
	}
}

// fetch reads until the chip acknowledges, which is its ready bit.
func (d *Dev) fetch(ctx context.Context, b i2c.Bus, limit time.Duration, r []byte) error {
	end := time.Now().Add(limit)
	for {
		err := b.Tx(d.addr, nil, r)
		if err == nil {
			return check(r)
		}
		if !passing(err) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("no answer to a command that was taken: %w", bus.ErrNotReady)
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// passing tells what may be over with the next transaction. A held bus is not
// tried again, as each try takes the kernel's timeout.
func passing(err error) bool { return errors.Is(err, bus.ErrNACK) || errors.Is(err, bus.ErrBus) }

// check looks at words with their checksums behind them. Equal bytes throughout
// are a chip or a wire that says nothing, even where the checksum happens to fit.
func check(r []byte) error {
	same := true
	for i := 0; i < len(r); i += 3 {
		if crc8(r[i], r[i+1]) != r[i+2] {
			return fmt.Errorf("answer % x: %w", r, bus.ErrCRC)
		}
		same = same && r[i] == r[0] && r[i+1] == r[0] && r[i+2] == r[0]
	}
	if same {
		return fmt.Errorf("answer % x: %w", r, bus.ErrCRC)
	}
	return nil
}

// crc8 is the checksum of the datasheet's section 4.12: BE EF gives 92.
func crc8(data ...byte) byte {
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
