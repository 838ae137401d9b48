package forward

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
)

// A State says in one word what forward does.
type State string

// The states.
const (
	Idle      State = "idle"              // everything durable is in Kafka
	Sending   State = "sending"           // records are on their way
	Holding   State = "holding"           // records wait until their time is known
	Waiting   State = "waiting for kafka" // Kafka does not take records; they are kept
	Refilling State = "refilling"         // what Kafka lost is sent again
	Replaying State = "replaying"         // confirmed records are sent again because somebody asked for it
)

// Stats is a snapshot for status and metrics. Counts are since the start of
// the process.
type Stats struct {
	State State
	Since time.Time

	Forwarded map[string]uint64 // records that Kafka confirmed, by topic
	// Readings that Kafka confirmed, by source: at most 64 of them, and "other".
	ForwardedBySource map[string]uint64

	Replayed     uint64 // those of them that were sent again
	DeadLettered uint64 // records that Kafka refused for good
	GivenUp      uint64 // refused even as a dead letter; a gap event says so
	Gaps         uint64 // gap events sent
	Retries      uint64 // sendings after a refusal
	Rebuilt      uint64 // clients given up for a new one
	Stalled      uint64 // those of them in which nothing moved
	Rewound      uint64 // partitions found to have lost confirmed records

	InFlight  int    // records in the window under way
	Confirmed uint64 // last number that Kafka confirmed with all before it

	LastError string // "" while all is well
	Advice    string // what a person can do about it

	OldestUnsent clock.Instant // when the oldest record that forward knows of was taken
	HasUnsent    bool
}

// status is what the other goroutines of the process may see of forward.
type status struct {
	log *slog.Logger

	mu      sync.Mutex
	state   State     // of the sender: Idle, Sending, Refilling or Replaying
	since   time.Time // of the state that is shown
	held    bool      // the next record must not leave yet
	blocked time.Time // since when Kafka does not take records; zero: it does
	said    map[string]bool
	err     error

	// When the oldest record of each prepared window was taken, the one in
	// flight first; then that of the record that is held.
	prepared  []clock.Instant
	heldSince clock.Instant

	forwarded                             [topicCount]atomic.Uint64
	replayed, deadLettered, givenUp, gaps atomic.Uint64
	retries, rebuilt, stalled, rewound    atomic.Uint64
	inFlight, confirmed                   atomic.Uint64
	sources                               sourceTally
}

func newStatus(log *slog.Logger) *status {
	return &status{log: log, state: Idle, since: time.Now()}
}

// shown is the state as a person sees it: trouble before work, work before
// patience.
func (s *status) shown() State {
	switch {
	case !s.blocked.IsZero():
		return Waiting
	case s.state == Idle && s.held:
		return Holding
	default:
		return s.state
	}
}

func (s *status) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.shown()
	f()
	if s.shown() != before {
		s.since = time.Now()
	}
}

func (s *status) set(state State) { s.change(func() { s.state = state }) }

// hold is told by the source that the next record, taken at the given instant,
// waits for the clock; release that none does.
func (s *status) hold(taken clock.Instant) {
	news := false
	s.change(func() {
		news = !s.held
		s.held, s.heldSince = true, taken
	})
	if news {
		s.log.Info("readings wait until the clock is set")
	}
}

func (s *status) release() { s.change(func() { s.held = false }) }

// prepare, begin and end follow a window of new records on its way.
func (s *status) prepare(w *window) {
	s.change(func() { s.prepared = append(s.prepared, w.oldest) })
}

func (s *status) begin(w *window) {
	s.set(Sending)
	s.inFlight.Store(uint64(len(w.items)))
}

func (s *status) end() {
	s.inFlight.Store(0)
	s.change(func() { s.state, s.prepared = Idle, s.prepared[1:] })
}

// block says once, and once more for each other kind of trouble in the same
// outage, that Kafka does not take records.
func (s *status) block(cause error) {
	if cause == nil {
		cause = errors.New("kafka does not answer")
	}
	advice := Advice(cause)
	said := false
	s.change(func() {
		if s.blocked.IsZero() {
			s.blocked, s.said = time.Now(), map[string]bool{}
		}
		s.err = cause
		// Errors without advice may differ in every attempt: they are one kind.
		said = s.said[advice]
		s.said[advice] = true
	})
	if said {
		return
	}
	attrs := []slog.Attr{slog.String("event", "kafka_unreachable"), slog.Any("error", cause)}
	if advice != "" {
		attrs = append(attrs, slog.String("do", advice))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, "kafka does not take records; keeping them", attrs...)
}

// unblock says once that Kafka takes records again; kept is how many wait.
func (s *status) unblock(kept uint64) {
	var since time.Time
	s.change(func() {
		since = s.blocked
		s.blocked, s.err, s.said = time.Time{}, nil, nil
	})
	if !since.IsZero() {
		s.log.Info("kafka takes records again", "event", "kafka_back", "records", kept, "after", time.Since(since).Round(time.Second))
	}
}

func (s *status) isBlocked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.blocked.IsZero()
}

func (s *status) stats(topics [topicCount]string) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		State: s.shown(), Since: s.since,
		Forwarded:         make(map[string]uint64, topicCount),
		ForwardedBySource: s.sources.now(),
		Replayed:          s.replayed.Load(),
		DeadLettered:      s.deadLettered.Load(),
		GivenUp:           s.givenUp.Load(),
		Gaps:              s.gaps.Load(),
		Retries:           s.retries.Load(),
		Rebuilt:           s.rebuilt.Load(),
		Stalled:           s.stalled.Load(),
		Rewound:           s.rewound.Load(),
		InFlight:          int(s.inFlight.Load()),
		Confirmed:         s.confirmed.Load(),
	}
	switch {
	case len(s.prepared) > 0:
		st.OldestUnsent, st.HasUnsent = s.prepared[0], true
	case s.held:
		st.OldestUnsent, st.HasUnsent = s.heldSince, true
	}
	for i, name := range topics {
		st.Forwarded[name] += s.forwarded[i].Load()
	}
	if s.err != nil {
		st.LastError, st.Advice = s.err.Error(), Advice(s.err)
	}
	return st
}

// count adds up what was confirmed.
func (s *status) count(items []item, topics [topicCount]string) {
	s.sources.mu.Lock()
	defer s.sources.mu.Unlock()
	defer s.sources.settle()
	for i := range items {
		it := &items[i]
		if !it.confirmed() {
			continue
		}
		if it.replayed {
			s.replayed.Add(1)
		}
		if it.stage == deadLetter || it.stage == truncated {
			s.deadLettered.Add(1)
		}
		if it.record.Topic == topics[readingsTopic] {
			s.sources.count(it.record.Value)
		}
		for topic, name := range topics {
			if it.record.Topic == name {
				s.forwarded[topic].Add(1)
				break
			}
		}
	}
}
