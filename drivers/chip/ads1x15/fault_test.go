package ads1x15_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// A Raspberry Pi loses an acknowledge now and then, and the transaction after it
// as well: two failures in a row must not lose a reading, wherever they fall.
func TestNoAcknowledgeInTheMiddleIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip(ads1x15.ADS1115))
		f := &failing{Bus: &b, at: -1}
		d, err := ads1x15.New(t.Context(), f, addr, ads1x15.Options{Samples: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.ReadChannel(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for at := range f.count {
			for _, length := range []int{1, 2, 3} {
				f.at, f.length, f.count = at, length, 0
				s, err := d.ReadChannel(t.Context(), at%4)
				switch {
				case length < 3 && (err != nil || !near(s.Volts, expected[at%4])):
					t.Errorf("transaction %d fails %d times: got %.3f V, %v; want %.3f V", at, length, s.Volts, err, expected[at%4])
				case length == 3 && f.count > at && !errors.Is(err, bus.ErrNACK):
					t.Errorf("transaction %d fails for good: got %v, want %v", at, err, bus.ErrNACK)
				}
			}
		}
	})
}

// failing is a bus on which the chip is away for some transactions in a row.
type failing struct {
	*emulator.Bus
	at, length, count int
}

func (f *failing) Tx(addr uint16, w, r []byte) error {
	n := f.count
	f.count++
	if f.at >= 0 && n >= f.at && n < f.at+f.length {
		return f.Bus.Tx(addr+1, w, r) // nobody there
	}
	return f.Bus.Tx(addr, w, r)
}

// A person looks for these: a class to branch on, and a cause to read.
func TestWhatDoesNotAnswerIsNotOpened(t *testing.T) {
	for _, test := range []struct {
		name  string
		setUp func(*emulator.Bus)
		want  error
	}{
		{"absent", func(*emulator.Bus) {}, bus.ErrNACK},
		{"stuck bus", func(b *emulator.Bus) { b.SetStuck(true) }, bus.ErrTimeout},
		{"broken off", func(b *emulator.Bus) { b.Inject(addr, emulator.Faults{EIO: 1}) }, bus.ErrBus},
		{"another chip", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0x55)) }, bus.ErrWrongChip},
		{"wire high", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0xff)) }, bus.ErrWrongChip},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{}
				b.Attach(addr, chip(ads1x15.ADS1115))
				if test.name == "absent" {
					b.Detach(addr)
				}
				test.setUp(b)
				start := time.Now()
				_, err := ads1x15.New(t.Context(), b, addr, ads1x15.Options{})
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if took := time.Since(start); took > 200*time.Millisecond {
					t.Errorf("took %v, want at most one timeout of the kernel", took)
				}
			})
		})
	}
}

// The same in the middle of the work: the cable comes off, a wire is shorted,
// the chip hangs.
func TestWhatStopsAnsweringIsAnError(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(*emulator.Bus)
		want error
	}{
		{"unplugged", func(b *emulator.Bus) { b.Detach(addr) }, bus.ErrNACK},
		{"stuck bus", func(b *emulator.Bus) { b.SetStuck(true) }, bus.ErrTimeout},
		{"another chip", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0x80)) }, bus.ErrReset},
		{"never ready", func(b *emulator.Bus) {
			hanging := chip(ads1x15.ADS1115)
			hanging.Oscillator = 1e-6
			b.Attach(addr, hanging)
		}, bus.ErrNotReady},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{}
				b.Attach(addr, chip(ads1x15.ADS1115))
				d := open(t, b, ads1x15.Options{})
				b.After(50*time.Millisecond, test.fail)
				start := time.Now()
				for {
					s, err := d.ReadChannel(t.Context(), 1)
					if err != nil {
						if !errors.Is(err, test.want) {
							t.Errorf("got %v, want %v", err, test.want)
						}
						break
					}
					if !near(s.Volts, expected[1]) {
						t.Fatalf("got %.3f V, want %.3f V", s.Volts, expected[1])
					}
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("noticed after %v", took)
				}
			})
		})
	}
}

