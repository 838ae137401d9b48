package emulator_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/emulator"
)

func fourVolts() []emulator.Volts {
	return []emulator.Volts{emulator.Steady(0.41), emulator.Steady(0.83), emulator.Steady(1.66), emulator.Steady(3.29)}
}

// Adafruit's library sends the control byte and a byte for the output, and does
// it twice: the first byte it reads is the conversion before.
func TestPCF8591AnswersTheVendorsLibrary(t *testing.T) {
	h := hookUp(0x48, emulator.NewPCF8591(fourVolts()...))
	h.do(t, "00 00", "80 1F")
	h.do(t, "00 00", "1F 1F")
	h.do(t, "01 00", "1F 40")
	h.do(t, "42 00", "40 80")
	h.do(t, "03", "")
	h.do(t, "", "80 FF FF")
}

// With auto-increment one reading gives all inputs, one byte late.
func TestPCF8591CountsOn(t *testing.T) {
	h := hookUp(0x48, emulator.NewPCF8591(fourVolts()...))
	h.do(t, "44", "80 1F 40 80 FF 1F")
	h.BrownOut(0x48)
	h.do(t, "", "80 1F")
}

// Differences have a sign.
func TestPCF8591TakesDifferences(t *testing.T) {
	for _, x := range []struct{ control, want string }{
		{"12", "80 81"}, // AIN2-AIN3, -127
		{"10", "80 80"}, // clamped to -128
		{"20", "80 1F"},
		{"22", "80 81"},
		{"30", "80 DF"}, // AIN0-AIN1
		{"31", "80 81"}, // AIN2-AIN3
		{"34", "80 DF 81 DF"},
		{"14", "80 80 80 81 80"},
	} {
		t.Run(x.control, func(t *testing.T) {
			hookUp(0x48, emulator.NewPCF8591(fourVolts()...)).do(t, x.control, x.want)
		})
	}
	empty := hookUp(0x48, emulator.NewPCF8591())
	empty.do(t, "00", "80 00")
}
