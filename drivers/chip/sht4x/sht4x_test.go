package sht4x_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/sht4x"
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
		{"66 66 93 72 B0 DC", 25, 50, nil},
		{"33 33 88 D9 16 63", -10, 100, nil},
		{"41 D4 3C 0C 4A D3", 0, 0, nil},
		{"66 66 93 FF FF AC", 25, 100, nil}, // 119 %: condensed water
		{"66 66 93 00 00 81", 25, 0, nil},
		{"FF FF FF FF FF FF", 0, 0, bus.ErrCRC},
		{"FF FF AC FF FF AC", 0, 0, bus.ErrImplausible},
		{"00 00 81 00 00 81", 0, 0, bus.ErrImplausible},
		{"66 66 93 72 B0 DD", 0, 0, bus.ErrCRC},
		{"66 66 92 72 B0 DC", 0, 0, bus.ErrCRC},
		{"E6 66 93 72 B0 DC", 0, 0, bus.ErrCRC}, // smeared
	} {
		synctest.Test(t, func(t *testing.T) {
			d, err := sht4x.New(t.Context(), scripted{"89": "0F BA 7C 7C 12 2F", "fd": test.bytes}, 0x44, sht4x.Options{Device: "balcony", Channel: "2"})
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
			want := []reading.Reading{{Device: "balcony", Channel: "2", Source: "sht4x", Values: []reading.Value{
				{Metric: reading.Temperature, Number: test.temperature}, {Metric: reading.Humidity, Number: test.humidity},
			}}}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, %v; want %v", test.bytes, got, err, want)
			}
		})
	}
}

func TestSerialNumberIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(0x46, &emulator.SHT4x{Serial: 0x12345678})
		d, err := sht4x.New(t.Context(), &b, 0x46, sht4x.Options{Device: "balcony"})
		if err != nil || d.Serial() != 0x12345678 {
			t.Errorf("got %v, %v", d, err)
		}
	})
}

func TestNamelessDeviceIsAnError(t *testing.T) {
	if _, err := sht4x.New(t.Context(), &emulator.Bus{}, 0x44, sht4x.Options{}); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want an error about the device", err)
	}
}
