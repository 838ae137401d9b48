package emulator

import (
	"math"
	"time"
)

// PCF8591 is the analog-to-digital converter PCF8591 of NXP, from its datasheet:
// eight bits, four inputs, alone or in pairs. Each byte that is read is the
// conversion before, while the next one is made.
//
// Left out: its output, the digital-to-analog converter, whose settings are
// kept.
type PCF8591 struct {
	// Volts is the truth at the inputs; nil is an input tied to ground.
	Volts [4]Volts
	// Reference is VREF less AGND in volts; 0 is 3.3.
	Reference float64

	control byte
	next    int  // input or pair of the next conversion
	last    byte // result of the last
}

// NewPCF8591 returns the chip with the truth at its inputs AIN0 on.
func NewPCF8591(volts ...Volts) *PCF8591 {
	c := &PCF8591{}
	copy(c.Volts[:], volts)
	c.PowerOn(time.Time{})
	return c
}

// Fields of the control byte, datasheet section 8.2.
const (
	pcf8591Increment = 0x04
)

// PowerOn selects AIN0 and switches the output off.
func (c *PCF8591) PowerOn(time.Time) { c.control, c.next, c.last = 0, 0, 0x80 }

// Transfer takes a control byte, and gives conversions, each one late.
func (c *PCF8591) Transfer(at time.Time, w, r []byte) bool {
	if len(w) > 0 {
		c.control, c.next = w[0], int(w[0]&3)
	}
	for i := range r {
		r[i] = c.last
		c.last = c.convert(at.Add(time.Duration(i) * 90 * time.Microsecond))
		if c.control&pcf8591Increment != 0 {
			c.next = (c.next + 1) % [4]int{4, 3, 3, 2}[c.control>>4&3]
		}
	}
	return true
}

func (c *PCF8591) convert(at time.Time) byte {
	positive, negative := c.inputs()
	reference := c.Reference
	if reference == 0 {
		reference = 3.3
	}
	steps := math.Floor((c.input(positive, at) - c.input(negative, at)) / reference * 256)
	if negative == ground {
		return byte(min(max(steps, 0), 255))
	}
	return byte(int8(min(max(steps, -128), 127)))
}

// inputs are those of the next conversion, datasheet figure 5.
func (c *PCF8591) inputs() (positive, negative int) {
	switch mode := c.control >> 4 & 3; {
	case mode == 1 && c.next < 3:
		return c.next, 3
	case mode == 2 && c.next == 2:
		return 2, 3
	case mode == 3:
		return c.next & 1 * 2, c.next&1*2 + 1
	default:
		return c.next, ground
	}
}

func (c *PCF8591) input(n int, at time.Time) float64 {
	if n == ground || c.Volts[n] == nil {
		return 0
	}
	return c.Volts[n](at)
}
