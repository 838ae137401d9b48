package emulator

import (
	"math"
	"time"
)

// ADS7830 is the analog-to-digital converter ADS7830 of Texas Instruments, from
// its datasheet (SBAS302): eight bits, eight inputs. A command byte names the
// input and what stays powered; each byte that is read is a conversion of its
// own. The reference of 2.5 V inside takes a while to rise after it was switched
// on, and until then the results are too high.
//
// Left out: the COM input (tied to ground here), and high-speed mode.
type ADS7830 struct {
	// Volts is the truth at the inputs; nil is an input tied to ground.
	Volts [8]Volts
	// Reference is what is wired to the pin REF, in volts; 0 is nothing. It
	// counts while the one inside is off.
	Reference float64
	// Rising is the time constant of the reference inside; 0 is 0.5 ms.
	Rising time.Duration

	command byte
	since   time.Time // the reference inside is on
	on      bool
}

// NewADS7830 returns the chip with the truth at its inputs CH0 on.
func NewADS7830(volts ...Volts) *ADS7830 {
	c := &ADS7830{}
	copy(c.Volts[:], volts)
	return c
}

// Fields of the command byte, datasheet table 1.
const (
	ads7830Single      = 0x80 // SD
	ads7830ReferenceOn = 0x08 // PD1
)

// PowerOn selects the first pair of inputs and switches the reference off.
func (c *ADS7830) PowerOn(time.Time) { c.command, c.on = 0, false }

// Transfer takes a command and converts once for each byte that is read.
func (c *ADS7830) Transfer(at time.Time, w, r []byte) bool {
	if len(w) > 0 {
		c.command = w[len(w)-1]
		on := c.command&ads7830ReferenceOn != 0
		if on && !c.on {
			c.since = at
		}
		c.on = on
	}
	for i := range r {
		r[i] = c.convert(at.Add(time.Duration(i+1) * 90 * time.Microsecond))
	}
	return true
}

func (c *ADS7830) convert(at time.Time) byte {
	reference := c.reference(at)
	if reference <= 0 {
		return 0xff
	}
	// C2 to C0 count the even inputs first: 0, 2, 4, 6, 1, 3, 5, 7.
	n := int(c.command >> 4 & 7)
	input := n&3*2 + n>>2
	volts := c.input(input, at)
	if c.command&ads7830Single == 0 {
		volts -= c.input(input^1, at)
	}
	return byte(min(max(math.Floor(volts/reference*256), 0), 255))
}

func (c *ADS7830) reference(at time.Time) float64 {
	if !c.on {
		return c.Reference
	}
	rising := or(c.Rising, 500*time.Microsecond)
	return 2.5 * (1 - math.Exp(-float64(at.Sub(c.since))/float64(rising)))
}

func (c *ADS7830) input(n int, at time.Time) float64 {
	if c.Volts[n] == nil {
		return 0
	}
	return c.Volts[n](at)
}
