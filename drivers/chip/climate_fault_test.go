package chip_test

import (
	"errors"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/emulator"
)

// failing is a bus on which the chip is away for some transactions in a row.
type failing struct {
	*emulator.Bus
	at, length, count int
}

func (f *failing) Tx(addr uint16, w, r []byte) error {
	n := f.count
	f.count++
	if f.at >= 0 && n >= f.at && n < f.at+f.length {
		return f.Bus.Tx(0x7f, w, r) // nobody there
	}
	return f.Bus.Tx(addr, w, r)
}

// A Raspberry Pi loses an acknowledge now and then, and the transaction after it
// as well: two failures in a row must not lose a reading, wherever they fall.
func TestNoAcknowledgeInTheMiddleIsTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		f := &failing{Bus: &emulator.Bus{}, at: -1}
		f.Attach(c.addr, c.emulated(steady, 1))
		s, err := c.open(t.Context(), f, c.addr)
		if err != nil {
			t.Fatal(err)
		}
		f.count = 0
		c.right(t, s)
		for at := range f.count {
			for _, length := range []int{1, 2} {
				f.at, f.length, f.count = at, length, 0
				r, err := s.Read(t.Context())
				if err == nil {
					err = c.wrong(r)
				}
				if err != nil || len(r) != 1 {
					t.Errorf("transaction %d fails %d times: got %v, %v", at, length, r, err)
				}
			}
		}
	})
}

// A person looks for these: a class to branch on, and a cause to read.
func TestWhatDoesNotAnswerIsNotOpened(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		for _, test := range []struct {
			name  string
			setUp func(*emulator.Bus)
			want  error
		}{
			{"absent", func(b *emulator.Bus) { b.Detach(c.addr) }, bus.ErrNACK},
			{"stuck bus", func(b *emulator.Bus) { b.SetStuck(true) }, bus.ErrTimeout},
			{"broken off", func(b *emulator.Bus) { b.Inject(c.addr, emulator.Faults{EIO: 1}) }, bus.ErrBus},
			{"another chip", func(b *emulator.Bus) { b.Attach(c.addr, emulator.Stranger(0x55)) }, bus.ErrWrongChip},
			{"chip whose checksums fit", func(b *emulator.Bus) { b.Attach(c.addr, emulator.Stranger(0x2b)) }, bus.ErrWrongChip},
			{"wire high", func(b *emulator.Bus) { b.Attach(c.addr, emulator.Stranger(0xff)) }, bus.ErrWrongChip},
			{"wire low", func(b *emulator.Bus) { b.Attach(c.addr, emulator.Stranger(0)) }, bus.ErrWrongChip},
		} {
			if c.nameless && test.name == "wire low" {
				continue // it is dark
			}
			b := &emulator.Bus{}
			b.Attach(c.addr, c.emulated(steady, 1))
			test.setUp(b)
			start := time.Now()
			if _, err := c.open(t.Context(), b, c.addr); !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", test.name, err, test.want)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s: took %v", test.name, took)
			}
		}
	})
}

// The wrong family at the address is found by its answers, whatever it is.
func TestAnotherChipIsNeverTakenForThisOne(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		for _, other := range climates() {
			if other.name == c.name {
				continue
			}
			b := &emulator.Bus{}
			b.Attach(c.addr, other.emulated(steady, 1))
			s, err := c.open(t.Context(), b, c.addr)
			if err == nil { // what cannot be told apart must not be misread
				err = c.harmless(t, s)
			}
			if err == nil {
				t.Errorf("%s: opened, and misread", other.name)
			}
		}
		_, err := c.open(t.Context(), &emulator.Bus{}, 0x7f)
		if err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("address 0x7f: got %v, want an error about the address", err)
		}
	})
}

// harmless returns an error when nothing false comes out of a chip that was
// taken for another one.
func (c climate) harmless(t *testing.T, s sensor) error {
	t.Helper()
	r, err := s.Read(t.Context())
	if c.nameless && len(r) == 1 && r[0].Values[0].Number == 0 {
		return errors.New("it is dark")
	}
	if wrong := c.wrong(r); wrong != nil {
		t.Error(wrong)
		return nil
	}
	if err == nil {
		err = errors.New("the values are right")
	}
	return err
}

// The cable comes off, a wire is shorted, another chip is plugged in, at any
// point of the work: no value comes from what is not there.
func TestWhatStopsAnsweringIsAnError(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		for _, test := range []struct {
			name string
			fail func(*emulator.Bus)
			want []error
		}{
			{"unplugged", func(b *emulator.Bus) { b.Detach(c.addr) }, []error{bus.ErrNACK}},
			{"stuck bus", func(b *emulator.Bus) { b.SetStuck(true) }, []error{bus.ErrTimeout}},
			{"another chip", func(b *emulator.Bus) { b.Attach(c.addr, emulator.Stranger(0x80)) },
				[]error{bus.ErrCRC, bus.ErrReset, bus.ErrWrongChip, bus.ErrNotReady, bus.ErrImplausible}},
			{"broken off", func(b *emulator.Bus) { b.Inject(c.addr, emulator.Faults{EIO: 1}) }, []error{bus.ErrBus}},
		} {
			for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond} {
				b := &emulator.Bus{}
				s := c.plugged(t, b)
				b.After(after, test.fail)
				start := time.Now()
				err := c.untilError(t, s)
				is := false
				for _, want := range test.want {
					is = is || errors.Is(err, want)
				}
				if took := time.Since(start); !is || took > 5*time.Second {
					t.Errorf("%s after %v: got %v after %v, want %v", test.name, after, err, took, test.want)
				}
			}
		}
	})
}

func (c climate) untilError(t *testing.T, s sensor) error {
	t.Helper()
	for range 10000 {
		r, err := s.Read(t.Context())
		if wrong := c.wrong(r); wrong != nil {
			t.Error(wrong)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Unplugged for a while and back: the driver is made anew and reads.
func TestPluggedInAgainItReads(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		b := &emulator.Bus{}
		s := c.plugged(t, b)
		c.right(t, s)
		b.Detach(c.addr)
		if r, err := s.Read(t.Context()); !errors.Is(err, bus.ErrNACK) || len(r) > 0 {
			t.Errorf("unplugged: got %v, %v; want %v", r, err, bus.ErrNACK)
		}
		c.right(t, c.plugged(t, b))
	})
}

// A loose supply wire lets the chip start anew at any point of a reading. What
// it holds then is not what was measured.
func TestBrownOutIsNeverTakenForAValue(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		for at := time.Duration(0); at < 400*time.Millisecond; at += time.Millisecond {
			b := &emulator.Bus{}
			s := c.plugged(t, b)
			b.After(at, func(b *emulator.Bus) { b.BrownOut(c.addr) })
			for range 2 {
				r, err := s.Read(t.Context())
				if wrong := c.wrong(r); wrong != nil {
					t.Fatalf("after %v: %v", at, wrong)
				}
				if err != nil && !errors.Is(err, bus.ErrReset) {
					t.Fatalf("after %v: %v, want %v or nothing", at, err, bus.ErrReset)
				}
			}
			time.Sleep(time.Second)
			_, _ = s.Read(t.Context()) // it may be this one that notices
			c.right(t, s)
		}
	})
}
