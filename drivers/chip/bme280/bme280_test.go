package bme280_test

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/bme280"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/physic"
)

const addr = 0x76

// registers is a chip that is always done at once and holds what it is given.
type registers struct {
	held  [256]byte
	looks int // how often it still looks busy
}

func (*registers) String() string                  { return "i2c-1" }
func (*registers) SetSpeed(physic.Frequency) error { return nil }

func (c *registers) Tx(_ uint16, w, r []byte) error {
	for i := 0; i+1 < len(w); i += 2 {
		if c.held[w[i]] = w[i+1]; w[i] == 0xf4 {
			c.looks = 1
		}
	}
	if len(r) > 0 {
		copy(r, c.held[w[0]:])
		if c.looks--; c.looks < 0 {
			c.held[0xf4] &^= 3
		}
	}
	return nil
}

func (c *registers) set(t *testing.T, from byte, text string) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	copy(c.held[from:], b)
}

// Bosch's worked example, and codes that are no measurement.
func TestVectors(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       error
	}{
		{"worked example", "65 5A C0 7E ED 00 6B 00", nil},
		{"no humidity after a reset", "65 5A C0 7E ED 00 80 00", bus.ErrReset},
		{"no temperature", "65 5A C0 80 00 00 6B 00", bus.ErrReset},
		{"no pressure", "80 00 00 7E ED 00 6B 00", bus.ErrReset},
		{"wire low", "00 00 00 00 00 00 00 00", bus.ErrImplausible},
		{"wire high", "FF FF FF FF FF FF FF FF", bus.ErrImplausible},
		{"too high a pressure", "05 5A C0 7E ED 00 6B 00", bus.ErrImplausible},
		{"humidity 0", "65 5A C0 7E ED 00 00 00", bus.ErrImplausible},
	} {
		synctest.Test(t, func(t *testing.T) {
			var c registers
			c.set(t, 0xd0, "60")
			c.set(t, 0x88, "70 6B 43 67 18 FC 7D 8E 43 D6 D0 0B 27 0B 8C 00 F9 FF 8C 3C F8 C6 70 17 00 4B")
			c.set(t, 0xe1, "72 01 00 13 29 03 1E")
			c.set(t, 0xf7, "65 5A C0 7E ED 00 6B 00")
			d, err := bme280.New(t.Context(), &c, addr, bme280.Options{Device: "balcony", Channel: "2"})
			if err != nil {
				t.Fatal(err)
			}
			c.set(t, 0xf7, test.data)
			r, err := d.Read(t.Context())
			if test.want != nil {
				if !errors.Is(err, test.want) || len(r) > 0 {
					t.Errorf("%s: got %v, %v; want %v", test.name, r, err, test.want)
				}
				return
			}
			if err != nil || r[0].Device != "balcony" || r[0].Channel != "2" || r[0].Source != "bme280" ||
				!holds(r[0], reading.Temperature, 25.08, 0) || !holds(r[0], reading.Pressure, 1006.53, 0) || !holds(r[0], reading.Humidity, 41.3, 0.1) {
				t.Errorf("%s: got %v, %v", test.name, r, err)
			}
		})
	}
}

func holds(r reading.Reading, m reading.Metric, number, by float64) bool {
	for _, v := range r.Values {
		if v.Metric == m {
			return math.Abs(v.Number-number) <= by
		}
	}
	return false
}

func air() *emulator.BME280 {
	return emulator.NewBME280(emulator.Steady(25), emulator.Steady(41.3), emulator.Steady(1006.5))
}

func open(t *testing.T, b *emulator.Bus) *bme280.Dev {
	t.Helper()
	d, err := bme280.New(t.Context(), b, addr, bme280.Options{Device: "balcony"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The regression test "bme280 brown-out": periph.io/x/devices v3.7.4 writes
// ctrl_hum once at start, and after a loose wire reports 71.8 % instead of 41.3 %
// for ever (skylarstein/bme280-sensor#7, domoticz#1410).
func TestBrownOutIsToldAndMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, air())
		d := open(t, &b)
		b.BrownOut(addr)
		time.Sleep(time.Second)
		r, err := d.Read(t.Context())
		if !errors.Is(err, bus.ErrReset) || len(r) != 1 || !holds(r[0], reading.Humidity, 41.3, 0.1) || !r[0].Values[2].Suspect {
			t.Errorf("got %v, %v; want 41.3 %% suspect, and %v", r, err, bus.ErrReset)
		}
		r, err = d.Read(t.Context())
		if err != nil || !holds(r[0], reading.Humidity, 41.3, 0.1) || r[0].Quality() != reading.Good {
			t.Errorf("afterwards: got %v, %v; want 41.3 %%, good", r, err)
		}
	})
}

