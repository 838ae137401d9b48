package ingest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// A Heard is what a person who listens gets: a message and what became of it,
// or polled readings. It is the receiver's.
type Heard struct {
	Time     time.Time
	Message  Message // zero for polled readings
	Source   string  // the dialect or driver; "" when no dialect reads the topic
	Readings []reading.Reading
	Reason   string // why there are no readings, or why they were not stored
}

// Taps let people listen. Nothing is copied while nobody does.
type taps struct {
	count atomic.Int32
	mu    sync.RWMutex
	open  []chan Heard
}

// tapDepth is how much a slow listener may lag behind; then it misses some.
const tapDepth = 256

// Subscribe returns what is heard from now on, until ctx ends; the channel is
// closed then. Who reads too slowly misses some: readings never wait for a
// listener.
func (i *Ingest) Subscribe(ctx context.Context) <-chan Heard {
	t := &i.taps
	c := make(chan Heard, tapDepth)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = append(t.open, c)
	t.count.Add(1)
	context.AfterFunc(ctx, func() { t.close(c) })
	return c
}

func (t *taps) close(c chan Heard) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = slices.DeleteFunc(t.open, func(other chan Heard) bool { return other == c })
	t.count.Add(-1)
	close(c)
}

func (t *taps) listening() bool { return t.count.Load() > 0 }

func (t *taps) tell(h Heard) {
	h.Message.Payload = bytes.Clone(h.Message.Payload)
	h.Readings = slices.Clone(h.Readings)
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, c := range t.open {
		select {
		case c <- h:
		default: // it reads too slowly
		}
	}
}
