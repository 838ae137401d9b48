package emulator_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

const addr = 0x48

// world is a bus with one chip, on a clock of its own.
type world struct {
	*emulator.Bus
	clock *emulator.SteppedClock
}

func newWorld(chip emulator.Chip) world {
	clock := emulator.NewSteppedClock(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	w := world{Bus: &emulator.Bus{Name: "i2c-1", Clock: clock}, clock: clock}
	w.Attach(addr, chip)
	return w
}

// do writes and reads hexadecimal bytes; want "" reads nothing.
func (w world) do(t *testing.T, write, want string) {
	t.Helper()
	r := make([]byte, len(unhex(t, want)))
	if err := w.Tx(addr, unhex(t, write), r); err != nil {
		t.Fatalf("W [%s]: %v", write, err)
	}
	if !bytes.Equal(r, unhex(t, want)) {
		t.Errorf("W [%s] R [% X], want [%s]", write, r, want)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fourInputs() []emulator.Volts {
	return []emulator.Volts{emulator.Steady(1.6), emulator.Steady(2.83), emulator.Steady(3.3), emulator.Steady(-0.002)}
}

// The traffic of Adafruit's CircuitPython library with a chip whose inputs have
// these voltages, as recorded from the vendor's code.
func TestADS1115AnswersTheVendorsLibrary(t *testing.T) {
	w := newWorld(emulator.NewADS1115(fourInputs()...))
	if err := w.Tx(addr, nil, nil); err != nil {
		t.Fatalf("zero-length probe: %v", err)
	}
	w.do(t, "02 80 00", "")
	w.do(t, "03 7F FF", "")
	w.do(t, "01", "85 83")
	w.do(t, "01 83 83", "")
	w.clock.Sleep(10 * time.Millisecond)
	for _, input := range []struct{ name, start, busy, ready, value string }{
		{"A0", "C3 83", "43 83", "C3 83", "32 00"},
		{"A1", "D3 83", "53 83", "D3 83", "58 70"},
		{"A2", "E3 83", "63 83", "E3 83", "67 20"},
		{"A3", "F3 83", "73 83", "F3 83", "FF F0"},
	} {
		t.Run(input.name, func(t *testing.T) {
			w.do(t, "01"+input.start, "")
			w.do(t, "01", input.busy)
			w.do(t, "01", input.busy)
			w.clock.Sleep(8 * time.Millisecond)
			w.do(t, "01", input.ready)
			w.do(t, "00", input.value)
			w.do(t, "", input.value) // the pointer stays: write, STOP, read works too
		})
	}
}

// Adafruit's C++ library sets the comparator to one conversion (RDY mode), sends
// the thresholds afterwards, and ends every write with a STOP before it reads.
func TestADS1115AnswersTheArduinoLibrary(t *testing.T) {
	w := newWorld(emulator.NewADS1115(fourInputs()...))
	w.do(t, "01 C3 80", "")
	w.do(t, "03 80 00", "")
	w.do(t, "02 00 00", "")
	w.do(t, "01", "")
	w.do(t, "", "43 80")
	w.clock.Sleep(8 * time.Millisecond)
	w.do(t, "", "C3 80")
	w.do(t, "00", "")
	w.do(t, "", "32 00")
	w.do(t, "03", "80 00")
	w.do(t, "02", "00 00")
}

// ESPHome reads the conversion first, configures without a start, and then
// starts with the input chosen.
func TestADS1115AnswersESPHome(t *testing.T) {
	w := newWorld(emulator.NewADS1115(fourInputs()...))
	w.do(t, "00", "00 00")
	w.do(t, "01 01 E3", "")
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "01", "81 E3") // nothing was started
	w.do(t, "01 D3 E3", "")
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "01", "D3 E3")
	w.do(t, "00", "58 70")
}

// A conversion is over after 1/rate, and its code depends on range and model.
func TestADS1x15TakesOtherSettings(t *testing.T) {
	const unhurried, fast = 8 * time.Millisecond, 500 * time.Microsecond
	for _, test := range []struct {
		name         string
		chip         *emulator.ADS1x15
		start, value string
		done         time.Duration
	}{
		{"8 a second", emulator.NewADS1115(fourInputs()...), "C3 03", "32 00", 126 * time.Millisecond},
		{"range 6.144 V", emulator.NewADS1115(fourInputs()...), "C1 83", "21 55", unhurried},
		{"ADS1015 at 1600 a second", emulator.NewADS1015(fourInputs()...), "C3 83", "32 00", fast},
		{"ADS1015 has twelve bits", emulator.NewADS1015(emulator.Steady(1.6011)), "C3 83", "32 10", fast},
		{"more than the range", emulator.NewADS1115(fourInputs()...), "C7 83", "7F FF", unhurried},
		{"less than the range", emulator.NewADS1115(nil, emulator.Steady(1)), "8B 83", "80 00", unhurried},
		{"more than the range of an ADS1015", emulator.NewADS1015(fourInputs()...), "C7 83", "7F F0", fast},
		{"difference of two inputs", emulator.NewADS1115(fourInputs()...), "83 83", "D9 90", unhurried},
		{"more than the supply", emulator.NewADS1115(emulator.Steady(5)), "C1 83", "4B 00", unhurried},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(test.chip)
			w.do(t, "01"+test.start, "")
			w.clock.Sleep(test.done * 3 / 4)
			w.do(t, "00", "00 00")
			w.clock.Sleep(test.done / 4)
			w.do(t, "01", test.start) // ready
			w.do(t, "00", test.value)
		})
	}
}

