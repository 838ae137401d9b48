package chirp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Commands of the firmware.
const (
	getCapacitance = 0x00
	getAddress     = 0x02
	getTemperature = 0x05
	reset          = 0x06
	getVersion     = 0x07
)

// The firmwares that are known to speak this way.
const (
	oldestVersion = 0x22
	newestVersion = 0x26
)

// identify asks for version and address: other chips at 0x20 are port expanders,
// which answer with whatever their pins say.
func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	err := d.fingerprint(ctx, b)
	if !errors.Is(err, bus.ErrNotReady) {
		return err
	}
	// It acknowledges and says nothing: the firmware hangs. Another chip would
	// not be reset, as it says something.
	if err := d.restart(ctx, b); err != nil {
		return err
	}
	return d.fingerprint(ctx, b)
}

func (d *Dev) fingerprint(ctx context.Context, b i2c.Bus) error {
	var version, addr byte
	for range tries { // bits can be smeared
		var err error
		if version, err = d.askByte(ctx, b, getVersion); err != nil {
			return err
		}
		if addr, err = d.askByte(ctx, b, getAddress); err != nil {
			return err
		}
		if version >= oldestVersion && version <= newestVersion && uint16(addr) == d.addr {
			d.version = version
			return nil
		}
	}
	return fmt.Errorf("version %02x, address %02x: %w", version, addr, bus.ErrWrongChip)
}

// inStep asks for the version, which is known: another answer is not that to the
// question. After a reset it must be right.
func (d *Dev) inStep(ctx context.Context, b i2c.Bus) error {
	for range tries {
		version, err := d.askByte(ctx, b, getVersion)
		if err == nil && version == d.version {
			return nil
		}
		if err != nil && !errors.Is(err, bus.ErrNotReady) {
			return err
		}
	}
	if err := d.restart(ctx, b); err != nil {
		return err
	}
	version, err := d.askByte(ctx, b, getVersion)
	if err == nil && version != d.version {
		err = fmt.Errorf("version is %02x and was %02x: %w", version, d.version, bus.ErrWrongChip)
	}
	return err
}

// restart resets the sensor. It measures before it answers, and its first
// values may be off for a while.
func (d *Dev) restart(ctx context.Context, b i2c.Bus) error {
	if err := d.send(ctx, b, reset); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return bus.Sleep(ctx, time.Second)
}

// What a count can be. It is 1023 less a difference of a ten bit converter, and
// no sensor counts less than 200 in air.
const (
	leastCount = 100
	mostCount  = 1023
)

func (d *Dev) count(ctx context.Context, b i2c.Bus) (float64, error) {
	var r [2]byte
	if err := d.ask(ctx, b, getCapacitance, r[:]); err != nil {
		return 0, err
	}
	count := int(binary.BigEndian.Uint16(r[:]))
	if count < leastCount || count > mostCount {
		return 0, fmt.Errorf("%d counts are outside %d..%d: %w", count, leastCount, mostCount, bus.ErrImplausible)
	}
	return float64(count), nil
}

// The ends of the thermistor's table, in tenths of a degree: what an open or a
// shorted one gives.
const (
	coldestTenth = -200
	hottestTenth = 850
)

// celsius is signed: read without a sign, frost is 6,550 degrees (chirp-rpi). The
// bytes FF FF would be -0.1 degrees and are also what an empty ring gives; they
// are not believed.
func (d *Dev) celsius(ctx context.Context, b i2c.Bus) (float64, error) {
	var r [2]byte
	if err := d.ask(ctx, b, getTemperature, r[:]); err != nil {
		return 0, err
	}
	tenths := int16(binary.BigEndian.Uint16(r[:]))
	switch {
	case tenths == coldestTenth || tenths == hottestTenth:
		return 0, fmt.Errorf("thermistor is open or shorted: %w", bus.ErrImplausible)
	case tenths < coldestTenth || tenths > hottestTenth:
		return 0, fmt.Errorf("%.1f degrees are outside -20..85: %w", float64(tenths)/10, bus.ErrImplausible)
	}
	return float64(tenths) / 10, nil
}

func (d *Dev) askByte(ctx context.Context, b i2c.Bus, command byte) (byte, error) {
	var r [1]byte
	err := d.ask(ctx, b, command, r[:])
	return r[0], err
}

// rest is the time the sensor has for measuring after an answer.
const rest = 50 * time.Millisecond

// ask sends a command and fetches its answer, with longer waits when it is not
// there yet. The sensor has no ready bit: its busy flag is told by the loop that
// measures, and so never during a measurement.
func (d *Dev) ask(ctx context.Context, b i2c.Bus, command byte, r []byte) error {
	var last error
	for _, wait := range [...]time.Duration{20, 40, 80} {
		if err := d.empty(ctx, b); err != nil {
			return err
		}
		if err := d.send(ctx, b, command); err != nil {
			return err
		}
		if err := bus.Sleep(ctx, wait*time.Millisecond); err != nil {
			return err
		}
		last = d.fetch(b, r)
		if err := bus.Sleep(ctx, rest); err != nil {
			return err
		}
		if last == nil || !errors.Is(last, bus.ErrNotReady) && !passes(last) {
			return last
		}
	}
	return fmt.Errorf("command %02x: %w", command, last)
}

// empty takes out of the sensor's ring of 16 bytes what no question of ours is
// waiting for: replies that came late, or that another program asked for.
func (d *Dev) empty(ctx context.Context, b i2c.Bus) error {
	var ring [16]byte
	return d.transact(ctx, b, nil, ring[:])
}

// fetch reads an answer once: a second reading would not get the same bytes.
func (d *Dev) fetch(b i2c.Bus, r []byte) error {
	if err := b.Tx(d.addr, nil, r); err != nil {
		return err
	}
	for _, c := range r {
		if c != 0xff {
			return nil
		}
	}
	return fmt.Errorf("answer is empty: %w", bus.ErrNotReady)
}

func (d *Dev) send(ctx context.Context, b i2c.Bus, command byte) error {
	return d.transact(ctx, b, []byte{command}, nil)
}

// How often a transaction is made before the bus is believed, and the pause
// between.
const (
	tries = 3
	pause = 5 * time.Millisecond
)

// transact may repeat: a command that is given twice replies twice, and the ring
// is emptied before the next. A held bus is not tried again, as each try takes
// the kernel's timeout.
func (d *Dev) transact(ctx context.Context, b i2c.Bus, w, r []byte) error {
	for try := 1; ; try++ {
		err := b.Tx(d.addr, w, r)
		if try == tries || !passes(err) {
			return err
		}
		if err := bus.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// passes tells an error that may be gone at the next try.
func passes(err error) bool { return errors.Is(err, bus.ErrNACK) || errors.Is(err, bus.ErrBus) }
