package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// The traffic of ESPHome and of Adafruit's library.
func TestSHT3xAnswersTheVendorsLibrary(t *testing.T) {
	for _, test := range []struct {
		temperature, humidity float64
		want                  string
	}{
		{25, 50, "66 66 93 80 00 A2"},
		{-10, 100, "33 33 88 FF FF AC"},
	} {
		w := newWorld(emulator.NewSHT3x(emulator.Steady(test.temperature), emulator.Steady(test.humidity)))
		w.clock.Sleep(2 * time.Millisecond)
		w.do(t, "24 00", "")
		w.clock.Sleep(16 * time.Millisecond)
		w.do(t, "", test.want)
		w.refusesRead(t)
	}
}

func (w world) refusesRead(t *testing.T) {
	t.Helper()
	if err := w.Tx(addr, nil, make([]byte, 6)); err == nil || !isNACK(err) {
		t.Errorf("R 6: got %v, want a missing acknowledge", err)
	}
}

// The status tells of a reset until it is cleared, and of the heater, which warms
// what is measured.
func TestSHT3xStatusTellsOfResetAndHeater(t *testing.T) {
	chip := &emulator.SHT3x{Hot: true}
	w := newWorld(chip)
	step := func(write, want string) {
		t.Helper()
		w.clock.Sleep(16 * time.Millisecond)
		w.do(t, write, want)
	}
	step("F3 2D", "")
	step("", "A0 10 3D")
	step("24 00", "")
	step("", "6C 40 5D 80 00 A2") // 29 degrees
	step("30 66", "")
	step("30 41", "")
	step("F3 2D", "00 00 81")
	step("12 34", "")
	step("F3 2D", "00 00 81") // the next command was understood
	step("30 6D", "")
	step("F3 2D", "20 00 5D")
	step("30 A2", "")
	step("F3 2D", "A0 10 3D")
}

// In periodic mode a value is fetched without waiting, until it is ended.
func TestSHT3xMeasuresPeriodically(t *testing.T) {
	w := newWorld(&emulator.SHT3x{})
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "21 30", "")
	w.do(t, "E0 00", "66 66 93 80 00 A2")
	w.do(t, "30 93", "")
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "E0 00", "")
	w.refusesRead(t)
}
