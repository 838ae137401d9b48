package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// The traffic of the vendor's library and of tinygo's driver.
func TestSHT4xAnswersTheVendorsLibrary(t *testing.T) {
	for _, test := range []struct {
		temperature, humidity float64
		want                  string
	}{
		{25, 50, "66 66 93 72 B0 DC"},
		{-10, 100, "33 33 88 D9 16 63"},
		{0, 0, "41 D4 3C 0C 4A D3"},
	} {
		w := newWorld(emulator.NewSHT4x(emulator.Steady(test.temperature), emulator.Steady(test.humidity)))
		w.clock.Sleep(time.Millisecond)
		w.do(t, "89", "")
		w.clock.Sleep(10 * time.Millisecond)
		w.do(t, "", "0F BA 7C 7C 12 2F")
		w.do(t, "FD", "")
		w.clock.Sleep(10 * time.Millisecond)
		w.do(t, "", test.want)
	}
}

// A chip that measures does not acknowledge; what was fetched is gone.
func TestSHT4xDoesNotAcknowledgeUntilItIsReady(t *testing.T) {
	for _, test := range []struct {
		command   string
		not, done time.Duration
	}{
		{"FD", 6 * time.Millisecond, 3 * time.Millisecond},
		{"F6", 3 * time.Millisecond, 2 * time.Millisecond},
		{"E0", time.Millisecond, time.Millisecond},
		{"39", time.Second, 10 * time.Millisecond},
		{"15", 100 * time.Millisecond, 10 * time.Millisecond},
	} {
		w := newWorld(&emulator.SHT4x{})
		w.clock.Sleep(time.Millisecond)
		w.refuses(t, "", 6) // nothing was asked
		w.do(t, test.command, "")
		w.clock.Sleep(test.not)
		w.refuses(t, "", 6)
		w.refuses(t, "FD", 0)
		w.clock.Sleep(test.done)
		r := make([]byte, 6)
		if err := w.Tx(addr, nil, r); err != nil {
			t.Errorf("%s: %v", test.command, err)
		}
		w.refuses(t, "", 6)
	}
}

// refuses wants that nobody acknowledges.
func (w world) refuses(t *testing.T, write string, read int) {
	t.Helper()
	if err := w.Tx(addr, unhex(t, write), make([]byte, read)); err == nil || !isNACK(err) {
		t.Errorf("W [%s] R %d: got %v, want a missing acknowledge", write, read, err)
	}
}

// What the heater warms is not the air: it fades within seconds.
func TestSHT4xHeaterSpoilsTheNextMeasurement(t *testing.T) {
	w := newWorld(&emulator.SHT4x{})
	w.clock.Sleep(time.Millisecond)
	measure := func() int {
		w.do(t, "FD", "")
		w.clock.Sleep(9 * time.Millisecond)
		r := make([]byte, 6)
		if err := w.Tx(addr, nil, r); err != nil {
			t.Fatal(err)
		}
		return int(r[0])<<8 | int(r[1])
	}
	cold := measure()
	w.do(t, "39", "")
	w.clock.Sleep(1100 * time.Millisecond)
	if warm := measure(); warm < cold+10000 {
		t.Errorf("got %d after the heater, %d before", warm, cold)
	}
	w.do(t, "94", "") // a reset does not cool it, but ends what is modelled
	w.clock.Sleep(time.Minute)
	if again := measure(); again != cold {
		t.Errorf("got %d after a minute, want %d", again, cold)
	}
}
