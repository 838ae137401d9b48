// Package sht4x reads temperature and humidity of the air from the sensors SHT40,
// SHT41 and SHT45 of Sensirion. Datasheet "SHT4x", version 6; wiring and faults
// are in docs/wiring/sht4x.md.
//
// It guarantees that a value was measured after it was asked for and came with
// the right checksum, and that the heater was not used for it. It does not know
// whether another program heats the same chip, and it does not correct what
// weeks above 90 % do to the humidity (it creeps upwards).
package sht4x

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
	serial  uint32
}

// Commands, datasheet section 4.5.
const (
	commandMeasure = 0xfd // high precision
	commandSerial  = 0x89
)

// source is what the readings call the chip, and the configuration too.
const source = "sht4x"

// New finds the chip at addr (0x44 to 0x46) on b. Its errors are those of package
// bus: ErrNACK when nothing answers, ErrWrongChip when what answers has no serial
// number with a right checksum. That is what tells it from an SHT3x, whose
// humidity would look right and be wrong.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, options: o}
	if addr < 0x44 || addr > 0x46 {
		return nil, fmt.Errorf("%s: address is outside 0x44..0x46", d)
	}
	if o.Device == "" {
		return nil, fmt.Errorf("%s: no device is named", d)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.identify(ctx, b) })
	if err != nil {
		return nil, fmt.Errorf("%s: read serial number: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "sht4x@i2c-1:0x44".
func (d *Dev) String() string { return fmt.Sprintf("%s@%s:0x%02x", source, d.bus, d.addr) }

// Serial returns the number that the maker gave to this chip.
func (d *Dev) Serial() uint32 { return d.serial }

func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	words, err := d.ask(ctx, b, commandSerial, time.Millisecond)
	switch {
	case errors.Is(err, bus.ErrCRC), errors.Is(err, bus.ErrNotReady):
		return fmt.Errorf("%w (an SHT3x?): %w", bus.ErrWrongChip, err)
	case err != nil:
		return err
	}
	d.serial = uint32(words[0])<<16 | uint32(words[1])
	return nil
}

// Read measures once. It takes about 10 ms, more on a bad bus.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	var words [2]uint16
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		var err error
		// 8.3 ms is the greatest time of the datasheet (table 5).
		words, err = d.ask(ctx, b, commandMeasure, 8300*time.Microsecond)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: measure: %w", d, err)
	}
	temperature := -45 + 175*float64(words[0])/65535
	// 0000 and FFFF with a right checksum are what a dead sensor gives.
	if temperature < -40 || temperature > 125 {
		return nil, fmt.Errorf("%s: temperature %.2f is outside -40..125: %w", d, temperature, bus.ErrImplausible)
	}
	// The scale goes beyond what can be; the datasheet says to cut it off.
	humidity := min(max(-6+125*float64(words[1])/65535, 0), 100)
	return []reading.Reading{{
		Device: d.options.Device, Channel: d.options.Channel, Source: source,
		Values: []reading.Value{
			{Metric: reading.Temperature, Number: hundredths(temperature)},
			{Metric: reading.Humidity, Number: hundredths(humidity)},
		},
	}}, nil
}

// hundredths are what the chip resolves.
func hundredths(x float64) float64 { return math.Round(x*100) / 100 }

// tries is how often a transaction, and a whole question, is repeated before the
// bus is believed: on a Raspberry Pi an error can make the next transaction fail
// as well.
const tries = 3

// ask sends a command and returns its answer of two words. An answer can be
// fetched once, so a spoilt one means to ask again; so does one that never comes,
// because the chip forgets what it was doing when its power fails.
func (d *Dev) ask(ctx context.Context, b i2c.Bus, command byte, takes time.Duration) (words [2]uint16, err error) {
	for range tries {
		if err = d.send(ctx, b, command); err != nil {
			return words, err
		}
		if err = bus.Sleep(ctx, takes); err != nil {
			return words, err
		}
		words, err = d.fetch(ctx, b, takes*2)
		if !errors.Is(err, bus.ErrCRC) && !errors.Is(err, bus.ErrNotReady) {
			return words, err
		}
	}
	return words, err
}

// send repeats with pauses that together are longer than a measurement: a
// command that seemed to be lost may have been taken, and a busy chip does not
// acknowledge.
func (d *Dev) send(ctx context.Context, b i2c.Bus, command byte) error {
	for try := 1; ; try++ {
		err := b.Tx(d.addr, []byte{command}, nil)
		if err == nil || try == tries || !passing(err) {
			return err
		}
		if err := bus.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// fetch reads until the chip acknowledges, which is its ready bit.
func (d *Dev) fetch(ctx context.Context, b i2c.Bus, limit time.Duration) ([2]uint16, error) {
	end := time.Now().Add(limit)
	for {
		var r [6]byte
		err := b.Tx(d.addr, nil, r[:])
		if err == nil {
			return decode(r)
		}
		if !passing(err) {
			return [2]uint16{}, err
		}
		if time.Now().After(end) {
			return [2]uint16{}, fmt.Errorf("no answer to a command that was taken: %w", bus.ErrNotReady)
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return [2]uint16{}, err
		}
	}
}

// passing tells what may be over with the next transaction. A held bus is not
// tried again, as each try takes the kernel's timeout.
func passing(err error) bool { return errors.Is(err, bus.ErrNACK) || errors.Is(err, bus.ErrBus) }

// decode checks two words, each with its checksum behind it. Six equal bytes are
// a chip or a wire that says nothing, even where the checksum happens to fit.
func decode(r [6]byte) ([2]uint16, error) {
	if crc8(r[0], r[1]) != r[2] || crc8(r[3], r[4]) != r[5] || r == [6]byte{r[0], r[0], r[0], r[0], r[0], r[0]} {
		return [2]uint16{}, fmt.Errorf("answer % x: %w", r, bus.ErrCRC)
	}
	return [2]uint16{uint16(r[0])<<8 | uint16(r[1]), uint16(r[3])<<8 | uint16(r[4])}, nil
}

// crc8 is the checksum of the datasheet's section 4.4: BE EF gives 92.
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
