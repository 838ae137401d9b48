package poll_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/drivers/probe"
	"github.com/plantgate/plantgate/gateway/internal/poll"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

const addr = 0x48

// garden collects what a poller says, on the clock of a bubble.
type garden struct {
	t      *testing.T
	start  time.Time
	poller *poll.Poller
	stop   func() error

	mu       sync.Mutex
	readings []taken
	events   []string
	refuse   error
	log      bytes.Buffer
}

type taken struct {
	at time.Duration
	reading.Reading
}

// poll starts a poller; the end of the test stops it.
func run(t *testing.T, tasks ...poll.Task) *garden {
	t.Helper()
	g := &garden{t: t, start: time.Now()}
	g.poller = poll.New(tasks, g.put, g.event, slog.New(slog.NewTextHandler(&g.log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- g.poller.Run(ctx, func() { close(ready) }) }()
	<-ready
	g.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *garden) put(rs ...reading.Reading) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse != nil {
		return g.refuse
	}
	for _, r := range rs {
		if err := r.Validate(); err != nil {
			g.t.Error(err)
		}
		g.readings = append(g.readings, taken{time.Since(g.start), r})
	}
	return nil
}

// event notes an event as "seconds type name state".
func (g *garden) event(e reading.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := e.Validate(); err != nil {
		g.t.Error(err)
	}
	note := fmt.Sprintf("%.0f %s", time.Since(g.start).Seconds(), e.Type)
	for _, f := range e.Fields {
		if f.Name != "error" {
			note += fmt.Sprintf(" %v", f.Value)
		}
	}
	g.events = append(g.events, note)
}

// after lets time pass and returns what was taken meanwhile.
func (g *garden) after(d time.Duration) []taken {
	g.mu.Lock()
	n := len(g.readings)
	g.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.readings[n:]
}

func (g *garden) wantEvents(want ...string) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if fmt.Sprint(g.events) != fmt.Sprint(want) {
		g.t.Errorf("got events\n\t%s\nwant\n\t%s", strings.Join(g.events, "\n\t"), strings.Join(want, "\n\t"))
	}
	if lines := strings.Count(g.log.String(), "\n"); lines != len(want) {
		g.t.Errorf("got %d lines in the journal, want one for each of %d changes:\n%s", lines, len(want), g.log.String())
	}
	g.events = nil
	g.log.Reset()
}

func (g *garden) wantState(name, want string) {
	g.t.Helper()
	for _, s := range g.poller.States() {
		if s.Name == name && s.State != want {
			g.t.Errorf("%s is %s (%s), want %s", name, s.State, s.Error, want)
		}
	}
}

// plant is a probe at one input of an ADS1115.
func plant(b i2c.Bus, name string, at uint16, channel int, every time.Duration) poll.Task {
	return poll.Task{Name: name, Bus: "i2c-1", Every: every, Open: func(ctx context.Context) (poll.Sensor, error) {
		adc, err := ads1x15.New(ctx, b, at, ads1x15.Options{})
		if err != nil {
			return nil, err
		}
		profile, _ := probe.Named("capacitive")
		calibration, err := probe.TwoPoint("", 2.8, 1.4)
		if err != nil {
			return nil, err
		}
		return probe.New(probe.Config{
			Device: name, Source: "ads1115", Profile: profile, Calibration: calibration, Input: adc.String(),
			Sample: func(ctx context.Context) (probe.Sample, error) {
				s, err := adc.ReadChannel(ctx, channel)
				return probe.Sample(s), err
			},
		})
	}}
}

func wired() (*emulator.Bus, *emulator.ADS1x15) {
	chip := emulator.NewADS1115(emulator.Steady(2.1), emulator.Steady(1.4), emulator.Steady(2.8), emulator.Steady(1.75))
	b := &emulator.Bus{Name: "i2c-1"}
	b.Attach(addr, chip)
	return b, chip
}