// A loose supply wire: the chip restarts within a conversion, and what it holds
// then is zero. One sample that meets it is refused; of five, four remain.
func TestBrownOutIsNeverTakenForAVoltage(t *testing.T) {
	brownOut := func(b *emulator.Bus, _ *emulator.ADS1x15) { b.BrownOut(addr) }
	if refused := disturbed(t, 1, brownOut); refused == 0 {
		t.Error("no sample was refused: nothing was disturbed")
	}
	if refused := disturbed(t, 5, brownOut); refused > 0 {
		t.Errorf("%d readings were refused, want none: four samples were right", refused)
	}
}

// Another program on the board uses the chip too, and starts its own conversion
// of another input at any time. When that falls between the look at the ready
// bit and the start, the one sample is the other input's and nothing shows it:
// only the median keeps it out.
func TestAnotherProgramNeverChangesTheInput(t *testing.T) {
	if refused := disturbed(t, 3, startAnother); refused > 0 {
		t.Errorf("%d readings were refused, want none: two samples were right", refused)
	}
}

func startAnother(_ *emulator.Bus, c *emulator.ADS1x15) {
	c.Transfer(time.Now(), []byte{1, 0xd3, 0x83}, nil)
}

// disturbed lets something happen at every step of a reading, and counts the
// readings that were refused.
func disturbed(t *testing.T, samples int, happen func(*emulator.Bus, *emulator.ADS1x15)) (refused int) {
	t.Helper()
	for at := time.Duration(0); at < 40*time.Millisecond; at += 200 * time.Microsecond {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			c := chip(ads1x15.ADS1115)
			b.Attach(addr, c)
			d := open(t, &b, ads1x15.Options{Samples: samples})
			b.After(at, func(b *emulator.Bus) { happen(b, c) })
			s, err := d.ReadChannel(t.Context(), 0)
			switch {
			case errors.Is(err, bus.ErrReset):
				refused++
			case err != nil || !near(s.Volts, expected[0]):
				t.Errorf("%d samples, after %v: got %+v, %v; want %.3f V", samples, at, s, err, expected[0])
			}
		})
	}
	return refused
}

// A supply that never holds is reported as such.
func TestRepeatedBrownOutIsAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip(ads1x15.ADS1115))
		d := open(t, &b, ads1x15.Options{})
		for at := time.Duration(0); at < time.Second; at += 3 * time.Millisecond {
			b.After(at, func(b *emulator.Bus) { b.BrownOut(addr) })
		}
		if s, err := d.ReadChannel(t.Context(), 0); !errors.Is(err, bus.ErrReset) {
			t.Errorf("got %+v, %v; want %v", s, err, bus.ErrReset)
		}
	})
}

// A program that was stopped left the chip in continuous mode, where the ready
// bit never comes.
func TestContinuousModeOfAnotherProgramIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip(ads1x15.ADS1115))
		if err := b.Tx(addr, []byte{1, 0x50, 0x03}, nil); err != nil { // A1, 8 SPS
			t.Fatal(err)
		}
		d := open(t, &b, ads1x15.Options{})
		if s, err := d.ReadChannel(t.Context(), 0); err != nil || !near(s.Volts, expected[0]) {
			t.Errorf("got %+v, %v; want %.3f V", s, err, expected[0])
		}
	})
}

// Two smeared bytes in a row make a slow chip look idle: what the conversion
// register holds then is another input's value.
func TestChipThatOnlyLooksIdleIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		c := chip(ads1x15.ADS1115)
		c.Oscillator = 0.85
		b.Attach(addr, c)
		d, err := ads1x15.New(t.Context(), &smearing{Bus: &b}, addr, ads1x15.Options{Rate: 8, Samples: 1})
		if err != nil {
			t.Fatal(err)
		}
		for channel := range 4 {
			s, err := d.ReadChannel(t.Context(), channel)
			if !errors.Is(err, bus.ErrReset) {
				t.Errorf("A%d: got %+v, %v; want %v", channel, s, err, bus.ErrReset)
			}
		}
	})
}

// smearing sets the ready bit in the first two readings after each start.
type smearing struct {
	*emulator.Bus
	left int
}

func (s *smearing) Tx(addr uint16, w, r []byte) error {
	err := s.Bus.Tx(addr, w, r)
	if len(w) == 3 && w[1]&0x80 != 0 {
		s.left = 2
	}
	if len(r) > 0 && w[0] == 1 && s.left > 0 {
		r[0] |= 0x80
		s.left--
	}
	return err
}
