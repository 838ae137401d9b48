package emulator_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// eighths hangs 0.1 V at CH0, 0.2 V at CH1 and so on.
func eighths() (v []emulator.Volts) {
	for i := range 8 {
		v = append(v, emulator.Steady(float64(i+1)*0.1+0.002))
	}
	return v
}

// The commands of Adafruit's library, with the reference of 2.5 V inside: the
// even inputs come first.
func TestADS7830AnswersTheVendorsLibrary(t *testing.T) {
	h := hookUp(0x48, emulator.NewADS7830(eighths()...))
	h.do(t, "8C", "")
	h.pause(10)
	for _, x := range []struct{ command, want string }{
		{"8C", "0A"}, {"CC", "14"}, {"9C", "1E"}, {"DC", "29"}, {"AC", "33"}, {"EC", "3D"}, {"BC", "47"}, {"FC", "52"},
	} {
		h.do(t, x.command, x.want)
		h.do(t, "", x.want) // a read without a command converts the same input
	}
	h.do(t, "4C", "0A") // CH1 against CH0
	h.do(t, "0C", "00") // CH0 against CH1 is below zero
}

// The reference inside rises slowly; without one there is nothing to compare
// with; one from outside counts while the other is off.
func TestADS7830NeedsItsReference(t *testing.T) {
	c := emulator.NewADS7830(emulator.Steady(1.25))
	h := hookUp(0x48, c)
	h.do(t, "84", "FF")
	h.do(t, "8C", "FF")
	h.pause(10)
	h.do(t, "8C", "80 80 80")
	h.BrownOut(0x48)
	h.do(t, "", "FF")
	c.Reference = 3.3
	h.do(t, "84", "60")
	h.do(t, "80", "60")
}
