package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// The traffic of periph's driver, and what tinygo's sees, which asks for the
// status by a plain read.
func TestAHT20AnswersPeriph(t *testing.T) {
	w := newWorld(emulator.NewAHT20(emulator.Steady(25), emulator.Steady(50)))
	w.clock.Sleep(40 * time.Millisecond)
	w.do(t, "71", "18")
	w.do(t, "", "18")
	w.do(t, "AC 33 00", "")
	w.do(t, "71", "98")
	w.do(t, "", "98 00 00 00 00 00 D9")
	w.clock.Sleep(80 * time.Millisecond)
	w.do(t, "", "18 80 00 06 00 00 23")
	w.do(t, "", "18 80 00 06 00 00 23")
}

func TestAHT20MeasuresColdAndWet(t *testing.T) {
	w := newWorld(emulator.NewAHT20(emulator.Steady(-10), emulator.Steady(85.5)))
	w.clock.Sleep(40 * time.Millisecond)
	w.do(t, "AC 33 00", "")
	w.clock.Sleep(80 * time.Millisecond)
	w.do(t, "", "18 DA E1 43 33 33 59")
}

// An AHT10 wants to be initialised, and has no checksum; so may an AHT20.
func TestAHT20IsInitialised(t *testing.T) {
	for _, test := range []struct {
		name           string
		chip           *emulator.AHT20
		strange, right string
		tail           string
	}{
		{"AHT10", emulator.NewAHT10(nil, nil), "BE 08 00", "E1 08 00", "FF"},
		{"AHT20", &emulator.AHT20{Uncalibrated: true}, "BE 08", "BE 08 00", "23"},
		{"AHT20 by its old command", &emulator.AHT20{Uncalibrated: true}, "BE 00 00", "E1 08 00", "23"},
	} {
		w := newWorld(test.chip)
		w.refusesRead(t) // it starts for 20 ms
		w.clock.Sleep(40 * time.Millisecond)
		w.do(t, "", "10")
		w.do(t, test.strange, "")
		w.do(t, "", "10")
		w.do(t, test.right, "")
		w.do(t, "", "18")
		w.do(t, "AC 33 00", "")
		w.clock.Sleep(80 * time.Millisecond)
		w.do(t, "", "18 80 00 06 00 00"+test.tail)
		w.do(t, "BA", "")
		w.clock.Sleep(40 * time.Millisecond)
		w.do(t, "", "10 00 00 00")
	}
}

// A start while it measures changes nothing.
func TestAHT20MeasuresOnceAtATime(t *testing.T) {
	w := newWorld(&emulator.AHT20{Wrong: 1})
	w.clock.Sleep(40 * time.Millisecond)
	w.do(t, "AC 33 00", "")
	w.clock.Sleep(50 * time.Millisecond)
	w.do(t, "AC 33 00", "")
	w.clock.Sleep(30 * time.Millisecond)
	w.do(t, "", "18 00 00 06 00 00")
	w.do(t, "AC 33 00", "")
	w.clock.Sleep(80 * time.Millisecond)
	w.do(t, "", "18 80 00 06 00 00")
}
