package emulator_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/emulator"
)

func lowVolts() []emulator.Volts {
	return []emulator.Volts{emulator.Steady(1.6), emulator.Steady(-0.25), emulator.Steady(3), emulator.Steady(0.1)}
}

// One shot of 16 bits, as stevemarple's Python library does it with a plain
// read: old until it is ready, ready once, then old again.
func TestMCP342xConvertsOnce(t *testing.T) {
	c := emulator.NewMCP342x(lowVolts()...)
	h := hookUp(0x68, c)
	h.do(t, "88", "")
	h.do(t, "", "00 00 88")
	h.pause(66)
	h.do(t, "", "00 00 88")
	h.pause(1)
	h.do(t, "", "64 00") // who does not read the configuration has not read the result
	h.do(t, "", "64 00 08 08")
	h.do(t, "", "64 00 88")
	h.do(t, "A8", "")
	h.do(t, "", "64 00 A8") // still that of the other input
	c.Oscillator = 0.9
	h.pause(67)
	h.do(t, "", "64 00 A8")
	h.pause(8)
	h.do(t, "", "F0 60 28")
}

func TestMCP342xTakesOtherSettings(t *testing.T) {
	for _, x := range []struct {
		config, want string
		wait         float64
	}{
		{"80", "06 40 00", 5},
		{"84", "19 00 04", 17},
		{"8C", "01 90 00 0C", 267},
		{"A0", "FF 06 20", 5},
		{"AC", "FF C1 80 2C", 267},
		{"C8", "7F FF 48", 67}, // above the range
		{"EB", "32 00 6B", 67}, // gain 8
		{"A3", "F8 30 23", 5},
	} {
		t.Run(x.config, func(t *testing.T) {
			h := hookUp(0x68, emulator.NewMCP342x(lowVolts()...))
			h.do(t, x.config, "")
			h.pause(x.wait)
			h.do(t, "", x.want)
		})
	}
}

// It wakes up converting the first input continuously; settings without a start
// end that.
func TestMCP342xStartsContinuously(t *testing.T) {
	h := hookUp(0x68, emulator.NewMCP342x(lowVolts()...))
	h.pause(5)
	h.do(t, "", "06 40 10")
	h.do(t, "", "06 40 90")
	h.pause(500)
	h.do(t, "", "06 40 10")
	h.do(t, "08", "")
	h.pause(500)
	h.do(t, "", "06 40 88")
	h.BrownOut(0x68)
	h.do(t, "", "00 00 90")
}
