package poll

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// polled is one sensor and when it is due.
type polled struct {
	task Task
	line *line

	first time.Time // the start of its grid
	due   time.Time
	pause time.Duration // until the next try to open it

	sensor Sensor // nil until it was opened, and after it was lost

	// Guarded by the line's lock.
	health   health
	timedOut bool // at the last attempt
	called   string
	last     time.Time
	reads    uint64
	failures uint64
}

// How long to wait before a sensor that cannot be opened is tried again: from
// the first to the longest, and never longer than its interval, so that it is
// back within one.
const (
	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
)

// attempt opens the sensor if need be, and reads it.
func (s *polled) attempt(ctx context.Context) (o outcome) {
	// A driver's mistake costs its own sensor; it must not stop the broker of
	// the home.
	defer func() {
		if v := recover(); v != nil {
			s.sensor = nil
			o = outcome{err: fmt.Errorf("driver panicked: %v\n%s", v, debug.Stack())}
		}
	}()
	if s.sensor == nil {
		sensor, err := s.task.Open(ctx)
		if err != nil {
			return outcome{err: err}
		}
		s.sensor, o.opened = sensor, true
	}
	o.readings, o.err = s.sensor.Read(ctx)
	return o
}

func (s *polled) count(o outcome, now time.Time) {
	if s.sensor != nil {
		s.called = s.sensor.String()
	}
	if o.err != nil {
		s.failures++
	}
	if len(o.readings) > 0 {
		s.reads++
		s.last = now
	}
}

// judge changes the sensor's health, and gives a lost sensor up, so that it is
// opened anew.
func (s *polled) judge(o outcome, now time.Time) (n notice, changed bool) {
	if changed = s.health.observe(o, now); changed {
		n = s.notice(o, now)
		s.health.enter(o, now)
	}
	if o.lost() && s.health.inFault() {
		s.sensor = nil
	}
	return n, changed
}

func (s *polled) notice(o outcome, now time.Time) notice {
	n := notice{device: s.task.Name, name: s.task.Name, state: o.state(), cause: text(o.err)}
	switch {
	case o.err == nil:
		n.kind = reading.SensorFound
		if s.health.inFault() {
			n.away = now.Sub(s.health.firstBad)
		}
	case o.lost():
		n.kind = reading.SensorLost
	default:
		n.kind = reading.SensorSuspect
	}
	return n
}

// plan decides when the sensor is due again: an open one at the next point of
// its grid, however long the reading took; a lost one after a growing pause, in
// which the others of the bus are read.
func (s *polled) plan(now time.Time) {
	if s.sensor == nil {
		longest := min(maxPause, s.task.Every)
		s.due = now.Add(min(s.pause, longest))
		s.pause = min(2*s.pause, longest)
		return
	}
	s.pause = firstPause
	passed := max(now.Sub(s.first), 0) / s.task.Every
	s.due = s.first.Add((passed + 1) * s.task.Every)
}

func (s *polled) report(now time.Time) State {
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	h := s.health
	r := State{
		Name: s.task.Name, Bus: s.task.Bus, Sensor: s.called,
		State: h.state, Since: h.since, Error: h.cause,
		Last: s.last, Every: s.task.Every, Reads: s.reads, Failures: s.failures,
	}
	switch {
	case s.line.stuck:
		r.State, r.Since, r.Error = stateBusStuck, s.line.since, s.line.cause
	case h.state == "":
		r.State = stateStarting
	case h.state == stateOK && now.Sub(s.last) > staleIntervals*s.task.Every:
		r.State, r.Since = stateStale, s.last
	}
	return r
}
