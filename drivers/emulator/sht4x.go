package emulator

import (
	"math"
	"time"
)

// SHT4x is the humidity and temperature sensor SHT40, SHT41 or SHT45 of
// Sensirion, from its datasheet (version 6, 2023). A command of one byte starts
// something; until it is done the chip does not acknowledge, and its answer can
// be fetched once.
//
// Left out: the general call reset, and current and wear of the heater.
type SHT4x struct {
	// Temperature is that of the air, in degrees Celsius; nil is 25.
	Temperature func(at time.Time) float64
	// Humidity is that of the air, in percent; nil is 50.
	Humidity func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64
	// Serial is the number burnt into the chip; 0 is 0x0fba7c12.
	Serial uint32

	answer []byte // what the next read gets; nil is nothing
	ready  time.Time
	heated time.Time // end of the last pulse of the heater
	rise   float64   // what it added by then, in degrees
}

// NewSHT4x returns the chip in air of the given temperature and humidity.
func NewSHT4x(temperature, humidity func(at time.Time) float64) *SHT4x {
	return &SHT4x{Temperature: temperature, Humidity: humidity}
}

// PowerOn forgets the answer. The chip is ready after 0.3 ms (at most 1 ms).
func (c *SHT4x) PowerOn(at time.Time) {
	c.answer, c.ready = nil, at.Add(300*time.Microsecond)
	c.heated, c.rise = time.Time{}, 0
}

// Transfer takes a command, or gives the answer to the one before.
func (c *SHT4x) Transfer(at time.Time, w, r []byte) bool {
	if at.Before(c.ready) {
		return false
	}
	if len(w) > 0 {
		c.command(at, w[0])
	}
	if len(r) == 0 {
		return true
	}
	if c.answer == nil || at.Before(c.ready) {
		return false
	}
	n := copy(r, c.answer)
	for i := n; i < len(r); i++ {
		r[i] = 0xff
	}
	c.answer = nil
	return true
}

// command follows section 4.5 of the datasheet. The times are between the
// typical and the greatest ones.
func (c *SHT4x) command(at time.Time, code byte) {
	c.answer = nil
	switch code {
	case 0xfd: // high precision
		c.measure(at, 7600*time.Microsecond)
	case 0xf6: // medium
		c.measure(at, 4100*time.Microsecond)
	case 0xe0: // low
		c.measure(at, 1450*time.Microsecond)
	case 0x89:
		serial := c.Serial
		if serial == 0 {
			serial = 0x0fba7c12
		}
		c.answer = sensirionWords(uint16(serial>>16), uint16(serial))
		c.ready = at.Add(slowed(50*time.Microsecond, c.Oscillator))
	case 0x94:
		c.PowerOn(at)
	case 0x39, 0x32, 0x2f, 0x24, 0x1e, 0x15:
		c.heat(at, code)
	}
}

// heat warms the chip for 1 or 0.1 seconds with 200, 110 or 20 mW, and measures
// at the end.
func (c *SHT4x) heat(at time.Time, code byte) {
	rise := map[byte]float64{0x39: 60, 0x32: 40, 0x2f: 33, 0x24: 22, 0x1e: 6, 0x15: 4}[code]
	pulse := time.Second
	if code == 0x32 || code == 0x24 || code == 0x15 {
		pulse = 100 * time.Millisecond
	}
	pulse = slowed(pulse, c.Oscillator)
	c.heated, c.rise = at.Add(pulse), rise
	c.measure(c.heated, 7600*time.Microsecond)
}

func (c *SHT4x) measure(at time.Time, takes time.Duration) {
	c.ready = at.Add(slowed(takes, c.Oscillator))
	temperature := truthAt(c.Temperature, at, 25)
	humidity := truthAt(c.Humidity, at, 50)
	if c.rise > 0 {
		warmth := c.rise * math.Exp(-float64(at.Sub(c.heated))/float64(heatFade))
		temperature += warmth
		humidity *= math.Exp(-0.06 * warmth) // warm air of the same water is dry
	}
	c.answer = sensirionWords(
		uint16(scale(temperature, -45, 130, 65535)),
		uint16(scale(humidity, -6, 119, 65535)))
}
