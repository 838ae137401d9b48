package emulator

import (
	"math"
	"time"
)

// MCP342x is the analog-to-digital converter MCP3424 of Microchip, or one of its
// relatives MCP3421 to MCP3428, from its datasheet (DS22088): up to 18 bits, up
// to four inputs, a reference of 2.048 V. Reading gives the last result, whichever
// input it is of, and the configuration behind it; its ready bit is 0 for the
// first reading of a result and 1 for all others.
//
// Left out: the general call, and that the smaller ones have fewer inputs and
// bits.
type MCP342x struct {
	// Volts is the truth at the inputs, between plus and minus; nil is 0 V.
	Volts [4]Volts
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64

	config     byte // without the ready bit
	ready      bool // a result that nobody has read
	code       int32
	converting bool
	began      time.Time
}

// NewMCP342x returns the chip with the truth at its inputs CH1 on.
func NewMCP342x(volts ...Volts) *MCP342x {
	c := &MCP342x{}
	copy(c.Volts[:], volts)
	c.PowerOn(time.Time{})
	return c
}

// Fields of the configuration, datasheet register 5-1.
const (
	mcp342xReady      = 0x80 // RDY: written in one-shot mode, starts; read, 1 is old
	mcp342xContinuous = 0x10 // O/C
)

// PowerOn starts converting CH1 continuously with 12 bits.
func (c *MCP342x) PowerOn(at time.Time) {
	c.config, c.ready, c.code = mcp342xContinuous, false, 0
	c.converting, c.began = true, at
}

// Transfer takes a configuration, and gives the result with its configuration,
// which is repeated for as long as somebody reads.
func (c *MCP342x) Transfer(at time.Time, w, r []byte) bool {
	c.advance(at)
	if len(w) > 0 {
		last := w[len(w)-1]
		c.config = last &^ mcp342xReady
		if c.config&mcp342xContinuous != 0 || last&mcp342xReady != 0 {
			c.converting, c.began, c.ready = true, at, false
		} else {
			c.converting = false
		}
	}
	config := c.config
	if !c.ready {
		config |= mcp342xReady
	}
	bytes := []byte{byte(c.code >> 8), byte(c.code)}
	if c.config>>2&3 == 3 {
		bytes = []byte{byte(c.code >> 16), byte(c.code >> 8), byte(c.code)}
	}
	for i := range r {
		r[i] = config
		if i < len(bytes) {
			r[i] = bytes[i]
		}
	}
	if len(r) > len(bytes) {
		c.ready = false
	}
	return true
}

// advance completes the conversions that ended by now.
func (c *MCP342x) advance(now time.Time) {
	if !c.converting {
		return
	}
	period := c.period()
	passed := now.Sub(c.began)
	if passed < period {
		return
	}
	whole := passed / period * period
	if c.config&mcp342xContinuous == 0 {
		whole, c.converting = period, false
	}
	c.began = c.began.Add(whole)
	c.code, c.ready = c.convert(c.began.Add(-period/2)), true
}

func (c *MCP342x) period() time.Duration {
	rate := [4]float64{240, 60, 15, 3.75}[c.config>>2&3]
	if c.Oscillator != 0 {
		rate *= c.Oscillator
	}
	return time.Duration(float64(time.Second) / rate)
}

func (c *MCP342x) convert(at time.Time) int32 {
	volts := 0.0
	if v := c.Volts[c.config>>5&3]; v != nil {
		volts = v(at)
	}
	gain := float64(int(1) << (c.config & 3))
	full := math.Exp2(float64(11 + 2*(c.config>>2&3)))
	return int32(min(max(math.Floor(volts*gain/2.048*full), -full), full-1))
}