// The cable of a chip comes off and is put back: noticed within three intervals,
// readings again within one, no restart, one line and one event for each change,
// and nothing made up in between.
func TestUnpluggedSensorIsLostAndFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, chip := wired()
		g := run(t, plant(bus.Share(b), "basil", addr, 0, time.Minute))
		if got := g.after(5*time.Minute - time.Second); len(got) != 5 || got[0].Values[2].Number != 50 {
			t.Errorf("got %+v, want five readings of 50 %%", got)
		}
		g.wantEvents("1 sensor_found basil ok")
		g.wantState("basil", "ok")

		b.Detach(addr)
		if got := g.after(3 * time.Minute); len(got) != 0 {
			t.Errorf("got %+v of an unplugged sensor", got)
		}
		g.wantEvents("420 sensor_lost basil not_present")
		g.after(22 * time.Hour)
		g.wantEvents()

		b.Attach(addr, chip)
		if got := g.after(time.Minute + time.Second); len(got) == 0 {
			t.Error("no reading within an interval after it was plugged in")
		}
		g.wantState("basil", "ok")
		if len(g.events) != 1 || !strings.Contains(g.events[0], "sensor_found basil ok") {
			t.Errorf("got events %v, want that it was found", g.events)
		}

		// The second time it is looked for as often as the first time.
		b.Detach(addr)
		for g.poller.States()[0].State == "ok" {
			g.after(time.Second)
		}
		b.Attach(addr, chip)
		if got := g.after(8 * time.Second); len(got) == 0 {
			t.Error("no reading 8 s after a loose plug was pressed home")
		}
	})
}

// A probe that is bought later than the gateway: it is looked for at growing
// pauses, and the other sensors do not wait for that.
func TestSensorThatIsAbsentAtBootIsFoundLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := wired()
		counting := &counter{Bus: b}
		shared := bus.Share(counting)
		g := run(t, plant(shared, "basil", addr, 0, 10*time.Minute), plant(shared, "mint", addr+1, 0, 10*time.Minute))
		g.after(time.Minute)
		g.wantEvents("1 sensor_found basil ok", "16 sensor_lost mint not_present")
		before := counting.tried(addr + 1)
		g.after(24 * time.Hour)
		if tries := counting.tried(addr+1) - before; tries < 3*280 || tries > 3*295 {
			t.Errorf("%d transactions in a day, want three every five minutes", tries)
		}
		g.wantEvents()
		b.Attach(addr+1, emulator.NewADS1115(emulator.WetSoil()))
		if got := g.after(5*time.Minute + time.Second); len(got) == 0 || got[len(got)-1].Device != "mint" {
			t.Errorf("got %+v, want a reading of mint", got)
		}
		g.wantState("mint", "ok")
	})
}

// counter counts transactions by address.
type counter struct {
	*emulator.Bus
	mu sync.Mutex
	n  map[uint16]int
}

func (c *counter) Tx(addr uint16, w, r []byte) error {
	c.mu.Lock()
	if c.n == nil {
		c.n = map[uint16]int{}
	}
	c.n[addr]++
	c.mu.Unlock()
	return c.Bus.Tx(addr, w, r)
}

func (c *counter) tried(addr uint16) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[addr]
}

func (c *counter) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.n {
		n += k
	}
	return n
}

// A single lost reading is nothing to wake anybody for; it is also not replaced
// by anything.
func TestSingleFailureIsNotAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := run(t, fake("basil", time.Minute, func(context.Context) ([]reading.Reading, error) {
			if n++; n%3 != 0 {
				return nil, fmt.Errorf("read: %w", bus.ErrNACK)
			}
			return some("basil"), nil
		}))
		if got := g.after(time.Hour - time.Second); len(got) != 20 {
			t.Errorf("got %d readings, want the twenty that were measured", len(got))
		}
		g.wantEvents()
		s := g.poller.States()[0]
		if s.Reads != 20 || s.Failures != 40 || s.State != "warming_up" || s.Sensor != "fake" {
			t.Errorf("got %+v", s)
		}
	})
}

// fake is a sensor that is always there.
func fake(name string, every time.Duration, read func(context.Context) ([]reading.Reading, error)) poll.Task {
	return poll.Task{Name: name, Bus: "i2c-1", Every: every, Open: func(context.Context) (poll.Sensor, error) {
		return sensor(read), nil
	}}
}

type sensor func(context.Context) ([]reading.Reading, error)

func (s sensor) Read(ctx context.Context) ([]reading.Reading, error) { return s(ctx) }
func (s sensor) String() string                                      { return "fake" }

func some(device string) []reading.Reading {
	return []reading.Reading{{Device: device, Source: "fake", Values: []reading.Value{{Metric: reading.SoilMoistureRaw, Number: 1}}}}
}

var errOdd = errors.New("odd")
