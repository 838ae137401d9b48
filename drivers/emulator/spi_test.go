package emulator_test

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

func connect(t *testing.T, s *emulator.SPI) spi.Conn {
	t.Helper()
	c, err := s.Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange sends w and wants an answer, of which only the bits of mask count.
func exchange(t *testing.T, c spi.Conn, w, want, mask string) {
	t.Helper()
	r := make([]byte, len(unhex(t, w)))
	if err := c.Tx(unhex(t, w), r); err != nil {
		t.Fatal(err)
	}
	for i, m := range unhex(t, mask) {
		r[i] &= m
	}
	if !bytes.Equal(r, unhex(t, want)) {
		t.Errorf("W [%s] R [% X], want [%s]", w, r, want)
	}
}

// codeVolts is the middle of a code at 3.3 V.
func codeVolts(code, steps int) emulator.Volts {
	return emulator.Steady((float64(code) + 0.5) / float64(steps) * 3.3)
}

// The answer is tied to the start bit, not to the bytes: the framing of the
// datasheet and ESPHome, that of Adafruit's libraries, and the two byte ones of
// the MCP3002.
func TestMCP3xxxAnswersBehindTheStartBit(t *testing.T) {
	ten := []emulator.Volts{codeVolts(0x2a7, 1024), nil, nil, nil, nil, codeVolts(0x155, 1024)}
	twelve := []emulator.Volts{codeVolts(0xa5c, 4096), nil, nil, nil, nil, codeVolts(0x123, 4096)}
	two := []emulator.Volts{codeVolts(0x2a7, 1024), codeVolts(0x155, 1024)}
	for _, test := range []struct {
		name          string
		chip          *emulator.MCP3xxx
		w, want, mask string
	}{
		{"MCP3008 channel 0", emulator.NewMCP3008(ten...), "01 80 00", "00 02 A7", "FF FF FF"},
		{"MCP3008 channel 5", emulator.NewMCP3008(ten...), "01 D0 00", "00 01 55", "FF FF FF"},
		{"MCP3008 channel 0, Adafruit", emulator.NewMCP3008(ten...), "C0 00 00", "01 53 80", "FF FF 80"},
		{"MCP3008 channel 5, Adafruit", emulator.NewMCP3008(ten...), "E8 00 00", "00 AA 80", "FF FF 80"},
		{"MCP3208 channel 0", emulator.NewMCP3208(twelve...), "06 00 00", "00 0A 5C", "FF FF FF"},
		{"MCP3208 channel 5", emulator.NewMCP3208(twelve...), "07 40 00", "00 01 23", "FF FF FF"},
		{"MCP3204 does not look at D2", emulator.NewMCP3204(twelve...), "07 00 00", "00 0A 5C", "FF FF FF"},
		{"MCP3004 does not look at D2", emulator.NewMCP3004(ten...), "01 C0 00", "00 02 A7", "FF FF FF"},
		{"MCP3002 channel 0", emulator.NewMCP3002(two...), "68 00", "02 A7", "FF FF"},
		{"MCP3002 channel 1", emulator.NewMCP3002(two...), "78 00", "01 55", "FF FF"},
		{"MCP3002 start bit first", emulator.NewMCP3002(two...), "D0 00", "05 4E", "FF FE"},
		{"backwards behind it", emulator.NewMCP3008(ten...), "01 80 00 00 00 00", "00 02 A7 CA 80 00", "FF FF FF FF FF FF"},
		{"MCP3002 backwards", emulator.NewMCP3002(two...), "60 00 00 00", "02 A7 CA 80", "FF FF FF FF"},
		{"MCP3002 not backwards", emulator.NewMCP3002(two...), "68 00 00 00", "02 A7 00 00", "FF FF FF FF"},
		{"difference of two inputs", emulator.NewMCP3008(codeVolts(0x2a7, 1024), emulator.Steady(0.825)), "01 00 00", "00 01 A7", "FF FF FF"},
		{"difference the other way", emulator.NewMCP3008(codeVolts(0x2a7, 1024), codeVolts(0x100, 1024)), "01 10 00", "00 00 00", "FF FF FF"},
		{"above the reference", emulator.NewMCP3008(emulator.Steady(5)), "01 80 00", "00 03 FF", "FF FF FF"},
		{"below ground", emulator.NewMCP3008(emulator.Steady(-0.2)), "01 80 00", "00 00 00", "FF FF FF"},
		{"no start bit", emulator.NewMCP3008(ten...), "00 00 00", "00 00 00", "FF FF FF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s emulator.SPI
			s.Clock = emulator.NewSteppedClock(time.Time{})
			s.Attach(test.chip)
			exchange(t, connect(t, &s), test.w, test.want, test.mask)
		})
	}
}

