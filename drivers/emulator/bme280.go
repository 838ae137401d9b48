package emulator

import "time"

// BME280 is the pressure, temperature and humidity sensor BME280 of Bosch, or the
// BMP280 without humidity, from their datasheets (BST-BME280-DS002, revision
// 1.6, and BST-BMP280-DS001).
//
// It forgets its settings when its power fails, and then measures nothing that is
// not asked for anew: what was skipped reads 80000 or 8000. Humidity is only asked
// for by the write to ctrl_meas that follows the one to ctrl_hum. While the
// calibration is copied after a start, it reads zero.
//
// Left out: the low-pass filter (its setting is kept), noise, and SPI.
type BME280 struct {
	// Temperature is that of the air, in degrees Celsius; nil is 25.
	Temperature func(at time.Time) float64
	// Humidity is that of the air, in percent; nil is 50.
	Humidity func(at time.Time) float64
	// Pressure is that of the air, in hectopascal; nil is 1013.25.
	Pressure func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64
	// Trim is the calibration of this unit: registers 88 to A1 and E1 to E7. All
	// zeros are those of Bosch's example.
	Trim [33]byte

	pressureOnly bool
	pointer      byte
	registers    [256]byte
	humidity     byte      // ctrl_hum as the chip uses it
	copied       time.Time // when the calibration is there
	began        time.Time // of the measurement under way
	measuring    bool
	fresh        bool // no measurement since the power came
}

// NewBME280 returns the chip in air of the given temperature, humidity and
// pressure.
func NewBME280(temperature, humidity, pressure func(at time.Time) float64) *BME280 {
	return &BME280{Temperature: temperature, Humidity: humidity, Pressure: pressure}
}

// NewBMP280 returns the chip without humidity.
func NewBMP280(temperature, pressure func(at time.Time) float64) *BME280 {
	return &BME280{Temperature: temperature, Pressure: pressure, pressureOnly: true}
}

// Registers, datasheet section 5.3.
const (
	bmeID       = 0xd0
	bmeReset    = 0xe0
	bmeCtrlHum  = 0xf2
	bmeStatus   = 0xf3
	bmeCtrlMeas = 0xf4
	bmeConfig   = 0xf5
	bmeData     = 0xf7

	bmeMeasuring = 0x08
	bmeCopying   = 0x01
)

// PowerOn resets the registers and starts to copy the calibration.
func (c *BME280) PowerOn(at time.Time) {
	c.pointer, c.registers, c.humidity = 0, [256]byte{}, 0
	c.measuring, c.fresh = false, true
	c.copied = at.Add(slowed(1500*time.Microsecond, c.Oscillator))
	c.registers[bmeID] = 0x60
	if c.pressureOnly {
		c.registers[bmeID] = 0x58
	}
	c.store(skipped, skipped, 0x8000)
}

// skipped is what a value that was not asked for reads.
const skipped = 0x80000

// Transfer writes pairs of register and value, or sets the pointer, and reads on
// from the pointer.
func (c *BME280) Transfer(at time.Time, w, r []byte) bool {
	c.advance(at)
	if len(w)%2 == 1 {
		c.pointer = w[len(w)-1]
	}
	for i := 0; i+1 < len(w); i += 2 {
		c.write(at, w[i], w[i+1])
	}
	for i := range r {
		r[i] = c.read(at, c.pointer)
		c.pointer++
	}
	return true
}

func (c *BME280) read(at time.Time, register byte) byte {
	copied := !at.Before(c.copied)
	trim := c.trim()
	switch {
	case register >= 0x88 && register <= 0xa1 && copied:
		return trim[register-0x88]
	case register >= 0xe1 && register <= 0xe7 && copied && !c.pressureOnly:
		return trim[26+register-0xe1]
	case register == bmeStatus:
		var status byte
		if !copied {
			status |= bmeCopying
		}
		if c.converting(at) {
			status |= bmeMeasuring
		}
		return status
	default:
		return c.registers[register]
	}
}

