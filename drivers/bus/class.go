// Package bus reaches chips over the I2C buses of Linux, lets several drivers
// share one bus, and names what can go wrong there.
//
// It guarantees that an error keeps the number the kernel gave it and belongs to
// a class that errors.Is finds, whichever bus it came from; and that a driver
// which holds a chip is not interrupted by another driver of this program. It
// does not know any chip, it never picks a bus by itself, and it cannot keep
// another program from using the same chip.
package bus

import (
	"errors"
	"fmt"
	"syscall"
)

// A Class is the kind of a failure: what a caller branches on, and what a person
// can do about it. A Class is an error; errors.Is finds it in what this package
// and the drivers return.
type Class string

// The classes.
const (
	ErrNACK        Class = "chip does not answer (check its cable, its power and its address)"
	ErrTimeout     Class = "bus is held (a wire is shorted or a chip hangs: switch the power of the chips off and on)"
	ErrBus         Class = "transfer broke off (check cable length and pull-ups; a lower i2c_arm_baudrate may help)"
	ErrCRC         Class = "checksum is wrong"
	ErrNotReady    Class = "chip does not get ready"
	ErrImplausible Class = "value is not possible"
	ErrWrongChip   Class = "another chip answers at this address"
	ErrReset       Class = "chip lost its settings (its power fails, or another program uses it)"
	ErrNoBus       Class = "bus cannot be used"
)

// Error returns what happened and what to do.
func (c Class) Error() string { return string(c) }

// State returns the health state of a sensor whose reading fails in this way.
func (c Class) State() string { return stateOf[c] }

var stateOf = map[Class]string{
	ErrNACK:        "not_present",
	ErrTimeout:     "bus_stuck",
	ErrBus:         "bus_error",
	ErrCRC:         "crc_error",
	ErrNotReady:    "not_ready",
	ErrImplausible: "implausible",
	ErrWrongChip:   "wrong_chip",
	ErrReset:       "sensor_reset",
	ErrNoBus:       "not_present",
}

// Classify gives err the class that its kernel error number stands for. An error
// that has a class already, or no number, is returned as it is.
func Classify(err error) error {
	if _, classified := errors.AsType[Class](err); classified {
		return err
	}
	number, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return err
	}
	class := classOf(number)
	if class == "" {
		return err
	}
	return fmt.Errorf("%w: %w", err, class)
}

// classOf follows the kernel's Documentation/i2c/fault-codes.rst.
func classOf(number syscall.Errno) Class {
	if isNACK(number) {
		return ErrNACK
	}
	switch number {
	case syscall.ETIMEDOUT:
		return ErrTimeout
	case syscall.EIO, syscall.EAGAIN, syscall.EBUSY, syscall.EPROTO, syscall.ENODEV:
		return ErrBus
	default:
		return ""
	}
}