// Nobody drives MISO before the null bit, nor when there is no chip.
func TestIdleMISOHasTheLevelOfItsPull(t *testing.T) {
	s := emulator.SPI{IdleHigh: true, Clock: emulator.NewSteppedClock(time.Time{})}
	c := connect(t, &s)
	exchange(t, c, "01 80 00", "FF FF FF", "FF FF FF")
	s.Attach(emulator.NewMCP3008(codeVolts(0x2a7, 1024)))
	exchange(t, c, "01 80 00", "FF FA A7", "FF FF FF")
	s.BrownOut()
	s.Detach()
	exchange(t, c, "01 80 00", "FF FF FF", "FF FF FF")
}

// A transfer of five bytes at 1 MHz takes its time, longer on a slow port.
func TestSPITransferTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			limit physic.Frequency
			want  time.Duration
		}{{0, 40 * time.Microsecond}, {100 * physic.KiloHertz, 400 * time.Microsecond}} {
			var s emulator.SPI
			if test.limit > 0 {
				if err := s.LimitSpeed(test.limit); err != nil {
					t.Fatal(err)
				}
			}
			c := connect(t, &s)
			start := time.Now()
			if err := c.Tx(make([]byte, 5), nil); err != nil || time.Since(start) != test.want {
				t.Errorf("got %v after %v, want %v", err, time.Since(start), test.want)
			}
		}
	})
}

// Chip select that stays low makes one transfer of several packets.
func TestKeptChipSelectContinuesTheTransfer(t *testing.T) {
	s := emulator.SPI{Clock: emulator.NewSteppedClock(time.Time{})}
	s.Attach(emulator.NewMCP3008(codeVolts(0x2a7, 1024)))
	c := connect(t, &s)
	for _, keep := range []bool{true, false} {
		r := make([]byte, 1)
		if err := c.TxPackets([]spi.Packet{{W: []byte{0x01, 0x80}, KeepCS: keep}, {R: r}}); err != nil {
			t.Fatal(err)
		}
		if continued := r[0] == 0xa7; continued != keep {
			t.Errorf("kept %v: got %x", keep, r)
		}
	}
}

func TestSPIFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults emulator.SPIFaults
		ok     func(err error, r []byte) bool
	}{
		{"none", emulator.SPIFaults{}, func(err error, r []byte) bool { return err == nil && r[1] == 0x02 && r[2] == 0xa7 }},
		{"EIO", emulator.SPIFaults{EIO: 1}, func(err error, _ []byte) bool { return errors.Is(err, syscall.EIO) }},
		{"flip", emulator.SPIFaults{Flip: 1}, func(err error, r []byte) bool { return err == nil && !bytes.Equal(r, []byte{0, 2, 0xa7}) }},
		{"lost", emulator.SPIFaults{Lost: 1}, func(err error, r []byte) bool { return err == nil && !bytes.Equal(r, []byte{0, 2, 0xa7}) }},
	} {
		s := emulator.SPI{Clock: emulator.NewSteppedClock(time.Time{}), Name: "spi0.0", Seed: 2}
		s.Attach(emulator.NewMCP3008(codeVolts(0x2a7, 1024)))
		s.Inject(test.faults)
		r := make([]byte, 3)
		if err := connect(t, &s).Tx([]byte{1, 0x80, 0}, r); !test.ok(err, r) {
			t.Errorf("%s: got %v and % x", test.name, err, r)
		}
	}
}

// What Linux refuses, or a chip does not understand.
func TestSPIMisuse(t *testing.T) {
	s := emulator.SPI{Clock: emulator.NewSteppedClock(time.Time{})}
	s.Attach(emulator.NewMCP3008(codeVolts(0x2a7, 1024)))
	if _, err := s.Connect(0, spi.Mode0, 9); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("nine bits: got %v", err)
	}
	c, err := s.Connect(0, spi.Mode1, 8)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, c, "01 80 00", "00 00 00", "FF FF FF")
	if _, err := s.Connect(0, spi.Mode0, 8); err == nil {
		t.Error("the port was connected twice")
	}
	if err := c.Tx(make([]byte, 2), make([]byte, 3)); err == nil {
		t.Error("lengths differ, and it was sent")
	}
	if err := s.LimitSpeed(0); err == nil {
		t.Error("speed 0 was taken")
	}
}
