package emulator

import "sort"

// exampleTrim is the calibration of the worked example in the datasheet of the
// BMP280, with made-up coefficients for humidity.
var exampleTrim = [33]byte{
	0x70, 0x6b, 0x43, 0x67, 0x18, 0xfc, 0x7d, 0x8e, 0x43, 0xd6, 0xd0, 0x0b, 0x27, 0x0b, 0x8c, 0x00,
	0xf9, 0xff, 0x8c, 0x3c, 0xf8, 0xc6, 0x70, 0x17, 0x00, 0x4b,
	0x72, 0x01, 0x00, 0x13, 0x29, 0x03, 0x1e,
}

func (c *BME280) trim() [33]byte {
	if c.Trim == [33]byte{} {
		return exampleTrim
	}
	return c.Trim
}

// bmeTrim are the coefficients of one unit, named as the datasheet numbers them.
type bmeTrim struct {
	t [4]float64  // dig_T1 to dig_T3
	p [10]float64 // dig_P1 to dig_P9
	h [7]float64  // dig_H1 to dig_H6
}

func trimOf(b [33]byte) bmeTrim {
	word := func(i int) float64 { return float64(uint16(b[i]) | uint16(b[i+1])<<8) }
	signed := func(i int) float64 { return float64(int16(uint16(b[i]) | uint16(b[i+1])<<8)) }
	var c bmeTrim
	c.t[1], c.t[2], c.t[3] = word(0), signed(2), signed(4)
	c.p[1] = word(6)
	for i := 2; i <= 9; i++ {
		c.p[i] = signed(4 + 2*i)
	}
	c.h[1], c.h[2], c.h[3] = float64(b[25]), signed(26), float64(b[28])
	c.h[4] = float64(int16(int8(b[29]))<<4 | int16(b[30]&0x0f))
	c.h[5] = float64(int16(int8(b[31]))<<4 | int16(b[30]>>4))
	c.h[6] = float64(int8(b[32]))
	return c
}

// The formulas below are those in double precision of the datasheet's section
// 8.1. They go from a code to a value; the code of a value is searched for.

func (c bmeTrim) temperature(code float64) float64 {
	difference := code/131072 - c.t[1]/8192
	fine := (code/16384-c.t[1]/1024)*c.t[2] + difference*difference*c.t[3]
	return fine / 5120
}

func (c bmeTrim) pascal(code, fine float64) float64 {
	x := fine/2 - 64000
	y := x*x*c.p[6]/32768 + x*c.p[5]*2
	y = y/4 + c.p[4]*65536
	x = (c.p[3]*x*x/524288 + c.p[2]*x) / 524288
	x = (1 + x/32768) * c.p[1]
	p := (1048576 - code - y/4096) * 6250 / x
	return p + (c.p[9]*p*p/2147483648+p*c.p[8]/32768+c.p[7])/16
}

func (c bmeTrim) percent(code, fine float64) float64 {
	x := fine - 76800
	h := (code - (c.h[4]*64 + c.h[5]/16384*x)) * (c.h[2] / 65536 * (1 + c.h[6]/67108864*x*(1+c.h[3]/67108864*x)))
	return h * (1 - c.h[1]*h/524288)
}

func (c bmeTrim) temperatureCode(value float64) uint32 {
	return codeOf(1<<20, func(code float64) bool { return c.temperature(code) >= value })
}

func (c bmeTrim) pressureCode(value, fine float64) uint32 {
	return codeOf(1<<20, func(code float64) bool { return c.pascal(code, fine) <= value })
}

func (c bmeTrim) humidityCode(value, fine float64) uint32 {
	return codeOf(1<<16, func(code float64) bool { return c.percent(code, fine) >= value })
}

// codeOf finds the first code below limit from which on reached is true.
func codeOf(limit int, reached func(code float64) bool) uint32 {
	return uint32(min(sort.Search(limit, func(i int) bool { return reached(float64(i)) }), limit-1))
}
