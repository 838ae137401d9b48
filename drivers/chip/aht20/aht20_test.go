package aht20_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/aht20"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/physic"
)

const addr = 0x38

// scripted is a chip that is busy for some reads after each start, and then
// answers with fixed bytes.
type scripted struct {
	answer string
	busy   int
	starts int
	left   int
}

func (*scripted) String() string                  { return "i2c-1" }
func (*scripted) SetSpeed(physic.Frequency) error { return nil }

func (s *scripted) Tx(_ uint16, w, r []byte) error {
	if len(w) > 0 && w[0] == 0xac {
		s.left = s.busy
		s.starts++
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s.answer, " ", ""))
	copy(r, b)
	if s.left--; s.left >= 0 && len(r) > 0 {
		r[0] |= 0x80
	}
	return err
}

// The vendor's bytes, and what each means. Bytes that cannot be right give no
// number.
func TestVectors(t *testing.T) {
	const good = "18 80 00 06 00 00 23"
	for _, test := range []struct {
		bytes                 string
		model                 aht20.Model
		temperature, humidity float64
		err                   error
	}{
		{good, aht20.AHT20, 25, 50, nil},
		{"18 DA E1 43 33 33 59", aht20.AHT20, -10, 85.5, nil},
		{"18 DA E1 43 33 33", aht20.AHT10, -10, 85.5, nil},
		{"18 80 00 06 00 00 24", aht20.AHT20, 0, 0, bus.ErrCRC},
		{"18 80 01 06 00 00 23", aht20.AHT20, 0, 0, bus.ErrCRC},
		{"18 00 00 06 00 00", aht20.AHT10, 0, 0, bus.ErrImplausible}, // humidity 0
		{"18 80 00 00 00 00", aht20.AHT10, 0, 0, bus.ErrImplausible}, // -50 degrees
		{"18 80 00 0F FF FF", aht20.AHT10, 0, 0, bus.ErrImplausible}, // 150 degrees
		{"10 80 00 06 00 00", aht20.AHT10, 0, 0, bus.ErrWrongChip},   // never calibrated
		{"98 80 00 06 00 00", aht20.AHT10, 0, 0, bus.ErrNotReady},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &scripted{answer: good, busy: 4}
			d, err := aht20.New(t.Context(), c, addr, aht20.Options{Model: test.model, Device: "balcony", Channel: "2"})
			if err != nil {
				t.Fatal(err)
			}
			c.answer = test.bytes
			got, err := d.Read(t.Context())
			if test.err != nil {
				if !errors.Is(err, test.err) || len(got) > 0 {
					t.Errorf("%s: got %v, %v; want %v", test.bytes, got, err, test.err)
				}
				return
			}
			want := []reading.Reading{{Device: "balcony", Channel: "2", Source: test.model.String(), Values: []reading.Value{
				{Metric: reading.Temperature, Number: test.temperature}, {Metric: reading.Humidity, Number: test.humidity},
			}}}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, %v; want %v", test.bytes, got, err, want)
			}
		})
	}
}

// A start that gets lost leaves the last values with a right checksum; they are
// not taken for new ones.
func TestValuesOfTheLastMeasurementAreNotNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &scripted{answer: "18 80 00 06 00 00 23", busy: 4}
		d, err := aht20.New(t.Context(), c, addr, aht20.Options{Device: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		c.busy, c.starts = 0, 0
		if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrNotReady) || len(r) > 0 || c.starts != 3 {
			t.Errorf("got %v, %v after %d starts; want %v after 3", r, err, c.starts, bus.ErrNotReady)
		}
	})
}

// A chip that has to be initialised forgets that without power; what it measures
// then is marked.
func TestChipIsInitialisedAgainAfterABrownOut(t *testing.T) {
	for _, test := range []struct {
		model aht20.Model
		chip  *emulator.AHT20
	}{
		{aht20.AHT10, emulator.NewAHT10(nil, nil)},
		{aht20.AHT20, &emulator.AHT20{Uncalibrated: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, test.chip)
			time.Sleep(time.Second)
			d, err := aht20.New(t.Context(), &b, addr, aht20.Options{Model: test.model, Device: "balcony"})
			if err != nil {
				t.Fatal(err)
			}
			b.BrownOut(addr)
			time.Sleep(time.Second)
			if r, err := d.Read(t.Context()); !errors.Is(err, bus.ErrReset) || len(r) != 1 || r[0].Quality() == reading.Good {
				t.Errorf("%v: got %v, %v; want it suspect, and %v", test.model, r, err, bus.ErrReset)
			}
			if r, err := d.Read(t.Context()); err != nil || r[0].Quality() != reading.Good {
				t.Errorf("%v: then got %v, %v; want it good", test.model, r, err)
			}
		})
	}
}

// The chip gives a humidity of 0 at times: it is asked again.
func TestHumidityOfZeroIsMeasuredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, &emulator.AHT20{Wrong: 2})
		d, err := aht20.New(t.Context(), &b, addr, aht20.Options{Device: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := d.Read(t.Context()); err != nil || r[0].Values[1].Number != 50 {
			t.Errorf("got %v, %v; want 50 %%", r, err)
		}
	})
}

func TestNamelessDeviceIsAnError(t *testing.T) {
	if _, err := aht20.New(t.Context(), &emulator.Bus{}, addr, aht20.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want an error about the device", err)
	}
}
