package emulator

import (
	"math"
	"time"
)

// MCP3xxx is an analog-to-digital converter MCP3002, MCP3004, MCP3008, MCP3204 or
// MCP3208 of Microchip, from its datasheet (DS21294, DS21295, DS21298). It has
// no clock of its own: everything is counted from the first one on its input,
// the start bit, wherever in the bytes that is. Until its null bit it does not
// drive MISO; after the last bit it gives the same bits backwards, and then
// zeros.
//
// Left out: the droop of its sampling capacitor at clocks below 10 kHz, and what
// goes wrong above 1.35 MHz at low supply.
type MCP3xxx struct {
	// Volts is the truth at the inputs; nil is an input tied to ground.
	Volts [8]Volts
	// Reference is VREF in volts, on a MCP3002 its supply; 0 is 3.3.
	Reference float64

	bits, inputs int
	short        bool // MCP3002: three bits of command, no clock to sample

	clocks  int    // since the start bit; 0 before it
	command uint16 // the bits behind the start bit
	code    uint16
}

// NewMCP3002 returns the chip with 10 bits and 2 inputs.
func NewMCP3002(volts ...Volts) *MCP3xxx {
	c := newMCP3xxx(10, 2, volts)
	c.short = true
	return c
}

// NewMCP3004 returns the chip with 10 bits and 4 inputs.
func NewMCP3004(volts ...Volts) *MCP3xxx { return newMCP3xxx(10, 4, volts) }

// NewMCP3008 returns the chip with 10 bits and 8 inputs.
func NewMCP3008(volts ...Volts) *MCP3xxx { return newMCP3xxx(10, 8, volts) }

// NewMCP3204 returns the chip with 12 bits and 4 inputs.
func NewMCP3204(volts ...Volts) *MCP3xxx { return newMCP3xxx(12, 4, volts) }

// NewMCP3208 returns the chip with 12 bits and 8 inputs.
func NewMCP3208(volts ...Volts) *MCP3xxx { return newMCP3xxx(12, 8, volts) }

func newMCP3xxx(bits, inputs int, volts []Volts) *MCP3xxx {
	c := &MCP3xxx{bits: bits, inputs: inputs}
	copy(c.Volts[:inputs], volts)
	return c
}

// PowerOn ends a transfer that was under way.
func (c *MCP3xxx) PowerOn(time.Time) { c.Select(time.Time{}) }

// Select waits for a start bit.
func (c *MCP3xxx) Select(time.Time) { c.clocks, c.command, c.code = 0, 0, 0 }

// Clock takes the command and gives the answer, one bit at a time.
func (c *MCP3xxx) Clock(at time.Time, in bool) (out, driven bool) {
	length, sampling := 4, 1
	if c.short {
		length, sampling = 3, 0
	}
	if c.clocks == 0 && !in {
		return false, false
	}
	c.clocks++
	behind := c.clocks - 1 // clocks behind the start bit
	if behind >= 1 && behind <= length {
		c.command <<= 1
		if in {
			c.command |= 1
		}
	}
	if behind == length+sampling {
		c.code = c.convert(at)
	}
	if behind <= length+sampling {
		return false, false
	}
	return c.answer(behind - length - sampling - 1), true
}

// answer is the n-th bit that the chip drives: the null bit, the code from its
// highest bit down, then from its second lowest bit up.
func (c *MCP3xxx) answer(n int) bool {
	k := c.bits - n // bit of the code
	if n > c.bits {
		k = n - c.bits
		if c.short && c.command&1 != 0 { // MSBF: highest bit first, and nothing else
			return false
		}
	}
	if n == 0 || k >= c.bits {
		return false
	}
	return c.code>>k&1 != 0
}

// convert looks at the inputs that the command names.
func (c *MCP3xxx) convert(at time.Time) uint16 {
	single, number := c.command&8 != 0, int(c.command&7)
	if c.short {
		single, number = c.command&4 != 0, int(c.command>>1&1)
	}
	number %= c.inputs // a chip with four inputs does not look at D2
	volts := c.input(number, at)
	if !single {
		volts -= c.input(number^1, at)
	}
	reference := c.Reference
	if reference == 0 {
		reference = 3.3
	}
	steps := float64(int(1) << c.bits)
	return uint16(min(max(math.Floor(volts/reference*steps), 0), steps-1))
}

func (c *MCP3xxx) input(n int, at time.Time) float64 {
	if c.Volts[n] == nil {
		return 0
	}
	return c.Volts[n](at)
}
