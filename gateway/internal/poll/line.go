package poll

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/plantgate/plantgate/reading"
	"golang.org/x/sync/errgroup"
)

// A line is one bus with its sensors. One goroutine decides and keeps the time;
// it hands each reading to another and waits for it, so that it still knows the
// time when that one hangs in the kernel.
type line struct {
	name    string
	out     *outlet
	sensors []*polled

	// mu guards what States reads: what follows, and the health of each sensor.
	// Only the goroutine of run writes there, so it reads without.
	mu       sync.Mutex
	timeouts int // in a row, over all sensors
	stuck    bool
	since    time.Time
	cause    string
	retry    time.Time     // of a stuck bus
	pause    time.Duration // until the retry after that
	turn     int           // of the sensors that try a stuck bus
}

const (
	// stagger keeps the sensors of a bus from being due in the same instant.
	stagger = time.Second
	// hangGrace is how long after its deadline a reading counts as hung.
	hangGrace = 5 * time.Second
	// stopGrace is how long a stop waits for a reading.
	stopGrace = time.Second
)

// run polls until ctx ends.
func (l *line) run(ctx context.Context) {
	l.schedule(time.Now())
	var calls errgroup.Group
	for {
		s, due := l.next()
		if !sleepUntil(ctx, due) {
			return
		}
		o, ended := l.perform(ctx, &calls, s)
		if !ended {
			return
		}
		if ctx.Err() == nil { // what a stop cut short means nothing
			l.settle(s, o, time.Now())
		}
		_ = calls.Wait() // it has ended, and returns no error
	}
}

func (l *line) schedule(now time.Time) {
	for i, s := range l.sensors {
		s.first = now.Add(time.Duration(i) * min(stagger, s.task.Every/time.Duration(len(l.sensors))))
		s.due = s.first
		s.pause = firstPause
	}
}

// next returns the sensor that is due first. On a stuck bus they take turns in
// trying it: each try costs the kernel's timeout, and one is enough to see that
// it is free again.
func (l *line) next() (*polled, time.Time) {
	if l.stuck {
		return l.sensors[l.turn%len(l.sensors)], l.retry
	}
	first := l.sensors[0]
	for _, s := range l.sensors[1:] {
		if s.due.Before(first.due) {
			first = s
		}
	}
	return first, first.due
}

// perform reads one sensor. It returns false when ctx ended and the reading did
// not.
func (l *line) perform(ctx context.Context, calls *errgroup.Group, s *polled) (o outcome, ended bool) {
	limited, cancel := context.WithTimeout(ctx, s.task.Deadline)
	defer cancel()
	result := make(chan outcome, 1) // room for one that nobody waits for
	calls.Go(func() error {
		result <- s.attempt(limited)
		return nil
	})
	hung := time.NewTimer(s.task.Deadline + hangGrace)
	defer hung.Stop()
	late := false
	for {
		select {
		case o := <-result:
			o.hung = late
			return o, true
		case <-hung.C:
			late = true
			l.hang(s)
		case <-ctx.Done():
			return l.stop(result, s)
		}
	}
}

// stop waits a little for a reading whose context ended.
func (l *line) stop(result <-chan outcome, s *polled) (outcome, bool) {
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case o := <-result:
		return o, true
	case <-grace.C:
		l.out.log.Warn("reading does not end; it is left behind", "sensor", s.task.Name, "bus", l.name)
		return outcome{}, false
	}
}

// hang says that a transfer does not come back, while it still has not.
func (l *line) hang(s *polled) {
	now := time.Now()
	l.mu.Lock()
	l.timeouts = badBeforeFault
	n, changed := l.stick(fmt.Errorf("%s: no answer from the kernel in %v (its driver of the bus hangs: switch the power of the board off and on)",
		s.task.Name, s.task.Deadline+hangGrace), now)
	l.mu.Unlock()
	if changed {
		l.out.tell(n)
	}
}

// settle passes on what was read, and decides what it means and when the sensor
// is due again.
func (l *line) settle(s *polled, o outcome, now time.Time) {
	l.out.deliver(o.readings)
	for _, n := range l.judge(s, o, now) {
		l.out.tell(n)
	}
}

// judge returns what is to be told; that happens outside the lock.
func (l *line) judge(s *polled, o outcome, now time.Time) (notices []notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.count(o, now)
	if n, changed := l.judgeBus(s, o, now); changed {
		notices = append(notices, n)
	}
	if l.stuck {
		l.planRetry(now)
		return notices
	}
	if n, changed := s.judge(o, now); changed {
		notices = append(notices, n)
	}
	s.plan(now)
	if s.timedOut && !s.health.inFault() {
		l.ask(now)
	}
	return notices
}

// judgeBus tells a held bus from a chip that times out: on a held bus every
// sensor does, whatever its address. One that is in another fault has no say.
// A transfer that broke off does not show that a stuck bus is free.
func (l *line) judgeBus(s *polled, o outcome, now time.Time) (notice, bool) {
	state := o.state()
	s.timedOut = state == stateBusStuck
	if l.stuck && state == stateBusError {
		return notice{}, false
	}
	if !s.timedOut {
		l.timeouts = 0
		return l.release(now)
	}
	l.timeouts++
	if l.timeouts < badBeforeFault || l.witness() != nil {
		return notice{}, false
	}
	return l.stick(o.err, now)
}

// witness returns the sensor, due first, that could still show that the bus is
// free; nil when none can.
func (l *line) witness() (first *polled) {
	for _, s := range l.sensors {
		if s.timedOut || s.health.inFault() {
			continue
		}
		if first == nil || s.due.Before(first.due) {
			first = s
		}
	}
	return first
}

// ask reads a witness now: to wait for the next point of its grid would let the
// sensors of a held bus be lost one by one.
func (l *line) ask(now time.Time) {
	if s := l.witness(); s != nil && s.due.After(now) {
		s.due = now
	}
}

// stick makes the bus stuck: one notice for the bus, none for its sensors.
func (l *line) stick(cause error, now time.Time) (notice, bool) {
	if l.stuck {
		return notice{}, false
	}
	l.stuck, l.since, l.cause = true, now, text(cause)
	l.pause = firstPause
	return notice{kind: reading.SensorLost, name: l.name, state: stateBusStuck, cause: l.cause}, true
}

// release makes the bus free.
func (l *line) release(now time.Time) (notice, bool) {
	if !l.stuck {
		return notice{}, false
	}
	l.stuck, l.cause = false, ""
	return notice{kind: reading.SensorFound, name: l.name, state: stateOK, away: now.Sub(l.since)}, true
}

// planRetry lets another sensor try the stuck bus later. All of them are opened
// anew: most often it is switching the power of the chips that frees a bus, and
// then their setup is gone.
func (l *line) planRetry(now time.Time) {
	longest := maxPause
	for _, s := range l.sensors {
		s.sensor = nil
		longest = min(longest, s.task.Every)
	}
	l.turn++
	l.retry = now.Add(min(l.pause, longest))
	l.pause = min(2*l.pause, longest)
}

// sleepUntil returns false when ctx ends first.
func sleepUntil(ctx context.Context, due time.Time) bool {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
