package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// The traffic of Pimoroni's library: name, reset, settings, and then the status
// with its bit for new data.
func TestLTR559AnswersPimoroni(t *testing.T) {
	w := newWorld(&emulator.LTR559{})
	w.do(t, "86", "92 05")
	w.do(t, "80 02", "")
	w.do(t, "80", "02")
	w.clock.Sleep(50 * time.Millisecond)
	w.do(t, "80", "00")
	w.do(t, "85", "03")
	w.do(t, "82 1B", "")
	w.do(t, "80 09", "") // gain 4
	w.do(t, "85 08", "") // 50 ms
	w.do(t, "8C", "00")
	w.clock.Sleep(200 * time.Millisecond)
	w.do(t, "8C", "24")
	w.do(t, "88", "7D 01 79 03") // 381 and 889 counts: 500 lx, still with 100 ms
	w.do(t, "8C", "20")          // read
	w.clock.Sleep(time.Hour)
	w.do(t, "8C", "24")
	w.do(t, "86 00 00", "") // cannot be written
	w.do(t, "86", "92 05 BE 00 BC 01")
	w.BrownOut(addr)
	w.do(t, "88", "00 00 00 00 00")
	w.do(t, "80", "00")
}

// The counts follow gain and time; infrared light moves them to channel 1.
func TestLTR559CountsWithItsSettings(t *testing.T) {
	for _, test := range []struct {
		infrared, lux float64
		control, rate string
		want          string
	}{
		{0, 1000, "01", "08", "5F 00 DE 00"},
		{0, 1000, "1D", "10", "F7 8E FF FF"},
		{0.5, 1000, "01", "00", "AE 01 AE 01"},
		{0.7, 1000, "01", "00", "7C 0A 7E 04"},
		{0.9, 1000, "01", "00", "84 03 63 00"},
	} {
		c := emulator.NewLTR559(emulator.Steady(test.lux))
		c.Infrared = test.infrared
		w := newWorld(c)
		w.do(t, "85"+test.rate, "")
		w.do(t, "80"+test.control, "")
		w.clock.Sleep(time.Second)
		w.do(t, "88", test.want)
	}
}
