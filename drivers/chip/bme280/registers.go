package bme280

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"periph.io/x/conn/v3/i2c"
)

// Registers and fields, BST-BME280-DS002 section 5.3.
const (
	registerTrim     = 0x88
	registerID       = 0xd0
	registerReset    = 0xe0
	registerTrimHum  = 0xe1
	registerCtrlHum  = 0xf2
	registerStatus   = 0xf3
	registerCtrlMeas = 0xf4
	registerConfig   = 0xf5
	registerData     = 0xf7

	idBME280 = 0x60
	idBMP280 = 0x58

	resetWord = 0xb6
	measuring = 0x08 // of the status
	copying   = 0x01 // of the status: the calibration is not there yet

	ctrlHum  = 0x01 // oversampling once
	ctrlMeas = 0x24 // both once, asleep
	forced   = 0x01 // measure once
	modeMask = 0x03
	// config has no meaning for single measurements. It is not 00, which the chip
	// has after a start, so that a reset shows.
	config = 0xa0
)

// patience bounds every wait for the chip.
const patience = 100 * time.Millisecond

// setUp identifies the chip, resets it, reads its calibration, and measures once
// for nothing: the first values after a start are poor
// (zephyrproject-rtos/zephyr#37231). The reset cures 700 hPa after a sleep
// (esphome/issues#3383).
func (d *Dev) setUp(ctx context.Context, b i2c.Bus) error {
	d.missed = false
	if err := d.identify(ctx, b); err != nil {
		return err
	}
	if err := d.transact(ctx, b, []byte{registerReset, resetWord}, nil); err != nil {
		return err
	}
	if err := bus.Sleep(ctx, 2*time.Millisecond); err != nil {
		return err
	}
	err := d.await(ctx, func() (bool, error) {
		status, err := d.agreed(ctx, b, registerStatus, 1)
		return err == nil && status[0]&copying == 0, err
	})
	if err != nil {
		return fmt.Errorf("read calibration: %w", err)
	}
	if d.raw, err = d.readTrim(ctx, b); err != nil {
		return err
	}
	d.trim = trimOf(d.raw)
	if d.trim.t[1] == 0 || d.trim.p[1] == 0 {
		return fmt.Errorf("calibration is empty: %w", bus.ErrWrongChip)
	}
	if err := d.transact(ctx, b, []byte{registerConfig, config}, nil); err != nil {
		return err
	}
	_, err = d.measureCodes(ctx, b)
	return err
}

func (d *Dev) identify(ctx context.Context, b i2c.Bus) error {
	want := byte(idBME280)
	if d.options.Model == BMP280 {
		want = idBMP280
	}
	var id []byte
	for range tries { // some say 00 first
		var err error
		if id, err = d.agreed(ctx, b, registerID, 1); err != nil {
			return err
		}
		if id[0] == want {
			return nil
		}
	}
	name := map[byte]string{idBME280: ", a BME280", idBMP280: ", a BMP280 (without humidity)", 0x61: ", a BME680", 0x55: ", a BMP180"}[id[0]]
	return fmt.Errorf("id is %02x%s: %w", id[0], name, bus.ErrWrongChip)
}

// readTrim reads the calibration of this unit.
func (d *Dev) readTrim(ctx context.Context, b i2c.Bus) (raw [33]byte, err error) {
	low, err := d.agreed(ctx, b, registerTrim, 26)
	if err != nil || d.options.Model == BMP280 {
		copy(raw[:], low)
		return raw, err
	}
	high, err := d.agreed(ctx, b, registerTrimHum, 7)
	copy(raw[:], low)
	copy(raw[26:], high)
	return raw, err
}

// measure measures once. It returns ErrReset when the chip is not the one that
// was set up, or forgot that it was.
func (d *Dev) measure(ctx context.Context, b i2c.Bus) (values, error) {
	if err := d.recheck(ctx, b); err != nil {
		return values{}, err
	}
	c, err := d.measureCodes(ctx, b)
	if err != nil {
		return values{}, err
	}
	v := d.trim.compensate(c)
	return v, v.check(d.options.Model)
}

