package bme280

import (
	"fmt"

	"github.com/plantgate/plantgate/drivers/bus"
)

// codes are what the converters gave.
type codes struct{ temperature, pressure, humidity int64 }

// values are what the codes mean.
type values struct {
	temperature float64 // degrees Celsius, in hundredths
	pascal      float64
	humidity    float64 // percent
}

// check holds v against the ranges of the datasheet.
func (v values) check(m Model) error {
	switch {
	case v.temperature < -40 || v.temperature > 85:
		return fmt.Errorf("temperature %.2f is outside -40..85: %w", v.temperature, bus.ErrImplausible)
	case v.pascal < 30000 || v.pascal > 110000:
		return fmt.Errorf("pressure %.2f hPa is outside 300..1100: %w", v.pascal/100, bus.ErrImplausible)
	case m == BME280 && v.humidity == 0:
		// No air is that dry; it is what is left of a value after a power cut
		// (pimoroni/enviroplus-python#116).
		return fmt.Errorf("humidity is 0: %w", bus.ErrImplausible)
	default:
		return nil
	}
}

// trim are the coefficients of one unit, numbered as in the datasheet.
type trim struct {
	t [4]int64  // dig_T1 to dig_T3
	p [10]int64 // dig_P1 to dig_P9
	h [7]int64  // dig_H1 to dig_H6
}

// trimOf takes apart the registers 88 to A1 and E1 to E7, table 16.
func trimOf(raw [33]byte) trim {
	word := func(i int) uint16 { return uint16(raw[i]) | uint16(raw[i+1])<<8 }
	var c trim
	c.t[1] = int64(word(0))
	c.t[2], c.t[3] = int64(int16(word(2))), int64(int16(word(4)))
	c.p[1] = int64(word(6))
	for i := 2; i < len(c.p); i++ {
		c.p[i] = int64(int16(word(4 + 2*i)))
	}
	c.h[1] = int64(raw[25])
	c.h[2] = int64(int16(word(26)))
	c.h[3] = int64(raw[28])
	// H4 and H5 share E5, four bits each.
	c.h[4] = int64(int8(raw[29]))<<4 | int64(raw[30]&0x0f)
	c.h[5] = int64(int8(raw[31]))<<4 | int64(raw[30]>>4)
	c.h[6] = int64(int8(raw[32]))
	return c
}

// compensate follows the integer formulas of section 4.2.3, in 64 bits
// throughout.
func (c trim) compensate(code codes) values {
	fine := c.fine(code.temperature)
	return values{
		temperature: float64((fine*5+128)>>8) / 100,
		pascal:      float64(c.pressure(code.pressure, fine)) / 256,
		humidity:    float64(c.humidity(code.humidity, fine)) / 1024,
	}
}

// fine is the temperature in a unit of 1/5120 degrees.
func (c trim) fine(code int64) int64 {
	linear := (code>>3 - c.t[1]<<1) * c.t[2] >> 11
	difference := code>>4 - c.t[1]
	return linear + difference*difference>>12*c.t[3]>>14
}

// pressure is in 1/256 Pa; 0 is a calibration that cannot be.
func (c trim) pressure(code, fine int64) int64 {
	x := fine - 128000
	y := x*x*c.p[6] + x*c.p[5]<<17 + c.p[4]<<35
	x = x*x*c.p[3]>>8 + x*c.p[2]<<12
	x = (1<<47 + x) * c.p[1] >> 33
	if x == 0 {
		return 0
	}
	p := ((1048576-code)<<31 - y) * 3125 / x
	x = c.p[9] * (p >> 13) * (p >> 13) >> 25
	y = c.p[8] * p >> 19
	return (p+x+y)>>8 + c.p[7]<<4
}

// humidity is in 1/1024 %, cut off at 0 and 100.
func (c trim) humidity(code, fine int64) int64 {
	x := fine - 76800
	slope := (((x*c.h[6]>>10)*((x*c.h[3]>>11)+32768)>>10+2097152)*c.h[2] + 8192) >> 14
	h := (code<<14 - c.h[4]<<20 - c.h[5]*x + 16384) >> 15 * slope
	h -= (h >> 15) * (h >> 15) >> 7 * c.h[1] >> 4
	return min(max(h, 0), 100<<22) >> 12
}
