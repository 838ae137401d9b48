package poll_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/drivers/probe"
	"github.com/plantgate/plantgate/gateway/internal/poll"
	"github.com/plantgate/plantgate/reading"
)

// A reading takes time, and over a day that must not add up: two sensors of one
// bus keep to their grid, a second apart.
func TestIntervalsDoNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(name string) func(context.Context) ([]reading.Reading, error) {
			return func(ctx context.Context) ([]reading.Reading, error) {
				return some(name), bus.Sleep(ctx, 300*time.Millisecond)
			}
		}
		g := run(t, fake("basil", time.Minute, slow("basil")), fake("mint", time.Minute, slow("mint")))
		got := g.after(24*time.Hour - time.Second)
		if len(got) != 2*24*60 {
			t.Fatalf("got %d readings, want one of each a minute", len(got))
		}
		for i, r := range got {
			want := time.Duration(i/2)*time.Minute + time.Duration(i%2)*time.Second + 300*time.Millisecond
			if r.at != want {
				t.Fatalf("reading %d was taken at %v, want %v", i, r.at, want)
			}
		}
	})
}

// A sensor that needs longer than its interval skips points of its grid; the
// others keep theirs.
func TestSlowSensorDoesNotStarveTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := fake("slow", time.Second, func(ctx context.Context) ([]reading.Reading, error) {
			return some("slow"), bus.Sleep(ctx, 4*time.Second)
		})
		var tasks []poll.Task
		for i := range 4 {
			name := fmt.Sprint("quick-", i)
			tasks = append(tasks, fake(name, 10*time.Second, func(context.Context) ([]reading.Reading, error) { return some(name), nil }))
		}
		g := run(t, append(tasks, slow)...)
		count := map[string]int{}
		last := map[string]time.Duration{}
		for _, r := range g.after(10*time.Minute - time.Second) {
			if gap := r.at - last[r.Device]; gap > 15*time.Second {
				t.Errorf("%s at %v: %v after the one before", r.Device, r.at, gap)
			}
			count[r.Device]++
			last[r.Device] = r.at
		}
		for i := range 4 {
			// The last one may still be waiting for the slow one.
			if n := count[fmt.Sprint("quick-", i)]; n < 59 || n > 60 {
				t.Errorf("quick-%d was read %d times, want 60", i, n)
			}
		}
		if count["slow"] < 100 {
			t.Errorf("slow was read %d times, want more than 100", count["slow"])
		}
	})
}

// Nobody but the sensor's own interval waits for a sensor that cannot be opened.
func TestPausesDoNotHoldUpTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		absent := poll.Task{Name: "absent", Bus: "i2c-1", Every: time.Hour, Open: func(context.Context) (poll.Sensor, error) {
			return nil, fmt.Errorf("open: %w", bus.ErrNACK)
		}}
		g := run(t, absent, fake("basil", time.Second, func(context.Context) ([]reading.Reading, error) { return some("basil"), nil }))
		if got := g.after(time.Minute); len(got) != 60 {
			t.Errorf("got %d readings, want one a second", len(got))
		}
		g.wantEvents("0 sensor_found basil ok", "15 sensor_lost absent not_present")
	})
}

// A reading that ignores its context is the driver of a bus that hangs in the
// kernel: one line, other buses go on, and the program still ends.
func TestHungBusIsToldAndLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		hanging := fake("basil", time.Minute, func(context.Context) ([]reading.Reading, error) {
			<-never
			return nil, errOdd
		})
		other := fake("mint", time.Minute, func(context.Context) ([]reading.Reading, error) { return some("mint"), nil })
		other.Bus = "i2c-3"
		g := run(t, hanging, other)
		if got := g.after(time.Hour); len(got) != 60 && len(got) != 61 {
			t.Errorf("got %d readings, want one a minute from the other bus", len(got))
		}
		g.wantEvents("0 sensor_found mint ok", "15 sensor_lost i2c-1 bus_stuck")
		g.wantState("basil", "bus_stuck")
		g.wantState("mint", "ok")
		start := time.Now()
		if err := g.stop(); err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("stopped with %v after %v, want within two seconds", err, time.Since(start))
		}
		if got := g.log.String(); !strings.Contains(got, "left behind") {
			t.Errorf("journal does not say what was left behind: %q", got)
		}
		close(never) // a real one ends with the process
		synctest.Wait()
	})
}

// The kernel came back after all: the bus is used again, and only a reading that
// is in time counts as a sign of that.
func TestHungBusThatComesBackIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := run(t, fake("basil", time.Minute, func(context.Context) ([]reading.Reading, error) {
			if time.Since(start) < 10*time.Minute {
				time.Sleep(40 * time.Second)
				return nil, errOdd
			}
			return some("basil"), nil
		}))
		g.after(10 * time.Minute)
		g.wantEvents("15 sensor_lost i2c-1 bus_stuck")
		if got := g.after(2 * time.Minute); len(got) == 0 {
			t.Error("no readings")
		}
		g.wantState("basil", "ok")
		if len(g.events) != 2 || !strings.Contains(g.events[0], "sensor_found i2c-1 ok") || !strings.Contains(g.events[1], "sensor_found basil ok") {
			t.Errorf("got events %v, want the bus and then the sensor found", g.events)
		}
	})
}

// A deadline is an error of the sensor while the bus still answers.
func TestReadingPastItsDeadlineIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := fake("basil", time.Minute, func(ctx context.Context) ([]reading.Reading, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		task.Deadline = 3 * time.Second
		g := run(t, task)
		g.after(5 * time.Minute)
		g.wantEvents("123 sensor_lost basil not_ready")
	})
}

