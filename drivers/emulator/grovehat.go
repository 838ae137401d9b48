package emulator

import (
	"math"
	"time"
)

// GroveHAT is the converter on the Grove Base HAT of Seeed, a microcontroller
// that imitates registers of 16 bits, the low byte first. A register is named
// and read in one transaction or in two.
//
// Left out: the change of its address, which is the bus's to do, and the time it
// takes to boot.
type GroveHAT struct {
	// Volts is the truth at the inputs; nil is an input tied to ground.
	Volts [8]Volts
	// Supply is what the inputs are compared with, in volts; 0 is 3.3.
	Supply float64
	// Product is its number: 4 is the HAT, which is what 0 stands for, and 5 the
	// HAT for a Zero.
	Product uint16

	register byte
}

// NewGroveHAT returns the HAT with the truth at its inputs A0 on.
func NewGroveHAT(volts ...Volts) *GroveHAT {
	c := &GroveHAT{}
	copy(c.Volts[:], volts)
	return c
}

// Registers, from Seeed's firmware and grove.py; those of an input end with its
// number.
const (
	groveProduct   = 0x00
	groveFirmware  = 0x02
	groveRaw       = 0x10 // 12 bits
	groveMillivolt = 0x20
	groveSupply    = 0x29 // millivolts
	groveRatio     = 0x30 // of the supply, in tenths of a percent
)

// PowerOn forgets which register was named.
func (c *GroveHAT) PowerOn(time.Time) { c.register = 0 }

// Transfer names a register, and gives what it holds.
func (c *GroveHAT) Transfer(at time.Time, w, r []byte) bool {
	if len(w) > 0 {
		c.register = w[0]
	}
	value := c.value(at)
	for i := range r {
		switch i {
		case 0:
			r[i] = byte(value)
		case 1:
			r[i] = byte(value >> 8)
		default:
			r[i] = 0xff // a register has two bytes; then nobody drives the wire
		}
	}
	return true
}

func (c *GroveHAT) value(at time.Time) uint16 {
	supply := c.Supply
	if supply == 0 {
		supply = 3.3
	}
	part := 0.0
	if v := c.Volts[c.register&7]; v != nil {
		part = clamp(v(at) / supply)
	}
	switch {
	case c.register == groveProduct && c.Product == 0:
		return 4
	case c.register == groveProduct:
		return c.Product
	case c.register == groveFirmware:
		return 2
	case c.register == groveSupply:
		return uint16(math.Round(supply * 1000))
	case c.register&^7 == groveRaw:
		return uint16(min(part*4096, 4095))
	case c.register&^7 == groveMillivolt:
		return uint16(math.Round(part * supply * 1000))
	case c.register&^7 == groveRatio:
		return uint16(math.Round(part * 1000))
	default:
		return 0
	}
}
