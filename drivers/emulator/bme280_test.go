package emulator_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// exampleAir is what Bosch's worked example gives for the codes 519888 and
// 415148, and the humidity that code 6B00 stands for at that.
func exampleAir() *emulator.BME280 {
	return emulator.NewBME280(emulator.Steady(25.08245), emulator.Steady(41.3495), emulator.Steady(1006.5327))
}

// The traffic of periph's driver: calibration, single measurements with humidity,
// the wait for the status.
func TestBME280AnswersPeriph(t *testing.T) {
	w := newWorld(exampleAir())
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "D0", "60")
	w.do(t, "88", "70 6B 43 67 18 FC 7D 8E 43 D6 D0 0B 27 0B 8C 00 F9 FF 8C 3C F8 C6 70 17 00 4B")
	w.do(t, "E1", "72 01 00 13 29 03 1E")
	w.do(t, "F4 24 F2 01 F5 A0 F4 24", "")
	for range 2 { // the first after a start is poor
		w.do(t, "F4 25", "")
		w.do(t, "F3", "08")
		w.clock.Sleep(10 * time.Millisecond)
		w.do(t, "F3", "00")
	}
	w.do(t, "F7", "65 5A C0 7E ED 00 6B 00")
	w.do(t, "F2", "01 00 24 A0")
}

// After a brown-out the settings are gone. Who only writes ctrl_meas gets a
// temperature, a pressure, and the code for "no humidity".
func TestBME280ForgetsItsSettingsWithoutPower(t *testing.T) {
	w := newWorld(exampleAir())
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "F7", "80 00 00 80 00 00 80 00")
	w.do(t, "F2 01 F4 25", "")
	w.clock.Sleep(10 * time.Millisecond)
	w.BrownOut(addr)
	w.do(t, "F7", "80 00 00 80 00 00 80 00")
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "F2", "00 00 00 00")
	for range 2 {
		w.do(t, "F4 25", "")
		w.clock.Sleep(10 * time.Millisecond)
	}
	w.do(t, "F7", "65 5A C0 7E ED 00 80 00")
}

// ctrl_hum counts from the next write to ctrl_meas on (hybridgroup/gobot#424).
func TestBME280TakesCtrlHumWithCtrlMeas(t *testing.T) {
	w := newWorld(exampleAir())
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "F4 25 F2 01", "")
	w.clock.Sleep(10 * time.Millisecond)
	w.do(t, "FD", "80 00")
	w.do(t, "F4 25", "")
	w.clock.Sleep(10 * time.Millisecond)
	w.do(t, "FD", "6B 00")
}

// tinygo's driver uses the normal mode: it writes once and reads for ever.
func TestBME280MeasuresByItself(t *testing.T) {
	w := newWorld(exampleAir())
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "F2 01", "")
	w.do(t, "F4 27", "")
	w.clock.Sleep(1000 * time.Hour)
	w.do(t, "F7", "65 5A C0 7E ED 00 6B 00")
	w.do(t, "F4", "27")
}

// Until its calibration is copied the chip says so, and shows none.
func TestBME280CopiesItsCalibration(t *testing.T) {
	w := newWorld(exampleAir())
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "E0 B6", "")
	w.do(t, "F3", "01")
	w.do(t, "88", "00 00")
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "F3", "00")
	w.do(t, "88", "70 6B")
}

func TestBMP280HasNoHumidity(t *testing.T) {
	w := newWorld(emulator.NewBMP280(emulator.Steady(25.08245), emulator.Steady(1006.5327)))
	w.clock.Sleep(2 * time.Millisecond)
	w.do(t, "D0", "58")
	w.do(t, "F2 01", "")
	for range 2 {
		w.do(t, "F4 25", "")
		w.clock.Sleep(10 * time.Millisecond)
	}
	w.do(t, "F7", "65 5A C0 7E ED 00 00 00")
	w.do(t, "E1", "00 00")
	w.do(t, "F2", "00")
}
