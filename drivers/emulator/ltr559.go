package emulator

import "time"

// LTR559 is the light and proximity sensor LTR-559ALS-01 of Lite-On, from its
// datasheet (version 1.1): the light sensor with its two channels, one for
// visible and infrared light, one for infrared alone.
//
// Left out: proximity (its settings are kept), interrupts, and what happens when
// channel 1 is not read first.
type LTR559 struct {
	// Light falls on the chip, in lux; nil is 500.
	Light func(at time.Time) float64
	// Infrared is the share of channel 1 in both channels; 0 is 0.3, daylight.
	Infrared float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64

	registers [256]byte
	pointer   byte
	reset     time.Time // end of the reset under way
	began     time.Time // of the integration under way
	settings  [2]byte   // control and rate when it began
}

// NewLTR559 returns the chip in the given light.
func NewLTR559(light func(at time.Time) float64) *LTR559 { return &LTR559{Light: light} }

// Registers, datasheet table of registers.
const (
	ltrControl = 0x80
	ltrRate    = 0x85
	ltrPart    = 0x86
	ltrMaker   = 0x87
	ltrData    = 0x88 // channel 1, channel 0, the lower byte first
	ltrStatus  = 0x8c

	ltrActive = 0x01
	ltrReset  = 0x02
	ltrNew    = 0x04 // of the status
)

// PowerOn resets the registers; the chip stands by.
func (c *LTR559) PowerOn(at time.Time) {
	c.registers = [256]byte{
		0x82: 0x7f, 0x83: 0x01, 0x84: 0x02, ltrRate: 0x03, ltrPart: 0x92, ltrMaker: 0x05,
		0x90: 0xff, 0x91: 0x07, 0x97: 0xff, 0x98: 0xff,
	}
	c.pointer = 0
	c.reset = at
}

// Transfer sets the pointer, writes what follows from there on, and reads on
// from it.
func (c *LTR559) Transfer(at time.Time, w, r []byte) bool {
	c.advance(at)
	if len(w) > 0 {
		c.pointer = w[0]
	}
	for i := 1; i < len(w); i++ {
		c.write(at, c.pointer, w[i])
		c.pointer++
	}
	for i := range r {
		r[i] = c.read(at, c.pointer)
		c.pointer++
	}
	return true
}

func (c *LTR559) read(at time.Time, register byte) byte {
	value := c.registers[register]
	switch {
	case register == ltrControl && at.Before(c.reset):
		value |= ltrReset
	case register == ltrData+3: // all of it was read
		c.registers[ltrStatus] &^= ltrNew
	}
	return value
}

func (c *LTR559) write(at time.Time, register, value byte) {
	if register >= ltrPart && register < 0x8f {
		return
	}
	if register != ltrControl {
		c.registers[register] = value
		return
	}
	if value&ltrReset != 0 {
		c.PowerOn(at)
		c.reset = at.Add(5 * time.Millisecond)
		return
	}
	if value&ltrActive != 0 && c.registers[ltrControl]&ltrActive == 0 {
		c.start(at.Add(10*time.Millisecond), value) // it wakes up
	}
	c.registers[ltrControl] = value
}

func (c *LTR559) start(at time.Time, control byte) {
	c.began, c.settings = at, [2]byte{control, c.registers[ltrRate]}
}

// advance completes the integrations that ended by now.
func (c *LTR559) advance(now time.Time) {
	for c.registers[ltrControl]&ltrActive != 0 {
		takes := slowed(ltrTime(c.settings[1]), c.Oscillator)
		cycle := max(takes, slowed(ltrPause(c.settings[1]), c.Oscillator))
		current := [2]byte{c.registers[ltrControl], c.registers[ltrRate]}
		if passed := now.Sub(c.began); passed > 2*cycle && c.settings == current {
			c.began = c.began.Add((passed/cycle - 1) * cycle)
		}
		if now.Before(c.began.Add(takes)) {
			return
		}
		c.store(c.began)
		c.start(c.began.Add(cycle), c.registers[ltrControl])
	}
}

func (c *LTR559) store(at time.Time) {
	first, second := c.counts(truthAt(c.Light, at, 500))
	data := c.registers[ltrData:]
	data[0], data[1] = byte(second), byte(second>>8)
	data[2], data[3] = byte(first), byte(first>>8)
	c.registers[ltrStatus] = ltrNew | c.settings[0]>>2&7<<4
}

// counts turns the formula of the datasheet's appendix A around.
func (c *LTR559) counts(lux float64) (first, second uint16) {
	infrared := c.Infrared
	if infrared == 0 {
		infrared = 0.3
	}
	rest := 1 - infrared
	perSum := 0.0 // lux for one count of both channels together
	switch {
	case infrared < 0.45:
		perSum = 1.7743*rest + 1.1059*infrared
	case infrared < 0.64:
		perSum = 4.2785*rest - 1.9548*infrared
	case infrared < 0.85:
		perSum = 0.5926*rest + 0.1185*infrared
	default:
		perSum = 1 // counts without light that an eye sees
	}
	gain := [8]float64{1, 2, 4, 8, 1, 1, 48, 96}[c.settings[0]>>2&7]
	sum := lux / perSum * gain * ltrTime(c.settings[1]).Seconds() * 10
	return uint16(min(sum*rest, 65535)), uint16(min(sum*infrared, 65535))
}

func ltrTime(rate byte) time.Duration {
	return time.Duration([8]int{100, 50, 200, 400, 150, 250, 300, 350}[rate>>3&7]) * time.Millisecond
}

func ltrPause(rate byte) time.Duration {
	return time.Duration([8]int{50, 100, 200, 500, 1000, 2000, 2000, 2000}[rate&7]) * time.Millisecond
}
