package seesaw_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/seesaw"
	"github.com/plantgate/plantgate/drivers/emulator"
	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/physic"
)

// Two failures in a row, wherever they fall, must not lose a reading.
func TestNoAcknowledgeInTheMiddleIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		f := &failing{Bus: &b, at: -1}
		d, err := seesaw.New(t.Context(), f, addr, basil)
		if err != nil {
			t.Fatal(err)
		}
		f.count = 0
		if _, err := d.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		for at := range f.count {
			for _, length := range []int{1, 2} {
				f.at, f.length, f.count = at, length, 0
				if rs, err := d.Read(t.Context()); err != nil || !right(rs) {
					t.Errorf("transaction %d fails %d times: got %+v, %v", at, length, rs, err)
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

func TestWhatDoesNotAnswerIsNotOpened(t *testing.T) {
	other := chip()
	other.Version = 0x0fbc0000
	for _, test := range []struct {
		name  string
		setUp func(*emulator.Bus)
		want  error
	}{
		{"absent", func(b *emulator.Bus) { b.Detach(addr) }, bus.ErrNACK},
		{"stuck bus", func(b *emulator.Bus) { b.SetStuck(true) }, bus.ErrTimeout},
		{"broken off", func(b *emulator.Bus) { b.Inject(addr, emulator.Faults{EIO: 1}) }, bus.ErrBus},
		{"another chip", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0x18)) }, bus.ErrWrongChip},
		{"another chip with the right byte", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0x55)) }, bus.ErrWrongChip},
		{"another seesaw", func(b *emulator.Bus) { b.Attach(addr, other) }, bus.ErrWrongChip},
		{"wire high", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0xff)) }, bus.ErrNotReady},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{}
				b.Attach(addr, chip())
				test.setUp(b)
				start := time.Now()
				if _, err := seesaw.New(t.Context(), b, addr, basil); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// The cable comes off and on again, a wire is shorted: an error at once, and the
// right value as soon as it is there again.
func TestUnpluggedAndBack(t *testing.T) {
	for _, test := range []struct {
		name       string
		fail, mend func(*emulator.Bus)
		want       error
	}{
		{"unplugged", func(b *emulator.Bus) { b.Detach(addr) }, func(b *emulator.Bus) { b.Attach(addr, chip()) }, bus.ErrNACK},
		{"stuck", func(b *emulator.Bus) { b.SetStuck(true) }, func(b *emulator.Bus) { b.SetStuck(false) }, bus.ErrTimeout},
		{"broken off", func(b *emulator.Bus) { b.Inject(addr, emulator.Faults{EIO: 1}) }, func(b *emulator.Bus) { b.Inject(addr, emulator.Faults{}) }, bus.ErrBus},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{}
				b.Attach(addr, chip())
				d := open(t, b, basil)
				test.fail(b)
				start := time.Now()
				if rs, err := d.Read(t.Context()); len(rs) > 0 || !errors.Is(err, test.want) || time.Since(start) > 500*time.Millisecond {
					t.Errorf("got %+v, %v after %v; want %v", rs, err, time.Since(start), test.want)
				}
				test.mend(b)
				if rs, err := open(t, b, basil).Read(t.Context()); err != nil || !right(rs) {
					t.Errorf("back: got %+v, %v", rs, err)
				}
			})
		})
	}
}

// The chip restarts at any moment of a reading: the reading fails or is right.
func TestBrownOutIsNeverTakenForACount(t *testing.T) {
	failed := 0
	for at := time.Duration(0); at < 40*time.Millisecond; at += 250 * time.Microsecond {
		synctest.Test(t, func(t *testing.T) {
			b := &emulator.Bus{}
			b.Attach(addr, chip())
			d := open(t, b, basil)
			b.After(at, func(b *emulator.Bus) { b.BrownOut(addr) })
			rs, err := d.Read(t.Context())
			if err != nil {
				failed++
			} else if !right(rs) {
				t.Errorf("after %v: got %+v", at, rs)
			}
			time.Sleep(time.Second)
			if rs, err := d.Read(t.Context()); err != nil || !right(rs) {
				t.Errorf("a second later: got %+v, %v", rs, err)
			}
		})
	}
	if failed == 0 {
		t.Error("no reading failed: nothing was disturbed")
	}
}

// Ten thousand readings on a bad bus: some may fail, none may be wrong and good.
func TestTenThousandReadingsWithoutAWrongOne(t *testing.T) {
	total := 10000
	if testing.Short() {
		total = 1000
	}
	for i, oscillator := range []float64{0.9, 1, 1.1, 0.95} {
		t.Run(fmt.Sprint(oscillator), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := chip()
				c.Oscillator = oscillator
				b := &emulator.Bus{Seed: uint64(i)}
				b.Attach(addr, c)
				d := open(t, b, basil)
				b.Inject(addr, emulator.Faults{NACK: 0.05, Smear: 0.01, Drop: 0.002, AfterError: 0.1})
				failed := 0
				for n := range total / 4 {
					rs, err := d.Read(t.Context())
					if err != nil {
						failed++
					} else if !right(rs) {
						t.Errorf("reading %d: got %+v", n, rs)
					}
				}
				if failed > total/4/20 {
					t.Errorf("%d of %d readings failed, want at most one in twenty", failed, total/4)
				}
			})
		})
	}
}

// Four sensors on one bus, each read by a driver of its own.
func TestDriversOnOneBusDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := &emulator.Bus{}
		for i := range uint16(4) {
			raw.Attach(addr+i, chip())
		}
		shared := bus.Share(raw)
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				d, err := seesaw.New(t.Context(), shared, addr+uint16(i%4), basil)
				if err != nil {
					return err
				}
				for range 20 {
					if rs, err := d.Read(t.Context()); err != nil || !right(rs) {
						return fmt.Errorf("sensor %d: got %+v, %w", i, rs, err)
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// A noisyBus answers with whatever it is given.
type noisyBus struct{ answers []byte }

func (b *noisyBus) String() string                  { return "noise" }
func (b *noisyBus) SetSpeed(physic.Frequency) error { return nil }

func (b *noisyBus) Tx(_ uint16, _, r []byte) error {
	n := copy(r, b.answers)
	b.answers = b.answers[n:]
	clear(r[n:])
	return nil
}

// FuzzBus: whatever the wires carry, a read ends and gives what a record can
// hold.
func FuzzBus(f *testing.F) {
	identity := []byte{0x55, 0x0f, 0xba, 0x1c, 0x8a}
	f.Add(append(identity, 0x02, 0x64, 0x02, 0x64, 0x02, 0x64, 0x02, 0x64, 0x02, 0x64, 0, 0x16, 0x80, 0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, answers []byte) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			d, err := seesaw.New(ctx, &noisyBus{append(identity, answers...)}, addr, basil)
			if err != nil {
				return
			}
			rs, err := d.Read(ctx)
			if ctx.Err() != nil {
				t.Fatal("it does not end")
			}
			for _, r := range rs {
				if err := r.Validate(); err != nil {
					t.Errorf("%v: %+v", err, r)
				}
			}
			if raw, ok := value(rs, "soil_moisture_raw"); ok && (raw.Number < 1 || raw.Number > 1023) || err == nil && !ok {
				t.Errorf("got %+v, %v", rs, err)
			}
		})
	})
}
