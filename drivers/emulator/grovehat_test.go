package emulator_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// The traffic of grove.py, as recorded from it, and of its adc_8chan_12bit.py,
// which names no register before.
func TestGroveHATAnswersTheVendorsLibrary(t *testing.T) {
	h := hookUp(0x04, emulator.NewGroveHAT(emulator.Steady(1.65)))
	for _, x := range []struct{ register, want string }{
		{"00", "04 00"}, {"02", "02 00"}, {"10", "00 08"}, {"20", "72 06"}, {"30", "F4 01"}, {"29", "E4 0C"},
	} {
		h.do(t, x.register, "")
		h.do(t, x.register, x.want)
	}
	h.do(t, "10", "")
	h.do(t, "", "00 08 FF")
	h.do(t, "17", "00 00") // tied to ground
	h.do(t, "40", "00 00") // nothing there
}

func TestGroveHATHasEnds(t *testing.T) {
	c := emulator.NewGroveHAT(emulator.Steady(5), emulator.Steady(-1))
	c.Product, c.Supply = 5, 3
	h := hookUp(0x08, c)
	h.do(t, "00", "05 00")
	h.do(t, "10", "FF 0F")
	h.do(t, "20", "B8 0B")
	h.do(t, "30", "E8 03")
	h.do(t, "11", "00 00")
	h.do(t, "29", "B8 0B")
	h.BrownOut(0x08)
	h.do(t, "", "05 00")
}
