package forward

import (
	"context"
	"errors"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// A source reads the buffer and prepares windows, one ahead of the one in
// flight. It never looks back: a window is given away once, and whoever has it
// sends it until it is settled.
type source struct {
	o      Options
	buffer *buffer.Buffer
	clock  *clock.Clock
	maker  *maker
	status *status

	free  chan *window
	ready chan *window
}

// windows is how many there are: one is in flight while the other is filled.
const windows = 2

func newSource(o Options, b *buffer.Buffer, c *clock.Clock, m *maker, s *status) *source {
	src := &source{
		o: o, buffer: b, clock: c, maker: m, status: s,
		free: make(chan *window, windows), ready: make(chan *window, windows),
	}
	for range windows {
		src.free <- new(window)
	}
	return src
}

// run prepares windows from number next on until ctx ends.
func (s *source) run(ctx context.Context, next uint64) error {
	var last time.Time
	for {
		var w *window
		select {
		case w = <-s.free:
		case <-ctx.Done():
			return nil
		}
		if !s.gather(ctx, next, last) || !s.fill(ctx, w, next) {
			return nil
		}
		last = time.Now()
		next = w.last + 1
		s.status.prepare(w)
		s.ready <- w // has room for all there are
	}
}

// gather waits for the first record to be durable and then a little for
// company: a window for each group commit would cost a request to Kafka for a
// handful of records.
func (s *source) gather(ctx context.Context, next uint64, last time.Time) bool {
	enough := next + uint64(s.o.MaxWindowRecords)/4
	var linger <-chan time.Time
	for {
		durable, grown := s.buffer.Durable()
		wait := time.Until(last.Add(s.o.Linger))
		if durable >= enough || durable >= next && wait <= 0 {
			return true
		}
		if durable >= next && linger == nil {
			t := time.NewTimer(wait)
			defer t.Stop()
			linger = t.C
		}
		select {
		case <-grown:
		case <-linger:
		case <-ctx.Done():
			return false
		}
	}
}

// fill makes a window of what may leave, and waits while that is nothing.
func (s *source) fill(ctx context.Context, w *window, next uint64) bool {
	failing := false
	for {
		durable, grown := s.buffer.Durable()
		changed := s.clock.Changed() // before Resolve is asked
		part, err := s.buffer.Read(next, s.o.MaxWindowRecords, s.o.MaxWindowBytes)
		var retry <-chan time.Time
		switch {
		case errors.Is(err, buffer.ErrClosed):
			<-ctx.Done()
			return false
		case err != nil:
			if !failing {
				failing = true
				s.o.Log.Error("buffer cannot be read; trying again", "from", next, "error", err)
			}
			retry = time.After(time.Second)
		case part.Gap != nil:
			s.explain(w, *part.Gap)
			s.status.release()
			return true
		case len(part.Records) > 0 && s.make(w, part):
			s.status.release()
			return true
		}
		if durable >= next {
			grown = nil // what came behind the held record changes nothing
		}
		select {
		case <-grown:
		case <-changed:
		case <-retry:
		case <-ctx.Done():
			return false
		}
	}
}

// make fills w up to the first record that must not leave yet; false: that is
// the very first one.
func (s *source) make(w *window, part buffer.Window) bool {
	w.reset(part.Stream, part.First)
	again := s.buffer.Replayed()
	for i, stored := range part.Records {
		number := part.First + uint64(i)
		e, err := envelope.Parse(stored)
		if err != nil {
			now, _ := s.clock.Trusted()
			s.maker.addUnreadable(w, stamp{stream: part.Stream, number: number, time: now, quality: reading.Bad}, stored, err)
			continue
		}
		at, q, ok := s.clock.Resolve(e.Taken)
		if !ok {
			if len(w.items) == 0 {
				s.status.hold(e.Taken)
			}
			break
		}
		if len(w.items) == 0 {
			w.oldest = e.Taken
		}
		s.maker.add(w, stamp{
			stream: part.Stream, number: number, time: at,
			quality: max(e.Quality, q), replayed: number <= again,
		}, e)
	}
	return len(w.items) > 0
}

// explain makes a window of the event that stands for missing numbers.
func (s *source) explain(w *window, g buffer.Gap) {
	if g.Reason == buffer.Expired {
		w.reset(g.Stream, g.First)
		w.last = g.Last // it was confirmed once: no loss
		return
	}
	now, trusted := s.clock.Trusted()
	if g.Since.IsZero() {
		g.Since = now
	}
	at := stamp{stream: g.Stream, number: g.First, time: g.Since, replayed: g.Last <= s.buffer.Replayed()}
	if !trusted {
		at.quality = reading.Uncertain
	}
	s.maker.addGap(w, at, g)
	w.oldest = s.clock.Now()
	s.status.gaps.Add(1)
}
