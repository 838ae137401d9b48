package clock_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

// Whatever happens to the board, and in whatever order: a record that left with
// one time never leaves with another, a time that is called good is the true
// one, and in the end everything leaves. A second time for one record is a
// second row in every database behind Kafka.
func TestTimesNeverChangeOnceSent(t *testing.T) {
	dir := t.TempDir()
	happenings := rapid.SliceOfN(rapid.Custom(anyHappening), 1, 60)
	rapid.Check(t, func(rt *rapid.T) {
		story := happenings.Draw(rt, "happenings")
		var problem error
		// The bubble belongs to t and cannot carry rapid's failures.
		synctest.Test(t, func(t *testing.T) { problem = live(t, dir, story) })
		if problem != nil {
			rt.Fatal(problem)
		}
	})
}

// A happening is one thing that befalls the board.
type happening struct {
	Name string
	Span time.Duration // how long to wait, or how wrong the wall clock is then
}

func (h happening) String() string { return fmt.Sprintf("%s(%v)", h.Name, h.Span) }

func anyHappening(rt *rapid.T) happening {
	h := happening{Name: rapid.SampledFrom([]string{
		"take", "take", "take", "wait", "wait", "step", "set", "forget", "network", "card", "restart", "reboot",
	}).Draw(rt, "name")}
	switch h.Name {
	case "wait":
		h.Span = time.Duration(rapid.IntRange(1, 200_000).Draw(rt, "ms")) * time.Millisecond
	case "step", "reboot":
		h.Span = time.Duration(rapid.IntRange(-400*24*3600, 400*24*3600).Draw(rt, "s")) * time.Second
	}
	if h.Name == "step" && h.Span.Abs() <= time.Second {
		h.Span = 2 * time.Second // what is less looks like slewing, which is followed
	}
	return h
}

// A history is what happened to a board, and what its readings left with.
type history struct {
	b      *board
	boots  int
	broken atomic.Bool
	taken  []*record
}

type record struct {
	i     clock.Instant
	truth time.Time
	sent  *answer
}

type answer struct {
	time    time.Time
	quality reading.Quality
}

func live(t *testing.T, dir string, story []happening) error {
	h := &history{b: &board{path: filepath.Join(dir, "clock.json"), hold: 2 * time.Minute}}
	defer os.Remove(h.b.path)
	h.b.sync = func(*os.File) error {
		if h.broken.Load() {
			return errCard
		}
		return nil
	}
	h.b.power("boot 0", -day)
	h.b.start(t)
	defer func() { h.b.stop() }()
	for n, next := range story {
		h.do(t, next)
		if err := h.check(); err != nil {
			return fmt.Errorf("after happening %d, %v: %w", n, next, err)
		}
	}
	return h.end()
}

func (h *history) do(t *testing.T, next happening) {
	switch next.Name {
	case "take":
		h.take()
	case "wait":
		time.Sleep(next.Span)
	case "step":
		h.b.step(next.Span)
	case "set":
		// Noticed before anything else happens.
		h.b.set()
		time.Sleep(2 * time.Second)
	case "forget":
		h.b.synced.Store(false)
	case "network":
		h.b.network.Store(!h.b.network.Load())
	case "card":
		h.broken.Store(!h.broken.Load())
		time.Sleep(time.Minute + 2*time.Second)
	case "restart":
		h.b.restart(t)
	case "reboot":
		h.reboot(t, next.Span)
	}
}

func (h *history) take() {
	h.taken = append(h.taken, &record{i: h.b.Now(), truth: time.Now()})
}

func (h *history) reboot(t *testing.T, wrong time.Duration) {
	h.b.stop()
	h.boots++
	h.b.power(fmt.Sprintf("boot %d", h.boots), wrong)
	if n := len(h.taken); n > 0 {
		h.b.floor, _, _ = h.b.Resolve(h.taken[n-1].i)
	}
	h.b.start(t)
}

func (h *history) check() error {
	for _, r := range h.taken {
		at, q, ok := h.b.Resolve(r.i)
		if r.sent != nil && (!ok || !at.Equal(r.sent.time) || q != r.sent.quality) {
			return fmt.Errorf("%+v left with %+v, now %v %v, ok %v", r.i, *r.sent, at, q, ok)
		}
		if !ok {
			continue
		}
		if q == reading.Good && !at.Equal(r.truth.Truncate(time.Millisecond)) {
			return fmt.Errorf("%+v leaves as good with %v, truth is %v", r.i, at, r.truth.UTC())
		}
		r.sent = &answer{at, q}
	}
	return nil
}

// end mends the card and gives the network back; then nothing waits for ever.
func (h *history) end() error {
	h.broken.Store(false)
	h.b.network.Store(true)
	time.Sleep(h.b.hold + 3*time.Second)
	if err := h.check(); err != nil {
		return err
	}
	for _, r := range h.taken {
		if r.sent == nil {
			return errors.New("a reading is held for ever")
		}
	}
	return nil
}
