// Package poll reads the sensors of the board, each at its own interval, and
// says what state they are in.
//
// It guarantees that a sensor which is absent, unplugged or broken never delays
// the sensors of another bus, is tried for ever and needs no restart when it
// comes back; that a state is believed only when it repeats and is then told
// once; and that nothing is passed on but what a sensor returned. It does not
// know any driver: a sensor is what Open returns.
//
// A transfer that is stuck in the kernel cannot be cancelled. Its goroutine is
// left behind when the program ends, and nothing else waits for it.
package poll

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/plantgate/plantgate/reading"
	"golang.org/x/sync/errgroup"
)

// A Sensor is what can be read. Read returns what it measured and why that is
// not all, or not to be trusted; it may return both. It must end soon after its
// context does. The error may say what health state it means by a method
// State() string.
type Sensor interface {
	Read(ctx context.Context) ([]reading.Reading, error)
	fmt.Stringer
}

// A Task is one sensor of the configuration.
type Task struct {
	Name  string        // in events and messages; the device in its readings
	Bus   string        // sensors of one bus are read one after the other
	Every time.Duration // 0 is one minute
	// Deadline bounds one reading; 0 is ten seconds.
	Deadline time.Duration
	// Open finds the sensor and sets it up. It is called until it succeeds, and
	// again after the sensor was lost: a chip that was unplugged has no setup.
	Open func(ctx context.Context) (Sensor, error)
}

// A State is how a sensor is doing.
type State struct {
	Name     string
	Bus      string
	Sensor   string        // what it calls itself; "" until it was opened
	State    string        // ok, warming_up before anything is known, stale, or the fault
	Since    time.Time     // when it came into this state
	Error    string        // the cause; "" when ok
	Last     time.Time     // of the last reading; zero for none
	Every    time.Duration // interval
	Reads    uint64        // attempts that gave readings
	Failures uint64        // attempts that ended with an error
}

// Poller reads the sensors of all buses.
type Poller struct {
	lines []*line
	order []*polled
}

// The defaults of a Task.
const (
	defaultEvery    = time.Minute
	defaultDeadline = 10 * time.Second
)

// New prepares the tasks; it opens nothing. Readings go to put and events to
// event, neither of which may wait. An error of put is counted where it comes
// from and logged here when it starts and ends. Both are called from one
// goroutine for each bus.
func New(tasks []Task, put func(...reading.Reading) error, event func(reading.Event), log *slog.Logger) *Poller {
	p := &Poller{}
	out := &outlet{put: put, event: event, log: log}
	for _, t := range tasks {
		if t.Every <= 0 {
			t.Every = defaultEvery
		}
		if t.Deadline <= 0 {
			t.Deadline = defaultDeadline
		}
		l := p.line(t.Bus, out)
		s := &polled{task: t, line: l}
		l.sensors = append(l.sensors, s)
		p.order = append(p.order, s)
	}
	return p
}

func (p *Poller) line(name string, out *outlet) *line {
	i := slices.IndexFunc(p.lines, func(l *line) bool { return l.name == name })
	if i >= 0 {
		return p.lines[i]
	}
	l := &line{name: name, out: out}
	p.lines = append(p.lines, l)
	return l
}

// Run polls until ctx ends, and then returns nil. A reading that is under way
// gets a second to end.
func (p *Poller) Run(ctx context.Context, ready func()) error {
	var g errgroup.Group
	for _, l := range p.lines {
		g.Go(func() error {
			l.run(ctx)
			return nil
		})
	}
	ready()
	<-ctx.Done()
	return g.Wait()
}

// States returns the state of every sensor, in the order of the tasks.
func (p *Poller) States() []State {
	now := time.Now()
	states := make([]State, 0, len(p.order))
	for _, s := range p.order {
		states = append(states, s.report(now))
	}
	return states
}