// recheck reads the calibration again when a transaction failed: another unit may
// have been plugged in meanwhile.
func (d *Dev) recheck(ctx context.Context, b i2c.Bus) error {
	if !d.missed {
		return nil
	}
	d.missed = false
	raw, err := d.readTrim(ctx, b)
	if err != nil {
		return err
	}
	if raw != d.raw {
		return fmt.Errorf("calibration is another one: %w", bus.ErrReset)
	}
	return nil
}

// measureCodes starts one measurement and waits for its end.
func (d *Dev) measureCodes(ctx context.Context, b i2c.Bus) (codes, error) {
	if err := d.start(ctx, b); err != nil {
		return codes{}, err
	}
	if err := bus.Sleep(ctx, 8*time.Millisecond); err != nil {
		return codes{}, err
	}
	var page []byte
	err := d.await(ctx, func() (bool, error) {
		var err error
		page, err = d.agreed(ctx, b, registerCtrlHum, registerData+8-registerCtrlHum)
		return err == nil && page[1]&measuring == 0 && page[2]&modeMask == 0, err
	})
	if err != nil {
		return codes{}, fmt.Errorf("measure: %w", err)
	}
	return d.decode(page)
}

// start asks for one measurement. ctrl_hum counts only when ctrl_meas is written
// after it (hybridgroup/gobot#424). That it was taken is looked at: a start that
// got lost leaves the last values where they are.
func (d *Dev) start(ctx context.Context, b i2c.Bus) error {
	w := []byte{registerCtrlHum, ctrlHum, registerCtrlMeas, ctrlMeas | forced}
	if d.options.Model == BMP280 {
		w = w[2:]
	}
	for range tries {
		if err := d.transact(ctx, b, w, nil); err != nil {
			return err
		}
		// The status comes first as a shield: it is the first byte that smears.
		var r [2]byte
		if err := d.transact(ctx, b, []byte{registerStatus}, r[:]); err != nil {
			return err
		}
		if r[1] == ctrlMeas|forced {
			return nil
		}
	}
	return fmt.Errorf("measurement does not start: %w", bus.ErrNotReady)
}

// decode takes apart the registers from F2 on. The settings stand in front of
// the values, so that they are of the same instant.
func (d *Dev) decode(page []byte) (codes, error) {
	wrong := page[2] != ctrlMeas || page[3] != config || d.options.Model == BME280 && page[0] != ctrlHum
	if wrong {
		return codes{}, fmt.Errorf("settings are % x: %w", page[:4], bus.ErrReset)
	}
	data := page[registerData-registerCtrlHum:]
	c := codes{
		pressure:    int64(data[0])<<12 | int64(data[1])<<4 | int64(data[2])>>4,
		temperature: int64(data[3])<<12 | int64(data[4])<<4 | int64(data[5])>>4,
		humidity:    int64(data[6])<<8 | int64(data[7]),
	}
	if c.pressure == skipped || c.temperature == skipped || d.options.Model == BME280 && c.humidity == skippedHumidity {
		return codes{}, fmt.Errorf("nothing was measured: %w", bus.ErrReset)
	}
	return c, nil
}

// What stands in place of a value that was not measured.
const (
	skipped         = 0x80000
	skippedHumidity = 0x8000
)

// await calls done until it says so, at most for as long as any work of the chip
// may take.
func (d *Dev) await(ctx context.Context, done func() (bool, error)) error {
	end := time.Now().Add(patience)
	for {
		ready, err := done()
		if err != nil || ready {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("still busy after %v: %w", patience, bus.ErrNotReady)
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
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
		if err == nil {
			return nil
		}
		d.missed = true
		if try == tries || !errors.Is(err, bus.ErrNACK) && !errors.Is(err, bus.ErrBus) {
			return err
		}
		if err := bus.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}
