package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// wetting is a sensor whose soil is watered within its first second: 291 counts
// and 24.3 degrees at first, 455 and 24.4 later.
func wetting() hookup {
	c := emulator.NewChirp(nil, nil)
	w := hookUp(0x20, c)
	from := w.clock.Now().Add(time.Second)
	c.Capacitance = emulator.Until(from, emulator.Steady(291), emulator.Steady(455))
	c.Temperature = emulator.Until(from, emulator.Steady(24.3), emulator.Steady(24.4))
	w.Attach(0x20, c)
	w.pause(101)
	return w
}

// The traffic of chirp-rpi, as recorded from it: a reply is the measurement
// before, and a repeated start gets it at once.
func TestChirpAnswersTheVendorsLibrary(t *testing.T) {
	h := wetting()
	h.pause(1000)
	h.do(t, "07", "26")
	h.do(t, "02", "20")
	h.do(t, "05", "00 F3") // as it booted
	h.do(t, "09", "00")
	h.do(t, "05", "00 F4")
	h.do(t, "00", "01 23")
	h.do(t, "09", "00")
	h.do(t, "00", "01 C7")
	h.do(t, "", "FF FF")
}

// A write that ends with a STOP works too, as that of the Arduino library.
func TestChirpAnswersAfterASTOP(t *testing.T) {
	h := hookUp(0x20, emulator.NewChirp(emulator.Steady(455), emulator.Steady(-5)))
	h.do(t, "05", "")
	h.pause(20)
	h.do(t, "", "FF CE")
}

// Light is measured when it is asked for, the longer the darker.
func TestChirpMeasuresLight(t *testing.T) {
	c := emulator.NewChirp(nil, nil)
	c.Darkness = emulator.Steady(8603)
	h := hookUp(0x20, c)
	h.do(t, "04", "00 00")
	h.do(t, "03", "")
	h.do(t, "09", "01")
	h.do(t, "04", "00 00")
	h.pause(400)
	h.do(t, "09", "00")
	h.do(t, "04", "21 9B")
}

// Since firmware 2.6 an address has to come twice, and counts from the reset on.
func TestChirpTakesAnAddressThatComesTwice(t *testing.T) {
	h := hookUp(0x20, emulator.NewChirp(nil, nil))
	h.do(t, "01 21", "")
	h.do(t, "01 22", "")
	h.do(t, "01", "")
	h.do(t, "02", "20")
	h.do(t, "01 22", "")
	h.do(t, "01 22", "")
	h.do(t, "06", "")
	h.busy(t, "02", 1)
	h.pause(101)
	h.do(t, "02", "22")
}

// A reply that comes late stays, and shifts all that follow until a reset.
func TestChirpsLateReplyShiftsTheOthers(t *testing.T) {
	c := emulator.NewChirp(emulator.Steady(455), emulator.Steady(24.4))
	c.Latency = 30 * time.Millisecond
	h := hookUp(0x20, c)
	h.do(t, "00", "")
	h.pause(20)
	h.do(t, "", "FF FF")
	h.pause(20)
	c.Latency = 0
	h.do(t, "05", "")
	h.pause(20)
	h.do(t, "", "01 C7")
	h.do(t, "06", "")
	h.pause(101)
	h.do(t, "05", "00 F4")
}

// While it measures, the loop answers nothing, not even whether it is busy; the
// ring holds 16 bytes.
func TestChirpIsAwayWhileItMeasures(t *testing.T) {
	c := emulator.NewChirp(emulator.Steady(455), emulator.Steady(24.4))
	c.Measuring, c.Oscillator = 10*time.Millisecond, 0.5
	h := hookUp(0x20, c)
	h.pause(30)
	h.do(t, "00", "01 C7")
	h.do(t, "09", "FF")
	h.pause(30)
	h.do(t, "", "00 FF")
	for range 20 {
		h.do(t, "07", "")
	}
	h.do(t, "", "26 26 26 26 26 26 26 26 26 26 26 26 26 26 26 26 FF FF")
}

// Asleep it does not acknowledge the first time. An original Chirp! has no
// version.
func TestChirpSleepsAndWakes(t *testing.T) {
	c := emulator.NewChirp(emulator.Steady(2000), emulator.Steady(100))
	h := hookUp(0x20, c)
	h.do(t, "08", "")
	h.busy(t, "07", 1)
	c.Version = 0xff
	h.do(t, "07", "FF FF")
	h.do(t, "00", "03 FF")
	h.do(t, "05", "03 52") // shorted: the end of the table
	h.do(t, "33", "FF")
}
