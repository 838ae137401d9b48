package clock

import (
	"context"
	"time"

	"github.com/plantgate/plantgate/reading"
)

const (
	pollEvery = time.Second

	// A synchronised wall clock may run away from CLOCK_BOOTTIME by maxSlip
	// between two looks: NTP daemons slew by less than a tenth of a second each
	// second, and a look may be late. What is more is a step. What is less than
	// minSlip is not worth a write to the card.
	maxSlip = 1000 // ms
	minSlip = maxSlip / 4

	// A daemon that steps the clock says so within this many looks.
	patientLooks = 5

	// How far ahead the mark of what leaves uncorrected is set. What is taken
	// before the mark will not be corrected, so it is short at first; it grows
	// because each step is a write to the card, for as long as there is no NTP.
	minMarkStep = time.Minute
	maxMarkStep = 10 * time.Minute
	// The mark moves on before it is reached, by more than a look and a write
	// to a slow card take, so that nothing waits for it.
	markMargin = 5 * time.Second
)

// Run watches for the first synchronisation of this boot, stores what answers
// will rest on and tells about changes. Only then do held Instants resolve. It
// returns nil when ctx ends.
func (c *Clock) Run(ctx context.Context, ready func()) error {
	ready()
	c.tell()
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			c.step()
			c.tell()
		}
	}
}

// settled: all that this boot can bring is known and stored.
func (c *Clock) settled() bool { return c.storeErr == nil && c.current.Offset != nil }

// step takes one look around and stores what follows from it.
func (c *Clock) step() {
	if c.view.Load().synced && c.settled() && !c.follow() {
		return
	}
	boottime := c.o.Boottime()
	network := c.watchNetwork(boottime)
	switch {
	case c.current.Offset != nil:
		// Once synchronised, a boot stays so: the kernel takes its word back
		// after hours without NTP.
	case c.o.Trust || c.o.Synchronised():
		offset := c.o.Wall().UnixMilli() - c.o.Boottime().Milliseconds()
		c.current.Offset = &offset
		c.steady = offset
		// A mark that could not be stored let nothing out.
		c.current.Before = c.stored.find(c.o.BootID).Before
	default:
		c.wait(boottime)
	}
	c.store()
	c.publish(network)
}

// watchNetwork adds up for how long there was a network.
func (c *Clock) watchNetwork(boottime time.Duration) bool {
	if c.current.Offset != nil {
		return true
	}
	up := c.o.NetworkUp()
	if up {
		c.networkTime += boottime - c.polled
	}
	c.polled = boottime
	return up
}

// wait notes what is stated meanwhile and, after the hold, sets the mark up to
// which readings leave uncorrected. Once it is set, it is moved on in time, so
// that readings leave as they come.
func (c *Clock) wait(boottime time.Duration) {
	now := c.Now()
	c.stated = now.Wall - now.Boottime
	if c.current.Stated == nil {
		stated := c.stated
		c.current.Stated = &stated
	}
	if c.current.Before == 0 && c.networkTime < c.o.Hold {
		return
	}
	if now.Boottime+markMargin.Milliseconds() >= c.current.Before {
		c.current.Before = now.Boottime + min(max(boottime/10, minMarkStep), maxMarkStep).Milliseconds()
	}
}

// store brings this boot's line in the state file up to date.
func (c *Clock) store() {
	was := c.stored.find(c.o.BootID)
	boottime := c.o.Boottime()
	if c.stored.last() == c.boot && was.equal(c.current) || boottime < c.retryAt {
		return
	}
	next := c.stored.with(c.current)
	err := next.save(c.o.Path, c.o.Sync)
	c.reportStore(err)
	if err != nil {
		c.retryAfter = min(max(2*c.retryAfter, time.Second), time.Minute)
		c.retryAt = boottime + c.retryAfter
		return
	}
	c.retryAfter = 0
	c.stored = next
	c.note(was)
}

func (c *Clock) reportStore(err error) {
	if err != nil && c.storeErr == nil {
		c.o.Log.Error("clock state cannot be stored; readings taken before the clock was set wait until it can", "file", c.o.Path, "error", err)
	}
	if err == nil && c.storeErr != nil {
		c.o.Log.Info("clock state can be stored again", "file", c.o.Path)
	}
	c.storeErr = err
}

// note writes down what changed for this boot, now that it is stored.
func (c *Clock) note(was boot) {
	if was.Before == 0 && c.current.Before != 0 {
		waited := c.o.Boottime() - c.opened
		c.o.Log.Warn("clock was not set in time; readings leave marked uncertain until it is (is there an NTP server in reach?)", "waited", waited.Round(time.Second))
		c.notices = append(c.notices, reading.Event{Type: reading.ClockUnknown, Fields: []reading.Field{
			{Name: "boot", Value: int64(c.boot)},
			{Name: "waited_s", Value: waited.Seconds()},
		}})
	}
	// Without Stated nothing was taken before the clock was set.
	if was.Offset == nil && c.current.Offset != nil && c.current.Stated != nil {
		correction := *c.current.Offset - c.stated
		c.o.Log.Info("clock is set", "correction", time.Duration(correction)*time.Millisecond)
		c.notices = append(c.notices, reading.Event{Type: reading.ClockCorrected, Fields: []reading.Field{
			{Name: "boot", Value: int64(c.boot)},
			{Name: "offset_ms", Value: correction},
		}})
	}
}

// publish lets answers rest on what is stored by now.
func (c *Clock) publish(network bool) {
	old := c.view.Load()
	// Stating needs no stored fact, unlike resolving: what is taken from now on
	// keeps its own time.
	next := &view{synced: c.current.Offset != nil, steady: c.steady, facts: c.stored.facts(), changed: old.changed}
	known := next.facts[c.boot]
	before := old.facts[c.boot]
	if known.before != before.before || (known.offset != nil) != (before.offset != nil) {
		next.changed = make(chan struct{})
		defer close(old.changed)
	}
	c.view.Store(next)
	c.status.Store(c.describe(known, network))
}

func (c *Clock) describe(known facts, network bool) *State {
	s := &State{Boot: c.boot, Synchronised: c.current.Offset != nil, NetworkUp: network, Err: c.storeErr}
	if known.offset != nil {
		s.Corrected = true
		s.Offset = time.Duration(*known.offset) * time.Millisecond
	}
	if !s.Synchronised && known.before == 0 {
		s.Holding = true
		s.Held = c.polled - c.opened
		s.HoldLeft = max(c.o.Hold-c.networkTime, 0)
	}
	return s
}

func (c *Clock) tell() {
	for _, e := range c.notices {
		c.o.Notify(e)
	}
	c.notices = nil
}