func (c *BME280) write(at time.Time, register, value byte) {
	switch register {
	case bmeReset:
		if value == 0xb6 {
			c.PowerOn(at)
		}
	case bmeCtrlHum:
		if !c.pressureOnly {
			c.registers[bmeCtrlHum] = value & 7
		}
	case bmeCtrlMeas:
		c.registers[bmeCtrlMeas] = value
		c.humidity = c.registers[bmeCtrlHum]
		if value&3 != 0 {
			c.measuring, c.began = true, at
		}
	case bmeConfig:
		c.registers[bmeConfig] = value &^ 2
	}
}

// takes is the time of one measurement, datasheet section 9.1, near the greatest.
func (c *BME280) takes() time.Duration {
	ms := 1.2
	if t := oversampling(c.registers[bmeCtrlMeas] >> 5); t > 0 {
		ms += 2.15 * t
	}
	if p := oversampling(c.registers[bmeCtrlMeas] >> 2 & 7); p > 0 {
		ms += 2.15*p + 0.55
	}
	if h := oversampling(c.humidity); h > 0 {
		ms += 2.15*h + 0.55
	}
	return slowed(time.Duration(ms*float64(time.Millisecond)), c.Oscillator)
}

func oversampling(code byte) float64 {
	return [8]float64{0, 1, 2, 4, 8, 16, 16, 16}[code&7]
}

// standby is the pause of the normal mode.
func (c *BME280) standby() time.Duration {
	us := [8]int{500, 62500, 125000, 250000, 500000, 1000000, 10000, 20000}[c.registers[bmeConfig]>>5]
	return slowed(time.Duration(us)*time.Microsecond, c.Oscillator)
}

func (c *BME280) normal() bool { return c.registers[bmeCtrlMeas]&3 == 3 }

func (c *BME280) converting(at time.Time) bool {
	return c.measuring && !at.Before(c.began) && at.Before(c.began.Add(c.takes()))
}

// advance completes the measurements that ended by now; in normal mode only the
// last one can still be seen.
func (c *BME280) advance(now time.Time) {
	for c.measuring && !now.Before(c.began.Add(c.takes())) {
		cycle := c.takes() + c.standby()
		if passed := now.Sub(c.began); c.normal() && passed > 2*cycle {
			c.began = c.began.Add((passed/cycle - 1) * cycle)
			c.fresh = false
		}
		c.measure(c.began)
		if !c.normal() {
			c.measuring = false
			c.registers[bmeCtrlMeas] &^= 3
			return
		}
		c.began = c.began.Add(cycle)
	}
}

// measure stores the codes of what was asked for. The first pressure after the
// power came is poor.
func (c *BME280) measure(at time.Time) {
	temperature, pressure, humidity := uint32(skipped), uint32(skipped), uint32(0x8000)
	coefficients := trimOf(c.trim())
	warmth := truthAt(c.Temperature, at, 25)
	if c.registers[bmeCtrlMeas]>>5 != 0 {
		temperature = coefficients.temperatureCode(warmth)
	}
	fine := warmth * 5120
	if c.registers[bmeCtrlMeas]>>2&7 != 0 {
		pascal := truthAt(c.Pressure, at, 1013.25) * 100
		if c.fresh {
			pascal *= 0.93
		}
		pressure = coefficients.pressureCode(pascal, fine)
	}
	if c.humidity != 0 && !c.pressureOnly {
		humidity = coefficients.humidityCode(truthAt(c.Humidity, at, 50), fine)
	}
	c.fresh = false
	c.store(pressure, temperature, humidity)
}

func (c *BME280) store(pressure, temperature, humidity uint32) {
	data := c.registers[bmeData:]
	for i, v := range []uint32{pressure, temperature} {
		data[3*i], data[3*i+1], data[3*i+2] = byte(v>>12), byte(v>>4), byte(v<<4)
	}
	if !c.pressureOnly {
		data[6], data[7] = byte(humidity>>8), byte(humidity)
	}
}
