//go:build !linux

package emulator

import "syscall"

// errnoNACK stands in for EREMOTEIO, which only Linux has; i2c-gpio says ENXIO
// on Linux too.
const errnoNACK = syscall.ENXIO
