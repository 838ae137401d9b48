package ads1x15_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
	"github.com/plantgate/plantgate/drivers/emulator"
	"golang.org/x/sync/errgroup"
)

// Ten thousand readings on a bad bus, with lost acknowledges, smeared and lost
// bytes and a clock at its limits: some may fail, none may be wrong.
func TestTenThousandReadingsWithoutAWrongOne(t *testing.T) {
	total := 10000
	if testing.Short() {
		total = 1000
	}
	for i, oscillator := range []float64{0.9, 1, 1.1, 0.95} {
		t.Run(fmt.Sprint(oscillator), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := chip(ads1x15.ADS1115)
				c.Oscillator = oscillator
				b := &emulator.Bus{Seed: uint64(i)}
				b.Attach(addr, c)
				d := open(t, b, ads1x15.Options{Rate: []int{16, 128, 860, 475}[i], Samples: 3})
				b.Inject(addr, emulator.Faults{NACK: 0.05, Smear: 0.01, Drop: 0.002, AfterError: 0.1})
				failed := readMany(t, d, total/4)
				if failed > total/4/20 {
					t.Errorf("%d of %d readings failed, want at most one in twenty", failed, total/4)
				}
			})
		})
	}
}

func readMany(t *testing.T, d *ads1x15.Dev, n int) (failed int) {
	for i := range n {
		channel := i % 4
		s, err := d.ReadChannel(t.Context(), channel)
		switch {
		case err != nil:
			failed++
		case !near(s.Volts, expected[channel]):
			t.Errorf("reading %d of A%d: got %+v, want %.3f V", i, channel, s, expected[channel])
		}
	}
	return failed
}

// Eight sensors on two chips of one bus, each with a driver of its own, two of
// them at a time on the same chip: their conversions must not mix.
func TestDriversOnOneBusDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := &emulator.Bus{}
		for i := range uint16(2) {
			c := chip(ads1x15.ADS1115)
			c.Oscillator = 0.9
			raw.Attach(addr+i, c)
		}
		shared := bus.Share(raw)
		var g errgroup.Group
		var read atomic.Int64
		for i := range 8 {
			g.Go(func() error {
				channel := i / 2
				d, err := ads1x15.New(t.Context(), shared, addr+uint16(i%2), ads1x15.Options{Samples: 1})
				if err != nil {
					return err
				}
				for range 20 {
					s, err := d.ReadChannel(t.Context(), channel)
					if err != nil || !near(s.Volts, expected[channel]) {
						return fmt.Errorf("sensor %d: got %.3f V, %w; want %.3f V", i, s.Volts, err, expected[channel])
					}
					read.Add(1)
					time.Sleep(time.Millisecond)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil || read.Load() != 160 {
			t.Errorf("got %d readings, %v; want 160", read.Load(), err)
		}
	})
}
