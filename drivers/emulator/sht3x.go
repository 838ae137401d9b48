package emulator

import "time"

// SHT3x is the humidity and temperature sensor SHT30, SHT31 or SHT35 of
// Sensirion, from its datasheet (version 7, 2022). Commands have two bytes; while
// it is busy it does not acknowledge, and a value can be fetched once.
//
// Left out: the alert mode with its pin and limits, and clock stretching (a
// command that asks for it is answered without acknowledge until it is ready).
type SHT3x struct {
	// Temperature is that of the air, in degrees Celsius; nil is 25.
	Temperature func(at time.Time) float64
	// Humidity is that of the air, in percent; nil is 50.
	Humidity func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64
	// Hot is a clone that comes up with its heater on, and is warmer by some
	// degrees as long as it is.
	Hot bool
	// NeverClears is a clone whose status keeps saying that it was reset.
	NeverClears bool

	status uint16
	answer []byte
	ready  time.Time
	period time.Duration // of periodic measurement; 0 is none
}

// NewSHT3x returns the chip in air of the given temperature and humidity.
func NewSHT3x(temperature, humidity func(at time.Time) float64) *SHT3x {
	return &SHT3x{Temperature: temperature, Humidity: humidity}
}

// Fields of the status register, datasheet table 18.
const (
	shtAlert   = 0x8000
	shtHeater  = 0x2000
	shtReset   = 0x0010
	shtCleared = 0x8c10 // what "clear status" clears
	shtInvalid = 0x0002 // the last command was not understood
)

// shtHeat is what the heater of a clone adds, in degrees.
const shtHeat = 4

// PowerOn resets the chip. It is ready after 0.5 ms (at most 1.5 ms).
func (c *SHT3x) PowerOn(at time.Time) {
	c.status = shtAlert | shtReset
	if c.Hot {
		c.status |= shtHeater
	}
	c.answer, c.period = nil, 0
	c.ready = at.Add(500 * time.Microsecond)
}

// Transfer takes a command, or gives the answer to the one before.
func (c *SHT3x) Transfer(at time.Time, w, r []byte) bool {
	if at.Before(c.ready) {
		return false
	}
	if len(w) == 2 {
		c.command(at, uint16(w[0])<<8|uint16(w[1]))
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

// command follows section 4 of the datasheet.
func (c *SHT3x) command(at time.Time, code uint16) {
	c.answer = nil
	c.status &^= shtInvalid
	switch code {
	case 0x2400, 0x2c06: // high repeatability: 12.5 to 15.5 ms
		c.measure(at, 14*time.Millisecond)
	case 0x240b, 0x2c0d:
		c.measure(at, 5250*time.Microsecond)
	case 0x2416, 0x2c10:
		c.measure(at, 3500*time.Microsecond)
	case 0x2032, 0x2024, 0x202f:
		c.period = 2 * time.Second
	case 0x2130, 0x2126, 0x212d:
		c.period = time.Second
	case 0xe000: // fetch a periodic value
		if c.period > 0 {
			c.measure(at, 0)
		}
	case 0x3093: // break
		c.period = 0
		c.ready = at.Add(slowed(time.Millisecond, c.Oscillator))
	case 0x30a2:
		c.PowerOn(at)
	default:
		c.administer(at, code)
	}
}

func (c *SHT3x) administer(at time.Time, code uint16) {
	switch code {
	case 0x306d:
		c.status |= shtHeater
	case 0x3066:
		c.status &^= shtHeater
	case 0xf32d:
		c.answer, c.ready = sensirionWords(c.status), at
	case 0x3041:
		if !c.NeverClears {
			c.status &^= shtCleared
		}
	case 0x3780, 0x3682: // serial number
		c.answer, c.ready = sensirionWords(0x1234, 0x5678), at
	default:
		c.status |= shtInvalid
	}
}

func (c *SHT3x) measure(at time.Time, takes time.Duration) {
	temperature := truthAt(c.Temperature, at, 25)
	if c.status&shtHeater != 0 {
		temperature += shtHeat
	}
	c.ready = at.Add(slowed(takes, c.Oscillator))
	c.answer = sensirionWords(
		uint16(scale(temperature, -45, 130, 65535)),
		uint16(scale(truthAt(c.Humidity, at, 50), 0, 100, 65535)))
}
