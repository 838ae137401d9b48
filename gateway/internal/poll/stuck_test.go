package poll_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/gateway/internal/poll"
)

// A shorted wire takes eight sensors down: that is one event and one line, and
// hardly any work until it is mended.
func TestStuckBusIsOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, chip := wired()
		b.Attach(addr+1, emulator.NewADS1115(chip.Volts[:]...))
		counting := &counter{Bus: b}
		shared := bus.Share(counting)
		var tasks []poll.Task
		for i := range 8 {
			tasks = append(tasks, plant(shared, fmt.Sprint("plant-", i), addr+uint16(i/4), i%4, 30*time.Second))
		}
		g := run(t, tasks...)
		if got := g.after(30 * time.Second); len(got) != 8 {
			t.Errorf("got %d readings, want eight", len(got))
		}
		if len(g.events) != 8 {
			t.Errorf("got events %v, want eight sensors found", g.events)
		}
		g.events = nil
		g.log.Reset()

		b.SetStuck(true)
		g.after(5 * time.Second)
		g.wantEvents("31 sensor_lost i2c-1 bus_stuck")
		g.wantState("plant-7", "bus_stuck")
		before := counting.total()
		if got := g.after(time.Hour); len(got) != 0 {
			t.Errorf("got %+v from a stuck bus", got)
		}
		if tries := counting.total() - before; tries > 130 {
			t.Errorf("%d transactions of 100 ms in an hour, want one every 30 s", tries)
		}
		g.wantEvents()

		b.SetStuck(false)
		got := g.after(time.Minute)
		seen := map[string]bool{}
		for _, r := range got {
			seen[r.Device] = true
		}
		if len(seen) != 8 {
			t.Errorf("got readings of %d sensors, want eight", len(seen))
		}
		g.wantEvents("3649 sensor_found i2c-1 ok 3618")
		g.wantState("plant-7", "ok")
	})
}

// One chip that holds the clock too long whenever it is spoken to is not the
// bus, even with four probes at it: the other chip answers.
func TestOneChipThatTimesOutIsNotTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, chip := wired()
		b.Attach(addr+1, emulator.NewADS1115(chip.Volts[:]...))
		shared := bus.Share(b)
		tasks := []poll.Task{plant(shared, "basil", addr, 0, time.Minute)}
		for i := range 4 {
			tasks = append(tasks, plant(shared, fmt.Sprint("mint-", i), addr+1, i, time.Minute))
		}
		g := run(t, tasks...)
		g.after(time.Minute - time.Second)
		if len(g.events) != 5 {
			t.Fatalf("got events %v, want five sensors found", g.events)
		}
		g.events = nil
		g.log.Reset()
		b.Inject(addr+1, emulator.Faults{Timeout: 1})
		if got := g.after(time.Hour); len(got) < 60 || len(got) > 75 {
			t.Errorf("got %d readings, want one of basil a minute, and some to see whether the bus is free", len(got))
		}
		g.wantEvents("122 sensor_lost mint-1 bus_stuck", "123 sensor_lost mint-2 bus_stuck", "124 sensor_lost mint-3 bus_stuck", "181 sensor_lost mint-0 bus_stuck")
		g.wantState("basil", "ok")
	})
}

// However few sensors there are and however seldom they are read, a stuck bus is
// told as one, within three intervals of the most frequent.
func TestStuckBusOfFewSensorsIsOneEvent(t *testing.T) {
	for _, test := range []struct {
		name  string
		every []time.Duration
		want  string
	}{
		{"one", []time.Duration{time.Minute}, "240 sensor_lost i2c-1 bus_stuck"},
		{"two", []time.Duration{time.Minute, time.Minute}, "121 sensor_lost i2c-1 bus_stuck"},
		{"one often, one seldom", []time.Duration{10 * time.Second, time.Hour}, "110 sensor_lost i2c-1 bus_stuck"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := wired()
				shared := bus.Share(b)
				var tasks []poll.Task
				for i, every := range test.every {
					tasks = append(tasks, plant(shared, fmt.Sprint("plant-", i), addr, i, every))
				}
				g := run(t, tasks...)
				g.after(95 * time.Second)
				g.events = nil
				g.log.Reset()
				b.SetStuck(true)
				g.after(10 * time.Minute)
				g.wantEvents(test.want)
			})
		})
	}
}

// The bus is free again, but for one chip that will never recover: another one
// must be asked.
func TestStuckBusIsTriedByAllSensorsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := wired()
		b.Attach(addr+1, emulator.NewADS1115(emulator.WetSoil()))
		shared := bus.Share(b)
		g := run(t, plant(shared, "basil", addr, 0, time.Minute), plant(shared, "mint", addr+1, 0, time.Minute))
		g.after(time.Minute - time.Second)
		b.SetStuck(true)
		g.after(10 * time.Minute)
		g.wantState("mint", "bus_stuck")
		b.Inject(addr, emulator.Faults{Timeout: 1})
		b.SetStuck(false)
		if got := g.after(3 * time.Minute); len(got) == 0 || got[0].Device != "mint" {
			t.Errorf("got %+v, want readings of mint", got)
		}
		g.wantState("mint", "ok")
		g.after(3 * time.Minute)
		g.wantState("basil", "bus_stuck")
		g.wantState("mint", "ok")
	})
}

// A bad wire gives broken transfers between the timeouts: still one event.
func TestBrokenTransferDoesNotFreeAStuckBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := wired()
		g := run(t, plant(bus.Share(b), "basil", addr, 0, time.Minute))
		b.SetStuck(true)
		g.after(10 * time.Minute)
		g.wantEvents("15 sensor_lost i2c-1 bus_stuck")
		for i := range 10 {
			b.SetStuck(i%2 == 0)
			b.Inject(addr, emulator.Faults{EIO: 1})
			g.after(2 * time.Minute)
		}
		g.wantEvents()
		b.SetStuck(false)
		b.Inject(addr, emulator.Faults{})
		g.after(2 * time.Minute)
		g.wantState("basil", "ok")
	})
}
