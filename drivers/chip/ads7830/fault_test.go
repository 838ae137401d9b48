package ads7830_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads7830"
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
		d, err := ads7830.New(t.Context(), f, addr, ads7830.Options{Samples: 1})
		if err != nil {
			t.Fatal(err)
		}
		f.count = 0
		if _, err := d.ReadChannel(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for at := range f.count {
			for _, length := range []int{1, 2, 3} {
				f.at, f.length, f.count = at, length, 0
				s, err := d.ReadChannel(t.Context(), at%len(truth))
				switch {
				case length < 3 && (err != nil || !near(s.Volts, truth[at%len(truth)])):
					t.Errorf("transaction %d fails %d times: got %.3f V, %v; want %.3f V", at, length, s.Volts, err, truth[at%len(truth)])
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
		return f.Bus.Tx(addr+0x10, w, r) // nobody there
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
		{"absent", func(b *emulator.Bus) { b.Detach(addr) }, bus.ErrNACK},
		{"stuck bus", func(b *emulator.Bus) { b.SetStuck(true) }, bus.ErrTimeout},
		{"broken off", func(b *emulator.Bus) { b.Inject(addr, emulator.Faults{EIO: 1}) }, bus.ErrBus},
		{"another chip", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0x55)) }, bus.ErrWrongChip},
		{"wire high", func(b *emulator.Bus) { b.Attach(addr, emulator.Stranger(0xff)) }, bus.ErrWrongChip},
		{"an ADS1115", func(b *emulator.Bus) { b.Attach(addr, emulator.NewADS1115(emulator.Steady(1.6))) }, bus.ErrWrongChip},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{}
				b.Attach(addr, chip())
				test.setUp(b)
				start := time.Now()
				if _, err := ads7830.New(t.Context(), b, addr, ads7830.Options{}); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if took := time.Since(start); took > 500*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// The same in the middle of the work, and back: the next reading is right again.
func TestWhatStopsAnsweringIsAnError(t *testing.T) {
	for _, test := range []struct {
		name       string
		fail, mend func(*emulator.Bus)
		want       error
	}{
		{"unplugged", func(b *emulator.Bus) { b.Detach(addr) }, func(b *emulator.Bus) { b.Attach(addr, chip()) }, bus.ErrNACK},
		{"stuck bus", func(b *emulator.Bus) { b.SetStuck(true) }, func(b *emulator.Bus) { b.SetStuck(false) }, bus.ErrTimeout},
		{"broken off", func(b *emulator.Bus) { b.Inject(addr, emulator.Faults{EIO: 1}) }, func(b *emulator.Bus) { b.Inject(addr, emulator.Faults{}) }, bus.ErrBus},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{}
				b.Attach(addr, chip())
				d := open(t, b, ads7830.Options{})
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
					if !near(s.Volts, truth[1]) {
						t.Fatalf("got %.3f V, want %.3f V", s.Volts, truth[1])
					}
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("noticed after %v", took)
				}
				test.mend(b)
				if s, err := open(t, b, ads7830.Options{}).ReadChannel(t.Context(), 1); err != nil || !near(s.Volts, truth[1]) {
					t.Errorf("back: got %+v, %v", s, err)
				}
			})
		})
	}
}

// A loose supply wire: the chip restarts at any moment of a reading, and of five
// samples four remain.
func TestBrownOutIsNeverTakenForAVoltage(t *testing.T) {
	for at := time.Duration(0); at < 110*time.Millisecond; at += 300 * time.Microsecond {
		synctest.Test(t, func(t *testing.T) {
			var b emulator.Bus
			b.Attach(addr, chip())
			d := open(t, &b, ads7830.Options{})
			b.After(at, func(b *emulator.Bus) { b.BrownOut(addr) })
			if s, err := d.ReadChannel(t.Context(), 2); err != nil || !near(s.Volts, truth[2]) {
				t.Errorf("after %v: got %+v, %v; want %.3f V", at, s, err, truth[2])
			}
		})
	}
}

// Ten thousand readings on a bad bus: some may fail, none may be wrong.
func TestTenThousandReadingsWithoutAWrongOne(t *testing.T) {
	total := 10000
	if testing.Short() {
		total = 1000
	}
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{Seed: uint64(i)}
				b.Attach(addr, chip())
				d := open(t, b, ads7830.Options{Samples: 3})
				b.Inject(addr, emulator.Faults{NACK: 0.05, Smear: 0.01, Drop: 0.002, Duplicate: 0.001, AfterError: 0.1})
				failed := 0
				for n := range total / 4 {
					channel := n % len(truth)
					s, err := d.ReadChannel(t.Context(), channel)
					switch {
					case err != nil:
						failed++
					case !near(s.Volts, truth[channel]):
						t.Errorf("reading %d of input %d: got %+v, want %.3f V", n, channel, s, truth[channel])
					}
				}
				if failed > total/4/20 {
					t.Errorf("%d of %d readings failed, want at most one in twenty", failed, total/4)
				}
			})
		})
	}
}

// Eight sensors on two chips of one bus, each with a driver of its own.
func TestDriversOnOneBusDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := &emulator.Bus{}
		for i := range uint16(2) {
			raw.Attach(addr+i, chip())
		}
		shared := bus.Share(raw)
		var g errgroup.Group
		for i := range 8 {
			g.Go(func() error {
				channel := i / 2
				d, err := ads7830.New(t.Context(), shared, addr+uint16(i%2), ads7830.Options{Samples: 1})
				if err != nil {
					return err
				}
				for range 20 {
					if s, err := d.ReadChannel(t.Context(), channel); err != nil || !near(s.Volts, truth[channel]) {
						return fmt.Errorf("sensor %d: got %.3f V, %w; want %.3f V", i, s.Volts, err, truth[channel])
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

func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		d := open(t, &b, ads7830.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := d.ReadChannel(ctx, 0); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 33*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
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

// FuzzBus: whatever the wires carry, a read ends and gives volts that can be.
func FuzzBus(f *testing.F) {
	f.Add([]byte("\x10\x10\x10\x10\x22\x22\x22\x22\x22\x22"), byte(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0x80, 0x00}, byte(1))
	f.Fuzz(func(t *testing.T, answers []byte, channel byte) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			d, err := ads7830.New(ctx, &noisyBus{answers}, addr, ads7830.Options{Samples: 1})
			if err != nil {
				return
			}
			s, err := d.ReadChannel(ctx, int(channel))
			if ctx.Err() != nil {
				t.Fatal("it does not end")
			}
			if err == nil && (math.IsNaN(s.Volts) || s.Volts < 0 || s.Volts > 2.5 || s.Spread < 0 || s.Taken != 1 || s.Rejected != 0) {
				t.Errorf("%+v", s)
			}
		})
	})
}
