package clock_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

const day = 24 * time.Hour

// A failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
}

// A board is a Pi as far as its clocks go. True time is time.Now of the
// synctest bubble it lives in.
type board struct {
	path    string
	hold    time.Duration
	trust   bool
	floor   time.Time
	id      string
	booted  time.Time
	wrong   atomic.Int64 // wall clock minus true time
	synced  atomic.Bool
	network atomic.Bool
	sync    func(*os.File) error

	mu     sync.Mutex
	events []reading.Event

	*clock.Clock
	stop func()
}

// newBoard returns a board that was switched on five seconds ago, with its wall
// clock wrong by that much.
func newBoard(t *testing.T, wrong time.Duration) *board {
	t.Helper()
	b := &board{path: filepath.Join(t.TempDir(), "clock.json"), hold: clock.DefaultHold}
	b.power("first", wrong)
	return b
}

func (b *board) power(id string, wrong time.Duration) {
	b.id = id
	b.booted = time.Now().Add(-5 * time.Second)
	b.wrong.Store(int64(wrong))
	b.synced.Store(false)
	b.network.Store(false)
}

// start opens the board's clock and runs it until stop.
func (b *board) start(t failer) {
	t.Helper()
	booted := b.booted
	c, err := clock.Open(clock.Options{
		Path: b.path, Hold: b.hold, Trust: b.trust, Floor: b.floor, BootID: b.id,
		Wall:         func() time.Time { return time.Now().Add(time.Duration(b.wrong.Load())) },
		Boottime:     func() time.Duration { return time.Since(booted) },
		Synchronised: b.synced.Load,
		NetworkUp:    b.network.Load,
		Sync:         b.sync,
		Notify:       b.note,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx, func() {}) }()
	b.Clock = c
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	// Half a second beside Run's looks: what a test does is not split by one.
	time.Sleep(500 * time.Millisecond)
}

func (b *board) restart(t failer) {
	t.Helper()
	b.stop()
	b.start(t)
}

// set is what an NTP daemon does: it steps the wall clock and says so.
func (b *board) set() {
	b.wrong.Store(0)
	b.synced.Store(true)
}

// step is what a person with date -s does: the kernel takes its word back that
// the clock is synchronised.
func (b *board) step(wrong time.Duration) {
	b.synced.Store(false)
	b.wrong.Store(int64(wrong))
}

func (b *board) note(e reading.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// noted returns the events of one type so far.
func (b *board) noted(t failer, kind reading.EventType) []reading.Event {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []reading.Event
	for _, e := range b.events {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if e.Type == kind {
			found = append(found, e)
		}
	}
	return found
}

func field(e reading.Event, name string) any {
	for _, f := range e.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// wantLeaves fails unless what was taken at i leaves, with time and quality.
func wantLeaves(t failer, c *clock.Clock, i clock.Instant, want time.Time, quality reading.Quality) {
	t.Helper()
	got, q, ok := c.Resolve(i)
	if want = want.Truncate(time.Millisecond); !ok || !got.Equal(want) || q != quality {
		t.Errorf("taken at %+v leaves with %v %v, ok %v; want %v %v", i, got, q, ok, want.UTC(), quality)
	}
}

func wantHeld(t failer, c *clock.Clock, i clock.Instant) {
	t.Helper()
	if got, q, ok := c.Resolve(i); ok {
		t.Errorf("taken at %+v leaves with %v %v, want it held back", i, got, q)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
