//go:build !linux

package bus

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// I2C is one bus of the board, /dev/i2c-N. It exists on Linux only.
type I2C struct{}

var _ i2c.BusCloser = (*I2C)(nil)

// Open returns an error: chips can be reached on Linux only.
func Open(path string) (*I2C, error) {
	return nil, fmt.Errorf("open %s: %w: Linux only: %w", path, ErrNoBus, errors.ErrUnsupported)
}

// String returns a name for messages.
func (*I2C) String() string { return "i2c" }

// Close does nothing.
func (*I2C) Close() error { return nil }

// Tx returns an error.
func (*I2C) Tx(uint16, []byte, []byte) error { return errors.ErrUnsupported }

// SetSpeed returns an error.
func (*I2C) SetSpeed(physic.Frequency) error { return errors.ErrUnsupported }
