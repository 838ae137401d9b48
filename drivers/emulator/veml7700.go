package emulator

import "time"

// VEML7700 is the light sensor VEML7700 of Vishay, from its datasheet (84286) and
// application note (84323). It integrates over and over while it is not shut
// down; a register keeps the last result, of whatever settings, and there is no
// ready bit.
//
// Left out: the thresholds' interrupt (the registers are kept).
type VEML7700 struct {
	// Light falls on the chip, in lux; nil is 500.
	Light func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64

	registers [8]uint16
	pointer   byte
	running   bool
	began     time.Time // of the integration under way
	settings  uint16    // latched when it began
}

// NewVEML7700 returns the chip in the given light.
func NewVEML7700(light func(at time.Time) float64) *VEML7700 { return &VEML7700{Light: light} }

// Registers, datasheet table 1.
const (
	vemlConf  = 0
	vemlSave  = 3
	vemlALS   = 4
	vemlWhite = 5
	vemlID    = 7

	vemlShutDown = 1
)

// PowerOn resets the registers; the chip is shut down.
func (c *VEML7700) PowerOn(time.Time) {
	c.registers = [8]uint16{vemlConf: vemlShutDown, vemlID: 0xc481}
	c.pointer, c.running = 0, false
}

// Transfer sets the pointer, writes a register, least byte first, and reads the
// register that the pointer is at.
func (c *VEML7700) Transfer(at time.Time, w, r []byte) bool {
	c.advance(at)
	if len(w) > 0 {
		c.pointer = w[0]
	}
	if len(w) == 3 && c.pointer <= vemlSave {
		c.write(at, uint16(w[1])|uint16(w[2])<<8)
	}
	value := uint16(0)
	if int(c.pointer) < len(c.registers) {
		value = c.registers[c.pointer]
	}
	for i := range r {
		switch i {
		case 0:
			r[i] = byte(value)
		case 1:
			r[i] = byte(value >> 8)
		default:
			r[i] = 0xff
		}
	}
	return true
}

func (c *VEML7700) write(at time.Time, value uint16) {
	c.registers[c.pointer] = value
	if c.pointer != vemlConf {
		return
	}
	on := value&vemlShutDown == 0
	if on && !c.running {
		c.start(at.Add(2500 * time.Microsecond)) // it wakes up
	}
	c.running = on
}

func (c *VEML7700) start(at time.Time) {
	c.began, c.settings = at, c.registers[vemlConf]
}

// advance completes the integrations that ended by now.
func (c *VEML7700) advance(now time.Time) {
	for c.running {
		takes := slowed(vemlTime(c.settings), c.Oscillator)
		cycle := takes + c.pause()
		if passed := now.Sub(c.began); passed > 2*cycle && c.settings == c.registers[vemlConf] {
			c.began = c.began.Add((passed/cycle - 1) * cycle)
		}
		if now.Before(c.began.Add(takes)) {
			return
		}
		count := vemlCount(truthAt(c.Light, c.began, 500), c.settings)
		c.registers[vemlALS] = uint16(min(count, 65535))
		c.registers[vemlWhite] = uint16(min(count*1.9, 65535))
		c.start(c.began.Add(cycle))
	}
}

// pause is what the power saving mode puts between two integrations.
func (c *VEML7700) pause() time.Duration {
	if c.registers[vemlSave]&1 == 0 {
		return 0
	}
	return slowed(500*time.Millisecond<<(c.registers[vemlSave]>>1&3), c.Oscillator)
}

func vemlTime(settings uint16) time.Duration {
	ms := map[uint16]int{0xc: 25, 0x8: 50, 0: 100, 1: 200, 2: 400, 3: 800}[settings>>6&0xf]
	if ms == 0 {
		ms = 100 // not defined
	}
	return time.Duration(ms) * time.Millisecond
}

// vemlCount is 0.0036 lx for a count at the greatest gain and time; strong light
// gives less than its share (application note, page 21).
func vemlCount(lux float64, settings uint16) float64 {
	gain := [4]float64{1, 2, 0.125, 0.25}[settings>>11&3]
	share := lux
	if lux > 1000 {
		share = vemlShare(lux)
	}
	return share / (0.0036 * 800 / (vemlTime(settings).Seconds() * 1000) * 2 / gain)
}

// vemlShare searches for what is measured of so much light.
func vemlShare(lux float64) float64 {
	low, high := 0.0, lux
	for range 60 {
		x := (low + high) / 2
		if 6.0135e-13*x*x*x*x-9.3924e-9*x*x*x+8.1488e-5*x*x+1.0023*x < lux {
			low = x
		} else {
			high = x
		}
	}
	return low
}