// The fault that makes drivers return another input's value: the register keeps
// it until a slow oscillator is done.
func TestADS1115KeepsTheLastValueUntilTheConversionEnds(t *testing.T) {
	chip := emulator.NewADS1115(fourInputs()...)
	chip.Oscillator = 0.9
	w := newWorld(chip)
	w.do(t, "01 C3 83", "")
	w.clock.Sleep(20 * time.Millisecond)
	w.do(t, "01 D3 83", "")
	w.clock.Sleep(time.Second / 128) // the nominal time
	w.do(t, "00", "32 00")
	w.clock.Sleep(time.Millisecond)
	w.do(t, "00", "58 70")
}

func TestADS1115IgnoresAStartWhileBusy(t *testing.T) {
	w := newWorld(emulator.NewADS1115(fourInputs()...))
	w.do(t, "01 C3 83", "")
	w.clock.Sleep(4 * time.Millisecond)
	w.do(t, "01 D3 83", "")
	w.clock.Sleep(4 * time.Millisecond)
	w.do(t, "01", "D3 83") // idle again: nothing else was started
	w.do(t, "00", "32 00") // and it is A0 that was converted
}

// In continuous mode the ready bit says nothing, and a new input waits for the
// conversion that is under way.
func TestADS1115FinishesTheRunningConversionBeforeItSwitches(t *testing.T) {
	w := newWorld(emulator.NewADS1115(fourInputs()...))
	w.do(t, "01 42 83", "")
	w.clock.Sleep(20 * time.Millisecond)
	w.do(t, "01", "42 83")
	w.do(t, "00", "32 00")
	w.do(t, "01 52 83", "")
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "00", "32 00")
	w.clock.Sleep(16 * time.Millisecond)
	w.do(t, "00", "58 70")
	w.do(t, "01 62 83", "")
	w.clock.Sleep(17 * time.Millisecond) // one old and one new conversion
	w.do(t, "00", "67 20")
	w.do(t, "01 52 83", "")
	w.clock.Sleep(1000 * time.Hour) // caught up with in one step
	w.do(t, "00", "58 70")
	w.do(t, "01 53 83", "") // single-shot: ends after the running one
	w.clock.Sleep(9 * time.Millisecond)
	w.do(t, "01", "D3 83")
}

// A single shot is a picture of its time, however late it is fetched.
func TestADS1115KeepsTheVoltageOfTheConversion(t *testing.T) {
	chip := emulator.NewADS1115()
	w := newWorld(chip)
	chip.Volts[0] = emulator.Until(w.clock.Now().Add(time.Second), emulator.Steady(1.6), emulator.Steady(2.83))
	w.do(t, "01 C3 83", "")
	w.clock.Sleep(time.Hour)
	w.do(t, "00", "32 00")
}

func TestADS1115ForgetsItsSettingsWithoutPower(t *testing.T) {
	w := newWorld(emulator.NewADS1115(fourInputs()...))
	w.do(t, "01 C3 83", "")
	w.clock.Sleep(20 * time.Millisecond)
	w.do(t, "00", "32 00")
	w.BrownOut(addr)
	w.do(t, "", "00 00")
	w.do(t, "01", "85 83")
	w.do(t, "02", "80 00")
	w.do(t, "03", "7F FF")
}

// A register has two bytes; a client that reads on gets an idle wire.
func TestADS1115HasNothingBehindARegister(t *testing.T) {
	w := newWorld(emulator.NewADS1115())
	w.do(t, "01", "85 83 FF")
	w.do(t, "05", "85 83") // the upper bits of the pointer are not looked at
	w.do(t, "01 C3", "")   // half a register is not written
	w.do(t, "01", "85 83")
	w.do(t, "00 12 34", "") // the conversion cannot be written
	w.do(t, "00", "00 00")
}
