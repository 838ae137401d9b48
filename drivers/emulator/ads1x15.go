package emulator

import (
	"math"
	"time"
)

// ADS1x15 is the analog-to-digital converter ADS1115 or ADS1015 of Texas
// Instruments, from its datasheet (SBAS444). It converts only as fast as its
// oscillator lets it; until then the conversion register keeps what was there,
// whichever input that came from.
//
// Left out: the comparator's ALERT/RDY pin (its settings are kept), the general
// call reset and high-speed mode.
type ADS1x15 struct {
	// Volts is the truth at the four inputs; nil is an input tied to ground.
	Volts [4]Volts
	// Oscillator is its speed relative to the nominal one; 0 is 1. The datasheet
	// allows 0.9 to 1.1.
	Oscillator float64
	// Supply is VDD in volts; 0 is 3.3. Inputs are clamped 0.3 V outside it.
	Supply float64

	small     bool // ADS1015: twelve bits, faster rates
	pointer   byte
	registers [4]uint16

	converting bool
	settings   uint16    // latched when the conversion under way began
	began      time.Time // start of the conversion under way
}

// NewADS1115 returns the 16-bit chip with the truth at its inputs AIN0 on.
func NewADS1115(volts ...Volts) *ADS1x15 { return newADS1x15(false, volts) }

// NewADS1015 returns the 12-bit chip with the truth at its inputs AIN0 on.
func NewADS1015(volts ...Volts) *ADS1x15 { return newADS1x15(true, volts) }

func newADS1x15(small bool, volts []Volts) *ADS1x15 {
	c := &ADS1x15{small: small}
	copy(c.Volts[:], volts)
	c.PowerOn(time.Time{})
	return c
}

// Registers and fields of the config register, datasheet section 9.6.
const (
	adsConversion = 0
	adsConfig     = 1
	adsLoThresh   = 2
	adsHiThresh   = 3

	adsOS   = 0x8000
	adsMode = 0x0100 // 1 is single-shot
)

// PowerOn resets all registers.
func (c *ADS1x15) PowerOn(time.Time) {
	c.pointer = 0
	c.registers = [4]uint16{0x0000, 0x8583, 0x8000, 0x7fff}
	c.converting = false
}

// Transfer writes the pointer, and the register behind it when two bytes follow,
// and reads the register that the pointer is at.
func (c *ADS1x15) Transfer(at time.Time, w, r []byte) bool {
	c.advance(at)
	if len(w) > 0 {
		c.pointer = w[0] & 3 // the other bits must be zero, and are not looked at
	}
	if len(w) > 2 {
		c.write(at, uint16(w[1])<<8|uint16(w[2]))
	}
	value := c.read()
	for i := range r {
		switch i {
		case 0:
			r[i] = byte(value >> 8)
		case 1:
			r[i] = byte(value)
		default:
			r[i] = 0xff // a register has two bytes; then nobody drives the wire
		}
	}
	return true
}

func (c *ADS1x15) read() uint16 {
	value := c.registers[c.pointer]
	if c.pointer != adsConfig {
		return value
	}
	if c.converting {
		return value &^ adsOS
	}
	return value | adsOS
}

func (c *ADS1x15) write(at time.Time, value uint16) {
	switch c.pointer {
	case adsConversion: // read only
	case adsConfig:
		c.registers[adsConfig] = value &^ adsOS
		// A start during a conversion has no effect, and new settings wait for
		// its end.
		if !c.converting && (value&adsOS != 0 || value&adsMode == 0) {
			c.start(at)
		}
	case adsLoThresh:
		c.registers[adsLoThresh] = value &^ c.unused()
	case adsHiThresh:
		c.registers[adsHiThresh] = value | c.unused()
	}
}

// unused are the bits that twelve-bit results leave empty.
func (c *ADS1x15) unused() uint16 {
	if c.small {
		return 0x000f
	}
	return 0
}

func (c *ADS1x15) start(at time.Time) {
	c.converting = true
	c.settings = c.registers[adsConfig]
	c.began = at
}

// advance completes the conversions that ended by now.
func (c *ADS1x15) advance(now time.Time) {
	for c.converting {
		period := c.period(c.settings)
		passed := now.Sub(c.began)
		if passed < period {
			return
		}
		if c.continuous() && c.settings == c.registers[adsConfig] {
			// All of them alike: only the last one can still be seen.
			c.began = c.began.Add((passed/period - 1) * period)
		}
		ended := c.began.Add(period)
		c.registers[adsConversion] = c.convert(c.settings, c.began.Add(period/2))
		c.converting = false
		if c.continuous() {
			c.start(ended)
		}
	}
}

func (c *ADS1x15) continuous() bool { return c.registers[adsConfig]&adsMode == 0 }

// period is the time of one conversion.
func (c *ADS1x15) period(settings uint16) time.Duration {
	rates := [8]float64{8, 16, 32, 64, 128, 250, 475, 860}
	if c.small {
		rates = [8]float64{128, 250, 490, 920, 1600, 2400, 3300, 3300}
	}
	rate := rates[settings>>5&7]
	if c.Oscillator != 0 {
		rate *= c.Oscillator
	}
	return time.Duration(float64(time.Second) / rate)
}

// convert gives the code of the selected inputs, clamped to what the register
// can hold.
func (c *ADS1x15) convert(settings uint16, at time.Time) uint16 {
	full := [8]float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256}[settings>>9&7]
	steps := 32768.0
	if c.small {
		steps = 2048
	}
	positive, negative := adsInputs(settings)
	volts := c.input(positive, at) - c.input(negative, at)
	code := int32(math.Round(min(max(volts/full*steps, -steps), steps-1)))
	if c.small {
		code <<= 4
	}
	return uint16(code)
}

// ground stands for an input that is tied to GND.
const ground = -1

func adsInputs(settings uint16) (positive, negative int) {
	switch mux := int(settings >> 12 & 7); mux {
	case 0:
		return 0, 1
	case 1:
		return 0, 3
	case 2:
		return 1, 3
	case 3:
		return 2, 3
	default:
		return mux - 4, ground
	}
}

func (c *ADS1x15) input(n int, at time.Time) float64 {
	if n == ground || c.Volts[n] == nil {
		return 0
	}
	supply := c.Supply
	if supply == 0 {
		supply = 3.3
	}
	return min(max(c.Volts[n](at), -0.3), supply+0.3)
}