// A probe that is pulled out of its pot still gives a voltage. It is passed on,
// marked, and the change is told as a doubt, not as a loss.
func TestDoubtfulSensorIsSuspectAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, chip := wired()
		start := time.Now()
		chip.Volts[0] = emulator.Until(start.Add(10*time.Minute), emulator.WetSoil(), emulator.Until(start.Add(20*time.Minute), emulator.Floating(1), emulator.WetSoil()))
		g := run(t, plant(bus.Share(b), "basil", addr, 0, time.Minute))
		suspect := 0
		for _, r := range g.after(30 * time.Minute) {
			if r.Quality() != reading.Good {
				suspect++
			}
		}
		if suspect != 10 {
			t.Errorf("got %d suspect readings, want the ten of the floating input", suspect)
		}
		g.wantEvents("1 sensor_found basil ok", "720 sensor_suspect basil floating", "1260 sensor_found basil ok 660")
	})
}

// Doubtful and then gone: the second change is told as well, and back again.
func TestEachKindOfFaultIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kinds := []error{nil, probe.Floating, bus.ErrNACK, bus.ErrBus, nil}
		start := time.Now()
		g := run(t, fake("basil", time.Minute, func(context.Context) ([]reading.Reading, error) {
			err := kinds[min(int(time.Since(start)/(100*time.Minute)), 4)]
			if err == nil || errors.Is(err, probe.Floating) {
				return some("basil"), err
			}
			return nil, err
		}))
		g.after(500 * time.Minute)
		if len(g.events) != 5 {
			t.Fatalf("got events %v, want five", g.events)
		}
		for i, want := range []string{"sensor_found basil ok", "sensor_suspect basil floating", "sensor_lost basil not_present", "sensor_lost basil bus_error", "sensor_found basil ok"} {
			if !strings.Contains(g.events[i], want) {
				t.Errorf("event %d is %q, want %q", i, g.events[i], want)
			}
		}
	})
}

// Two faults that alternate are one trouble, not a line each time.
func TestAlternatingFaultsAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := run(t, fake("basil", time.Minute, func(context.Context) ([]reading.Reading, error) {
			n++
			return nil, []error{bus.ErrNACK, bus.ErrBus}[n%2]
		}))
		g.after(24 * time.Hour)
		g.wantEvents("120 sensor_lost basil bus_error")
	})
}

// A mistake in a driver costs its own sensor.
func TestPanicInADriverIsAFaultOfItsSensor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := run(t,
			fake("basil", time.Minute, func(context.Context) ([]reading.Reading, error) { panic("index out of range") }),
			fake("mint", time.Minute, func(context.Context) ([]reading.Reading, error) { return some("mint"), nil }))
		if got := g.after(10*time.Minute - time.Second); len(got) != 10 {
			t.Errorf("got %d readings, want ten of the other sensor", len(got))
		}
		g.wantEvents("1 sensor_found mint ok", "15 sensor_lost basil fault")
		if cause := g.poller.States()[0].Error; !strings.Contains(cause, "index out of range") || len(cause) > 1000 {
			t.Errorf("got cause %q", cause)
		}
	})
}

// A full queue downstream refuses every reading: that is two lines, however many
// are refused, and no fault of the sensor.
func TestRefusedReadingsAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := run(t, fake("basil", time.Second, func(context.Context) ([]reading.Reading, error) { return some("basil"), nil }))
		g.after(time.Minute)
		g.wantEvents("0 sensor_found basil ok")
		g.mu.Lock()
		g.refuse = errOdd
		g.mu.Unlock()
		g.after(time.Minute)
		g.mu.Lock()
		g.refuse = nil
		g.mu.Unlock()
		g.after(time.Minute)
		if lines := strings.Count(g.log.String(), "\n"); lines != 2 || len(g.events) != 0 {
			t.Errorf("got %d lines and events %v, want two and none:\n%s", lines, g.events, g.log.String())
		}
		g.wantState("basil", "ok")
	})
}

// What a person sees before anything is known, and when a bus does not get round
// to a sensor.
func TestStatesOfWhatWasNotReadYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		g := run(t, fake("basil", time.Second, func(ctx context.Context) ([]reading.Reading, error) {
			select {
			case <-block:
			default:
				return some("basil"), nil
			}
			return some("basil"), bus.Sleep(ctx, 9*time.Second)
		}), fake("mint", time.Second, func(context.Context) ([]reading.Reading, error) { return some("mint"), nil }))
		g.wantState("mint", "warming_up")
		g.after(10 * time.Second)
		g.wantState("mint", "ok")
		close(block)
		g.after(6 * time.Second)
		g.wantState("mint", "stale")
	})
}

func TestNoSensorsIsNoReasonToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := run(t)
		g.after(time.Hour)
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A stop in the middle of a reading does not wait for its deadline, and does not
// call the sensor lost.
func TestStopEndsTheReadingUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := run(t, fake("basil", time.Minute, func(ctx context.Context) ([]reading.Reading, error) {
			return nil, bus.Sleep(ctx, 8*time.Second)
		}))
		g.after(time.Second)
		start := time.Now()
		if err := g.stop(); err != nil || time.Since(start) != 0 {
			t.Errorf("stopped with %v after %v, want at once", err, time.Since(start))
		}
		g.wantEvents()
	})
}
