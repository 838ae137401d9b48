package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

// A reason is why a reading was turned away.
type reason string

const (
	full     reason = "full"     // no room on the card
	overload reason = "overload" // the card does not keep up
	noStore  reason = "no_store" // the buffer is not usable
)

func reasonOf(err error) reason {
	switch {
	case errors.Is(err, buffer.ErrFull):
		return full
	case errors.Is(err, ErrNoStore), errors.Is(err, buffer.ErrClosed), errors.Is(err, buffer.ErrBroken):
		return noStore
	default:
		return overload
	}
}

// Refusals count readings that were turned away before they got a number. The
// counters belong to a stream of the buffer, which keeps them; what is not yet
// reported leaves as events when there is room again. A power cut between an
// event and the note of it repeats the event, with the same totals: told twice,
// never not at all.
type refusals struct {
	mu       sync.Mutex
	stream   string
	total    uint64 // since the stream began
	reported uint64 // of these, told in events; the rest is in pending
	pending  []span // at most one for each reason
	inFlight flight
	last     int64 // boottime of the last refusal, ms
	thisRun  uint64
	unsaved  bool
}

// A span is what was turned away for one reason and not yet reported.
type span struct {
	Reason  reason   `json:"reason"`
	Count   uint64   `json:"count"`
	Devices []string `json:"devices,omitempty"` // the first ones
	Since   int64    `json:"since"`             // wall clock of the first and the last, ms
	Until   int64    `json:"until"`
}

// A flight is the events on their way to the card.
type flight struct {
	number uint64 // of the last one; 0: none
	spans  []span
}

const (
	// maxNamed and maxNamedBytes bound the names of a span: three spans, each
	// byte escaped to six, must fit into the 16 KiB that the buffer keeps.
	maxNamed      = 20
	maxNamedBytes = 800

	// calm is how long no reading was refused before it is reported, so that
	// an overload of a minute does not become an event for each second of it;
	// patience is how long one may go on unreported. In ms.
	calm     = 2_000
	patience = 60_000
)

func (f *refusals) add(why reason, count int, devices []string, at clock.Instant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.span(why, at.Wall)
	s.Count += uint64(count)
	s.Until = at.Wall
	for _, d := range devices {
		s.name(d)
	}
	f.total += uint64(count)
	f.thisRun += uint64(count)
	f.last = at.Boottime
	f.unsaved = true
}

func (f *refusals) span(why reason, since int64) *span {
	n := slices.IndexFunc(f.pending, func(s span) bool { return s.Reason == why })
	if n < 0 {
		f.pending = append(f.pending, span{Reason: why, Since: since})
		n = len(f.pending) - 1
	}
	return &f.pending[n]
}

func (s *span) name(device string) {
	size := len(device)
	for _, d := range s.Devices {
		size += len(d) + 1
	}
	if len(s.Devices) < maxNamed && size <= maxNamedBytes && !slices.Contains(s.Devices, device) {
		s.Devices = append(s.Devices, strings.Clone(device))
	}
}

// A note is what the buffer keeps. Fields are only ever added.
type note struct {
	Version  int    `json:"v"`
	Stream   string `json:"stream"`
	Total    uint64 `json:"total"`
	Reported uint64 `json:"reported"`
	Pending  []span `json:"pending,omitempty"`
}

// resume takes over the note of a buffer. What was refused while there was no
// buffer is added; a new stream counts from zero, and first what the old one
// left unreported.
func (f *refusals) resume(stream string, text []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n note
	var err error
	if len(text) > 0 {
		if err = json.Unmarshal(text, &n); err == nil && n.Version != 1 {
			err = fmt.Errorf("version %d is not known", n.Version)
		}
	}
	if err != nil {
		n = note{}
	}
	if f.stream != "" { // the same run has had a buffer before: it knows better
		n = note{Stream: f.stream, Total: f.total, Reported: f.reported}
	}
	if n.Stream != stream {
		n.Total, n.Reported = 0, 0
	}
	for _, s := range n.Pending {
		f.merge(s)
	}
	f.stream, f.inFlight, f.unsaved = stream, flight{}, true
	f.reported = n.Reported
	f.total = n.Reported
	for _, s := range f.pending {
		f.total += s.Count
	}
	return err
}

// merge puts back what an earlier run, or another stream, left.
func (f *refusals) merge(s span) {
	into := f.span(s.Reason, s.Since)
	into.Count += s.Count
	into.Since = min(into.Since, s.Since)
	into.Until = max(into.Until, s.Until)
	for _, d := range s.Devices {
		into.name(d)
	}
}

// unsavedNote returns the note if it changed since it was last asked for.
func (f *refusals) unsavedNote() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.unsaved {
		return nil, nil
	}
	f.unsaved = false
	return json.Marshal(note{Version: 1, Stream: f.stream, Total: f.total, Reported: f.reported, Pending: f.pending})
}

// due returns the spans to report now, if there are any and none are on their
// way, with the total before the first.
func (f *refusals) due(boottime, wall int64) (spans []span, from uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pending) == 0 || f.inFlight.number != 0 {
		return nil, 0
	}
	waited := slices.ContainsFunc(f.pending, func(s span) bool { return wall-s.Since >= patience })
	if boottime-f.last < calm && !waited {
		return nil, 0
	}
	for _, s := range f.pending {
		s.Devices = slices.Clone(s.Devices)
		spans = append(spans, s)
	}
	return spans, f.reported
}

// sent notes that events for spans are on their way, the last one with number.
func (f *refusals) sent(number uint64, spans []span) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight = flight{number, spans}
}

// arrived takes off what is told once the events are durable.
func (f *refusals) arrived(durable uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inFlight.number == 0 || durable < f.inFlight.number {
		return
	}
	for _, told := range f.inFlight.spans {
		f.reported += told.Count
		n := slices.IndexFunc(f.pending, func(s span) bool { return s.Reason == told.Reason })
		left := f.pending[n].Count - told.Count
		f.pending[n] = span{Reason: told.Reason, Count: left, Since: told.Until, Until: f.pending[n].Until, Devices: f.pending[n].Devices}
	}
	f.pending = slices.DeleteFunc(f.pending, func(s span) bool { return s.Count == 0 })
	f.inFlight, f.unsaved = flight{}, true
}

type totals struct{ total, reported, thisRun uint64 }

func (f *refusals) totals() totals {
	f.mu.Lock()
	defer f.mu.Unlock()
	return totals{f.total, f.reported, f.thisRun}
}

// event tells of a span; from is the total before it.
func (s span) event(from uint64) reading.Event {
	return reading.Event{Type: reading.Refused, Fields: []reading.Field{
		{Name: "from_total", Value: from}, {Name: "to_total", Value: from + s.Count}, {Name: "count", Value: s.Count},
		{Name: "reason", Value: string(s.Reason)}, {Name: "devices", Value: strings.Join(s.Devices, ",")},
		{Name: "since", Value: time.UnixMilli(s.Since)}, {Name: "until", Value: time.UnixMilli(s.Until)},
	}}
}
