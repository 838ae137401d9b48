package chip_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/i2c"
)

// A sensor is what polls a chip.
type sensor interface {
	Read(ctx context.Context) ([]reading.Reading, error)
	fmt.Stringer
}

// A climate chip measures the air, or the light in it.
type climate struct {
	name     string
	addr     uint16
	emulated func(truth truth, oscillator float64) emulator.Chip
	open     func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error)
	want     map[reading.Metric]span
	// nameless chips have nothing that tells them from another chip.
	nameless bool
}

// A truth is what the air is like over time, given what it usually is.
type truth func(usual float64) func(at time.Time) float64

func steady(usual float64) func(at time.Time) float64 { return emulator.Steady(usual) }

// tides is the usual in even minutes and less in odd ones.
func tides(usual float64) func(at time.Time) float64 {
	return func(at time.Time) float64 { return usual * tide(at) }
}

func tide(at time.Time) float64 { return 1 - 0.2*float64(at.Unix()/60%2) }

// A span is what may be said about a truth.
type span struct{ low, high float64 }

func around(x, by float64) span { return span{x - by, x + by} }

func each(t *testing.T, test func(*testing.T, climate)) {
	for _, c := range climates() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, c) })
		})
	}
}

func (c climate) plugged(t *testing.T, b *emulator.Bus) sensor {
	t.Helper()
	b.Attach(c.addr, c.emulated(steady, 1))
	s, err := c.open(t.Context(), b, c.addr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wrong says what is false in readings that claim to be good.
func (c climate) wrong(readings []reading.Reading) error {
	for _, r := range readings {
		if err := r.Validate(); err != nil {
			return err
		}
		if r.Device != "balcony" || r.Source != c.name {
			return fmt.Errorf("device %q, source %q, want balcony, %s", r.Device, r.Source, c.name)
		}
		if r.Quality() == reading.Good && len(r.Values) != len(c.want) {
			return fmt.Errorf("got %v, want %v", r.Values, c.want)
		}
		for _, v := range r.Values {
			if s := c.want[v.Metric]; !v.Suspect && (v.Number < s.low || v.Number > s.high) {
				return fmt.Errorf("%s is %v, want %v..%v", v.Metric, v.Number, s.low, s.high)
			}
		}
	}
	return nil
}

// right reads once and wants the truth.
func (c climate) right(t *testing.T, s sensor) {
	t.Helper()
	r, err := s.Read(t.Context())
	if err != nil || len(r) != 1 || r[0].Quality() != reading.Good {
		t.Errorf("got %v, %v; want one good reading", r, err)
	}
	if err := c.wrong(r); err != nil {
		t.Error(err)
	}
}

// Every oscillator that the datasheets allow gives the same values, also when
// the chip has been waiting for a day.
func TestSlowAndFastClocksGiveTheTruth(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		for _, oscillator := range []float64{0.9, 0.97, 1, 1.1} {
			b := &emulator.Bus{Name: "i2c-1"}
			b.Attach(c.addr, c.emulated(steady, oscillator))
			s, err := c.open(t.Context(), b, c.addr)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%s@i2c-1:0x%02x", c.name, c.addr); s.String() != want {
				t.Errorf("got name %q, want %q", s, want)
			}
			for range 3 {
				c.right(t, s)
				time.Sleep(24 * time.Hour)
			}
		}
	})
}

// Ten thousand readings on a bad bus, with lost acknowledges, smeared bytes and
// a clock at its limits: some may fail, none may be wrong.
func TestTenThousandReadingsWithoutAWrongOne(t *testing.T) {
	total := 10000
	if testing.Short() {
		total = 1000
	}
	for _, c := range climates() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i, oscillator := range []float64{0.9, 1, 1.1, 0.95} {
				synctest.Test(t, func(t *testing.T) {
					b := &emulator.Bus{Seed: uint64(i)}
					b.Attach(c.addr, c.emulated(steady, oscillator))
					s, err := c.open(t.Context(), b, c.addr)
					if err != nil {
						t.Fatal(err)
					}
					b.Inject(c.addr, emulator.Faults{NACK: 0.05, Smear: 0.01, EIO: 0.001, AfterError: 0.1})
					if failed := c.readMany(t, s, total/4); failed > total/4/20 {
						t.Errorf("%d of %d readings failed, want at most one in twenty", failed, total/4)
					}
				})
			}
		})
	}
}

// Bytes that are lost without an error are rarer still, and worse.
func TestLostBytesNeverGiveAWrongValue(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		b := &emulator.Bus{Seed: 7}
		s := c.plugged(t, b)
		b.Inject(c.addr, emulator.Faults{Drop: 0.01, Smear: 0.01})
		c.readMany(t, s, 1000)
	})
}

// The air is another one each minute, and the bus is bad: a value of the minute
// before is as wrong as an invented one.
func TestNoValueIsAMinuteOld(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		b := &emulator.Bus{Seed: 11}
		b.Attach(c.addr, c.emulated(tides, 0.95))
		s, err := c.open(t.Context(), b, c.addr)
		if err != nil {
			t.Fatal(err)
		}
		b.Inject(c.addr, emulator.Faults{NACK: 0.1, EIO: 0.02, Drop: 0.01, AfterError: 0.1})
		now := c
		for i := range 1000 {
			time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(70 * time.Second)))
			now.want = make(map[reading.Metric]span)
			for m, usual := range c.want {
				now.want[m] = span{usual.low * tide(time.Now()), usual.high * tide(time.Now())}
			}
			r, _ := s.Read(t.Context())
			if wrong := now.wrong(r); wrong != nil {
				t.Errorf("reading %d: %v", i, wrong)
			}
		}
	})
}

func (c climate) readMany(t *testing.T, s sensor, n int) (failed int) {
	t.Helper()
	for i := range n {
		r, err := s.Read(t.Context())
		if wrong := c.wrong(r); wrong != nil {
			t.Errorf("reading %d: %v", i, wrong)
		}
		if err != nil {
			failed++
		}
	}
	return failed
}

// Shutting down must not wait for a measurement.
func TestReadEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, c climate) {
		s := c.plugged(t, &emulator.Bus{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
		defer cancel()
		start := time.Now()
		if r, err := s.Read(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 6*time.Millisecond {
			t.Errorf("got %v, %v after %v, want the context's error after 3ms", r, err, time.Since(start))
		}
	})
}

// All chips on one bus, each read by two drivers: they must not mix.
func TestDriversOnOneBusDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := &emulator.Bus{}
		var g errgroup.Group
		shared := bus.Share(raw)
		taken := make(map[uint16]bool)
		for _, c := range climates() {
			if taken[c.addr] {
				continue
			}
			taken[c.addr] = true
			raw.Attach(c.addr, c.emulated(steady, 0.9))
			for range 2 {
				g.Go(func() error { return c.readOnShared(t.Context(), shared) })
			}
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func (c climate) readOnShared(ctx context.Context, b i2c.Bus) error {
	s, err := c.open(ctx, b, c.addr)
	if err != nil {
		return err
	}
	for range 20 {
		r, err := s.Read(ctx)
		if err == nil {
			err = c.wrong(r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
