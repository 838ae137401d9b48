package bus

import "syscall"

// isNACK follows the adapters of the Raspberry Pi: i2c-bcm2835 says EREMOTEIO
// for a missing acknowledge, i2c-gpio ENXIO.
func isNACK(number syscall.Errno) bool {
	return number == syscall.EREMOTEIO || number == syscall.ENXIO
}
