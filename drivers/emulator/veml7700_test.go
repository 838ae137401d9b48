package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// 500 lx at gain 1/8 and 100 ms are 1085 counts of 0.4608 lx: what the vendor's
// table of resolutions says.
func TestVEML7700MeasuresWithItsSettings(t *testing.T) {
	w := newWorld(&emulator.VEML7700{})
	w.do(t, "07", "81 C4")
	w.do(t, "00", "01 00") // shut down
	w.do(t, "04", "00 00")
	w.do(t, "00 00 10", "")
	w.clock.Sleep(95 * time.Millisecond)
	w.do(t, "04", "00 00")
	w.clock.Sleep(10 * time.Millisecond)
	w.do(t, "04", "3D 04")
	w.do(t, "05", "0D 08")
	for _, test := range []struct{ conf, count string }{
		{"00 13", "0F 01"}, // 25 ms: a quarter
		{"C0 10", "E8 21"}, // 800 ms: eight times
		{"00 00", "E8 21"}, // gain 1
		{"00 08", "D1 43"}, // gain 2
		{"C0 08", "FF FF"}, // too much
	} {
		w.do(t, "00 01 00", "")
		w.do(t, "00"+test.conf, "")
		w.clock.Sleep(time.Second)
		w.do(t, "04", test.count)
	}
	w.BrownOut(addr)
	w.do(t, "04", "00 00")
	w.do(t, "00", "01 00")
}

// The last result stays until an integration of the new settings is over; with
// power saving that takes longer.
func TestVEML7700KeepsTheLastResult(t *testing.T) {
	w := newWorld(&emulator.VEML7700{Oscillator: 0.9})
	w.do(t, "03 03 00", "") // power saving, 1 s
	w.do(t, "03", "03 00")
	w.do(t, "00 00 10", "")
	w.clock.Sleep(120 * time.Millisecond)
	w.do(t, "04", "3D 04")
	w.do(t, "00 00 00", "") // changed while it runs
	w.clock.Sleep(time.Second)
	w.do(t, "04", "3D 04")
	w.clock.Sleep(2500 * time.Millisecond)
	w.do(t, "04", "E8 21")
	w.do(t, "00 01 00", "")
	w.clock.Sleep(time.Hour)
	w.do(t, "04", "E8 21")
}

// Strong light gives less than its share.
func TestVEML7700IsNotLinear(t *testing.T) {
	w := newWorld(emulator.NewVEML7700(emulator.Steady(73718)))
	w.do(t, "00 00 10", "")
	w.clock.Sleep(110 * time.Millisecond)
	w.do(t, "04", "8A A9") // 43402 counts: 20,000 lx, as it would be if it were
}
