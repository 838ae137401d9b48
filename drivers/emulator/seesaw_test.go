package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

func soilSensor() *emulator.Seesaw {
	return emulator.NewSeesaw(emulator.Steady(612), emulator.Steady(22.5))
}

// The traffic of Adafruit's CircuitPython library, as recorded from the vendor's
// code.
func TestSeesawAnswersTheVendorsLibrary(t *testing.T) {
	h := hookUp(0x36, soilSensor())
	h.do(t, "", "")
	h.do(t, "00 7F FF", "")
	h.pause(500)
	for _, x := range []struct {
		name, command, answer string
		wait                  float64
	}{
		{"hardware", "00 01", "55", 8},
		{"version", "00 02", "0F BA 1C 8A", 8},
		{"options", "00 03", "00 00 80 01", 8},
		{"moisture", "0F 10", "02 64", 5},
		{"temperature", "00 04", "00 16 80 00", 5},
	} {
		h.do(t, x.command, "")
		h.pause(x.wait)
		h.do(t, "", x.answer)
		h.do(t, "", "FF FF") // the queue is empty now
	}
}

// tinygo's driver does the same without a pause behind the hardware's id.
func TestSeesawAnswersTinygo(t *testing.T) {
	h := hookUp(0x36, soilSensor())
	h.do(t, "00 7F FF", "")
	h.pause(500)
	h.do(t, "00 01", "")
	h.pause(1)
	h.do(t, "", "55")
	h.do(t, "0F 10", "")
	h.pause(5)
	h.do(t, "", "02 64")
}

// Too early is FF before the firmware looks at the command, and no acknowledge
// while it works, for reading and for writing.
func TestSeesawIsNotReadyInTwoWays(t *testing.T) {
	c := soilSensor()
	c.Latency = 2 * time.Millisecond
	h := hookUp(0x36, c)
	h.do(t, "0F 10", "")
	h.do(t, "", "FF FF")
	h.pause(2)
	h.busy(t, "", 2)
	h.busy(t, "00 01", 0)
	h.pause(3)
	h.do(t, "", "02 64")
}

// A repeated start does not end the command: the answer is not there, but comes
// after the reading.
func TestSeesawIgnoresARepeatedStart(t *testing.T) {
	h := hookUp(0x36, soilSensor())
	h.do(t, "0F 10", "FF FF")
	h.pause(5)
	h.do(t, "", "02 64")
}

// What was not fetched goes as soon as the next command is looked at.
func TestSeesawEmptiesItsQueueForTheNextCommand(t *testing.T) {
	c := soilSensor()
	h := hookUp(0x36, c)
	h.do(t, "00 04", "")
	h.pause(5)
	h.do(t, "", "00")
	h.do(t, "0F 10", "")
	h.pause(5)
	h.do(t, "", "02 64 FF")
}

func TestSeesawTellsUnusualTruths(t *testing.T) {
	for _, test := range []struct {
		name            string
		counts, celsius float64
		command, want   string
	}{
		{"frost", 0, -5.25, "00 04", "FF FA C0 00"},
		{"more than the converter has", 2000, 0, "0F 10", "03 FF"},
		{"less than nothing", -3, 0, "0F 10", "00 00"},
		{"another channel", 612, 0, "0F 11", "00 00"},
	} {
		h := hookUp(0x36, emulator.NewSeesaw(emulator.Steady(test.counts), emulator.Steady(test.celsius)))
		h.do(t, test.command, "")
		h.pause(5)
		t.Run(test.name, func(t *testing.T) { h.do(t, "", test.want) })
	}
	h := hookUp(0x36, new(emulator.Seesaw))
	h.do(t, "00 04", "")
	h.pause(5)
	h.do(t, "", "00 00 00 00")
}

// A command that the firmware does not know keeps it busy until it gives up; a
// slow oscillator makes everything longer.
func TestSeesawTakesItsTime(t *testing.T) {
	c := soilSensor()
	h := hookUp(0x36, c)
	h.do(t, "33 44", "")
	h.pause(90)
	h.busy(t, "", 1)
	h.pause(20)
	h.do(t, "", "FF")
	h.do(t, "00 33", "")
	h.pause(50)
	h.busy(t, "", 1)
	h.pause(60)
	c.Oscillator = 0.5
	h.do(t, "0F 10", "")
	h.pause(5)
	h.busy(t, "", 2)
	h.pause(2)
	h.do(t, "", "02 64")
	h.do(t, "00", "") // half a command is none
	h.do(t, "", "FF")
}

// After a brown-out it boots and has forgotten what it was asked.
func TestSeesawBootsAfterABrownOut(t *testing.T) {
	c := soilSensor()
	c.Version = 0x0fba0001
	h := hookUp(0x36, c)
	h.do(t, "0F 10", "")
	h.BrownOut(0x36)
	h.busy(t, "", 2)
	h.pause(101)
	h.do(t, "", "FF FF")
	h.do(t, "00 02", "")
	h.pause(5)
	h.do(t, "", "0F BA 00 01")
}
