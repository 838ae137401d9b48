package emulator

import (
	"sync"
	"time"
)

// A Clock is what time it is in the emulated world, and how it passes while a
// transfer is on the wires.
type Clock interface {
	Now() time.Time
	Sleep(time.Duration)
}

// A SteppedClock moves only when somebody sleeps on it: for a program on the
// other side of a socket, whose own sleeping nobody here can see. Its zero value
// stands at the zero time.
type SteppedClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewSteppedClock returns a clock that stands at start.
func NewSteppedClock(start time.Time) *SteppedClock { return &SteppedClock{now: start} }

// Now returns where the clock stands.
func (c *SteppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep moves the clock on by d, at once.
func (c *SteppedClock) Sleep(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
