package emulator

import "time"

// BH1750 is the light sensor BH1750FVI of Rohm, from its datasheet (revision D,
// 2011). It has commands of one byte and one result, and nothing that tells what
// it is or whether it is done: until a measurement ends, the result is that of
// the one before.
type BH1750 struct {
	// Light falls on the chip, in lux; nil is 500.
	Light func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64

	awake      bool
	span       byte // MTreg, the measurement time
	result     uint16
	mode       byte // of the measurement under way; 0 is none
	began      time.Time
	continuing bool
}

// NewBH1750 returns the chip in the given light.
func NewBH1750(light func(at time.Time) float64) *BH1750 { return &BH1750{Light: light} }

// PowerOn puts the chip to sleep.
func (c *BH1750) PowerOn(time.Time) {
	*c = BH1750{Light: c.Light, Oscillator: c.Oscillator, span: 69}
}

// Transfer takes a command, or gives the result.
func (c *BH1750) Transfer(at time.Time, w, r []byte) bool {
	c.advance(at)
	for _, command := range w {
		c.command(at, command)
	}
	for i := range r {
		switch i {
		case 0:
			r[i] = byte(c.result >> 8)
		case 1:
			r[i] = byte(c.result)
		default:
			r[i] = 0xff
		}
	}
	return true
}

func (c *BH1750) command(at time.Time, command byte) {
	switch {
	case command == 0x00:
		c.awake, c.mode = false, 0
	case command == 0x01:
		c.awake = true
	case command == 0x07:
		if c.awake { // it is not taken asleep
			c.result = 0
		}
	case command&0xf8 == 0x40:
		c.span = command<<5 | c.span&0x1f
	case command&0xe0 == 0x60:
		c.span = c.span&0xe0 | command&0x1f
	case command&0xfc == 0x10 || command&0xfc == 0x20:
		if c.awake {
			c.mode, c.began, c.continuing = command, at, command < 0x20
		}
	}
}

// takes is the time of one measurement, between the typical and the greatest.
func (c *BH1750) takes() time.Duration {
	typical := 155 * time.Millisecond // 120 to 180
	if c.mode&3 == 3 {
		typical = 20 * time.Millisecond // 16 to 24
	}
	return slowed(typical*time.Duration(c.span)/69, c.Oscillator)
}

func (c *BH1750) advance(now time.Time) {
	for c.mode != 0 && !now.Before(c.began.Add(c.takes())) {
		if passed := now.Sub(c.began); c.continuing {
			c.began = c.began.Add((passed/c.takes() - 1) * c.takes())
		}
		c.result = c.count(c.began)
		if !c.continuing {
			c.mode, c.awake = 0, false
			return
		}
		c.began = c.began.Add(c.takes())
	}
}

// count is 1.2 for a lux, in proportion to the time.
func (c *BH1750) count(at time.Time) uint16 {
	count := truthAt(c.Light, at, 500) * 1.2 * float64(c.span) / 69
	switch c.mode & 3 {
	case 1:
		count *= 2
	case 3:
		return uint16(min(max(count, 0), 65535)) &^ 3
	}
	return uint16(min(max(count+1e-9, 0), 65535))
}