// Another unit with another calibration is plugged in: between two readings,
// when nobody sees it go, and within a moment in which one transaction fails.
func TestAnotherUnitIsReadWithItsOwnCalibration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, air())
		d := open(t, &b)
		other := air()
		other.Trim = [33]byte{
			0x1e, 0x6e, 0x1d, 0x67, 0x32, 0x00, 0x5a, 0x8f, 0x4b, 0xd6, 0xd0, 0x0b, 0x63, 0x1d, 0xb0, 0xff,
			0xf9, 0xff, 0x0c, 0x30, 0x20, 0xd1, 0x88, 0x13, 0x00, 0x4b,
			0x58, 0x01, 0x00, 0x15, 0x08, 0x03, 0x1e,
		}
		b.Attach(addr, other)
		time.Sleep(time.Minute)
		for i, want := range []error{bus.ErrReset, nil} {
			r, err := d.Read(t.Context())
			if !errors.Is(err, want) || !holds(r[0], reading.Temperature, 25, 0.02) || !holds(r[0], reading.Pressure, 1006.5, 0.1) || !holds(r[0], reading.Humidity, 41.3, 0.1) {
				t.Errorf("reading %d: got %v, %v", i, r, err)
			}
		}
	})
}

// keeps is a chip that never loses its power: its settings are there already.
type keeps struct{ *emulator.BME280 }

func (keeps) PowerOn(time.Time) {}

// The same with a unit that was set up elsewhere: its settings do not betray it,
// only its calibration.
func TestUnitThatIsSetUpAlreadyIsReadWithItsOwnCalibration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, air())
		d := open(t, &b)
		other := air()
		other.Trim = [33]byte{0x1e, 0x6e, 0x1d, 0x67, 0x32, 0x00, 0x5a, 0x8f, 0x4b, 0xd6, 0xd0, 0x0b, 25: 0x4b, 26: 0x58, 27: 0x01, 29: 0x15, 32: 0x1e}
		other.PowerOn(time.Now())
		other.Transfer(time.Now(), []byte{0xf2, 0x01, 0xf5, 0xa0, 0xf4, 0x25}, nil)
		b.Detach(addr)
		if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrNACK) || len(r) > 0 {
			t.Errorf("got %v, %v; want %v", r, err, bus.ErrNACK)
		}
		b.Attach(addr, keeps{other})
		if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrReset) || !holds(r[0], reading.Temperature, 25, 0.02) || !r[0].Values[0].Suspect {
			t.Errorf("got %v, %v; want 25 degrees suspect, and %v", r, err, bus.ErrReset)
		}
	})
}

// A BMP280 that was sold as a BME280 is named.
func TestBMP280IsNoBME280(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewBMP280(nil, nil))
		_, err := bme280.New(t.Context(), &b, addr, bme280.Options{Device: "balcony"})
		if !errors.Is(err, bus.ErrWrongChip) || !strings.Contains(err.Error(), "BMP280") {
			t.Errorf("got %v, want %v that names the BMP280", err, bus.ErrWrongChip)
		}
	})
}

// Water has condensed in the chip: it says 100 % for weeks.
func TestWetChipIsSaturatedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		wet := emulator.Until(time.Now().Add(48*time.Hour), emulator.Steady(100), emulator.Steady(80))
		b.Attach(addr, emulator.NewBME280(emulator.Steady(20), wet, nil))
		d := open(t, &b)
		saturated := errors.AsType[bme280.Fault]
		for hour := range 60 {
			r, err := d.Read(t.Context())
			fault, is := saturated(err)
			if want := hour >= 24 && hour < 48; is != want || len(r) != 1 || r[0].Values[2].Suspect != want || r[0].Values[0].Suspect {
				t.Errorf("hour %d: got %v, %v; want saturated: %v", hour, r, err, want)
			}
			if is && (fault.State() != "saturated" || !strings.Contains(err.Error(), "100 %")) {
				t.Errorf("got state %q, error %v", fault.State(), err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// Some chips answer 00 when their id is read for the first time.
func TestIDIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, air())
		if _, err := bme280.New(t.Context(), &shy{Bus: &b, left: 2}, addr, bme280.Options{Device: "balcony"}); err != nil {
			t.Error(err)
		}
	})
}

// shy answers 00 for the first times.
type shy struct {
	*emulator.Bus
	left int
}

func (s *shy) Tx(addr uint16, w, r []byte) error {
	err := s.Bus.Tx(addr, w, r)
	if s.left > 0 {
		s.left--
		clear(r)
	}
	return err
}

func TestNamelessDeviceIsAnError(t *testing.T) {
	if _, err := bme280.New(t.Context(), &emulator.Bus{}, addr, bme280.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want an error about the device", err)
	}
}
