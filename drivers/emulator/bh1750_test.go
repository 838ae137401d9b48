package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// The traffic of tinygo's driver, which measures without end.
func TestBH1750AnswersTinygo(t *testing.T) {
	w := newWorld(&emulator.BH1750{})
	w.do(t, "01", "")
	w.do(t, "10", "")
	w.do(t, "", "00 00")
	w.clock.Sleep(180 * time.Millisecond)
	w.do(t, "", "02 58")
	w.clock.Sleep(1000 * time.Hour)
	w.do(t, "", "02 58")
}

// ESPHome sets the measurement time and asks for one measurement. Until it ends
// the last result stays, and then the chip sleeps.
func TestBH1750AnswersESPHome(t *testing.T) {
	w := newWorld(emulator.NewBH1750(emulator.Until(time.Date(2026, 6, 1, 12, 0, 5, 0, time.UTC), emulator.Steady(500), emulator.Steady(1000))))
	measure := func(command string) {
		w.do(t, "01", "")
		w.do(t, "42", "")
		w.do(t, "65", "")
		w.do(t, command, "")
	}
	measure("20")
	w.clock.Sleep(180 * time.Millisecond)
	w.do(t, "", "02 58")
	w.do(t, "20", "") // asleep
	w.do(t, "07", "")
	w.clock.Sleep(10 * time.Second)
	w.do(t, "", "02 58")
	measure("20")
	w.clock.Sleep(120 * time.Millisecond)
	w.do(t, "", "02 58")
	w.clock.Sleep(60 * time.Millisecond)
	w.do(t, "", "04 B0")
	measure("21") // twice as fine
	w.clock.Sleep(180 * time.Millisecond)
	w.do(t, "", "09 60")
	measure("23") // coarse and quick
	w.clock.Sleep(24 * time.Millisecond)
	w.do(t, "", "04 B0")
	w.do(t, "01", "")
	w.do(t, "07", "")
	w.do(t, "", "00 00")
	w.do(t, "44", "") // twice the time: twice the count
	w.do(t, "6A", "")
	w.do(t, "20", "")
	w.clock.Sleep(180 * time.Millisecond)
	w.do(t, "", "00 00")
	w.clock.Sleep(180 * time.Millisecond)
	w.do(t, "", "09 60")
	w.BrownOut(addr)
	w.do(t, "", "00 00")
}
