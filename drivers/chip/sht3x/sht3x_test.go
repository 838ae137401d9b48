package sht3x_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/sht3x"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/physic"
)

// scripted answers each command with fixed bytes.
type scripted map[string]string

func (scripted) String() string                  { return "i2c-1" }
func (scripted) SetSpeed(physic.Frequency) error { return nil }

func (s scripted) Tx(_ uint16, w, r []byte) error {
	if len(w) > 0 {
		s["last"] = hex.EncodeToString(w)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s[s["last"]], " ", ""))
	copy(r, b)
	return err
}

// The vendor's bytes, and what each means. Bytes that cannot be right, whose
// checksum fits or not, give no number.
func TestVectors(t *testing.T) {
	for _, test := range []struct {
		bytes                 string
		temperature, humidity float64
		err                   error
	}{
		{"66 66 93 80 00 A2", 25, 50, nil},
		{"33 33 88 FF FF AC", -10, 100, nil},
		{"66 66 93 00 00 81", 25, 0, nil},
		{"FF FF FF FF FF FF", 0, 0, bus.ErrCRC},
		{"FF FF AC FF FF AC", 0, 0, bus.ErrImplausible},
		{"00 00 81 00 00 81", 0, 0, bus.ErrImplausible},
		{"66 66 93 80 00 A3", 0, 0, bus.ErrCRC},
		{"E6 66 93 80 00 A2", 0, 0, bus.ErrCRC}, // smeared
	} {
		synctest.Test(t, func(t *testing.T) {
			d, err := sht3x.New(t.Context(), scripted{"f32d": "00 00 81", "2400": test.bytes}, 0x44, sht3x.Options{Device: "balcony", Channel: "2"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Read(t.Context())
			if test.err != nil {
				if !errors.Is(err, test.err) || len(got) > 0 {
					t.Errorf("%s: got %v, %v; want %v", test.bytes, got, err, test.err)
				}
				return
			}
			want := []reading.Reading{{Device: "balcony", Channel: "2", Source: "sht3x", Values: []reading.Value{
				{Metric: reading.Temperature, Number: test.temperature}, {Metric: reading.Humidity, Number: test.humidity},
			}}}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, %v; want %v", test.bytes, got, err, want)
			}
		})
	}
}

// Clones come up with the heater on and measure four degrees too much: at start
// it is switched off, and after a loose wire the warm value is not believed.
func TestHeaterOfACloneIsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(0x45, &emulator.SHT3x{Hot: true})
		d, err := sht3x.New(t.Context(), &b, 0x45, sht3x.Options{Device: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r, err := d.Read(t.Context()); err != nil || r[0].Values[0].Number != 25 {
				t.Errorf("got %v, %v; want 25 degrees", r, err)
			}
			b.BrownOut(0x45)
			time.Sleep(time.Second)
			if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrReset) || r[0].Quality() == reading.Good {
				t.Errorf("after a restart: got %v, %v; want it suspect, and %v", r, err, bus.ErrReset)
			}
		}
	})
}

// The status tells of a restart between two readings: what came meanwhile may
// not be trusted, and the cable is worth a look.
func TestRestartIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(0x44, &emulator.SHT3x{})
		d, err := sht3x.New(t.Context(), &b, 0x44, sht3x.Options{Device: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		b.BrownOut(0x44)
		time.Sleep(time.Second)
		if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrReset) || len(r) != 1 || r[0].Quality() == reading.Good {
			t.Errorf("got %v, %v; want it suspect, and %v", r, err, bus.ErrReset)
		}
		if r, err := d.Read(t.Context()); err != nil || r[0].Quality() != reading.Good {
			t.Errorf("then got %v, %v; want it good", r, err)
		}
	})
}

// A clone whose status always says that it was reset is not suspected for ever.
func TestCloneThatNeverClearsIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(0x44, &emulator.SHT3x{NeverClears: true})
		d, err := sht3x.New(t.Context(), &b, 0x44, sht3x.Options{Device: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := d.Read(t.Context()); err != nil || r[0].Quality() != reading.Good {
			t.Errorf("got %v, %v; want a good reading", r, err)
		}
	})
}

// An SHT4x that is plugged in meanwhile understands some commands, and takes that
// for measuring as the one for its heater.
func TestOtherFamilyPluggedInMeanwhileGivesNoValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(0x44, &emulator.SHT3x{})
		d, err := sht3x.New(t.Context(), &b, 0x44, sht3x.Options{Device: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		b.Attach(0x44, &emulator.SHT4x{})
		for range 3 {
			if r, err := d.Read(t.Context()); err == nil || len(r) > 0 {
				t.Errorf("got %v, %v; want an error alone", r, err)
			}
		}
	})
}

func TestNamelessDeviceIsAnError(t *testing.T) {
	if _, err := sht3x.New(t.Context(), &emulator.Bus{}, 0x44, sht3x.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want an error about the device", err)
	}
}
