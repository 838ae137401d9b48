//go:build !linux

package bus

import "syscall"

// isNACK knows ENXIO only: EREMOTEIO is Linux's own, and elsewhere nothing but
// the emulator is on the other side.
func isNACK(number syscall.Errno) bool { return number == syscall.ENXIO }
