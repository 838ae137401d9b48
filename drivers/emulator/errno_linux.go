package emulator

import "syscall"

// errnoNACK is what i2c-bcm2835 returns when nobody acknowledges.
const errnoNACK = syscall.EREMOTEIO
