package ingest

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// Stats are counters since the start.
type Stats struct {
	Sources []SourceStats // by name
	Devices int           // known by name
	Queued  int           // polls and events that wait to be stored

	Readings        uint64 // stored
	Refused         uint64 // readings turned away since the stream began
	RefusedReported uint64 // of these, told to Kafka

	Unread     uint64 // messages that no dialect reads
	LettersCut uint64 // unreadable messages that were not kept
	EventsLost uint64 // events for which there was no room
	Nameless   uint64 // messages of devices beyond the number that is known by name
	Silent     int    // devices that should have been heard long ago
}

// SourceStats count what came from one source.
type SourceStats struct {
	Name         string // of the dialect or driver; "" for what none reads
	Received     uint64 // messages, or polled readings
	Readings     uint64 // stored
	Acknowledged uint64 // of these, by a PUBACK or PUBREC once they are on the card
	DeadLettered uint64 // messages that could not be read
	Refused      uint64 // readings that were turned away
	Ignored      uint64 // messages that measure nothing
	Dropped      uint64 // values that stand for "none"
}

type counts struct {
	unread, lettersCut, eventsLost, nameless atomic.Uint64
	silent                                   atomic.Int64 // now
}

// A source counts what came from one dialect or driver.
type source struct {
	received, readings, acknowledged, deadLettered, refused, ignored, dropped atomic.Uint64
}

func (s *source) stats(name string) SourceStats {
	return SourceStats{
		Name: name, Received: s.received.Load(), Readings: s.readings.Load(), Acknowledged: s.acknowledged.Load(), DeadLettered: s.deadLettered.Load(),
		Refused: s.refused.Load(), Ignored: s.ignored.Load(), Dropped: s.dropped.Load(),
	}
}

// Sources are the dialects, known from the start, and the drivers of polled
// sensors, which are not.
type sources struct {
	dialects map[string]*source // never changed
	mu       sync.RWMutex
	drivers  map[string]*source
}

// maxSources bounds the drivers counted apart; there are fewer in the program.
const maxSources = 64

func newSources(dialects []Dialect) *sources {
	s := &sources{dialects: map[string]*source{"": {}}, drivers: map[string]*source{}}
	for _, d := range dialects {
		s.dialects[d.Name()] = new(source)
	}
	return s
}

func (s *sources) of(name string) *source {
	if known, ok := s.dialects[name]; ok {
		return known
	}
	s.mu.RLock()
	known, ok := s.drivers[name]
	s.mu.RUnlock()
	if ok {
		return known
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch known, ok = s.drivers[name]; {
	case ok:
		return known
	case len(s.drivers) >= maxSources:
		return s.dialects[""]
	}
	known = new(source)
	s.drivers[strings.Clone(name)] = known
	return known
}

// stats lists the counters by name.
func (s *sources) stats() []SourceStats {
	var all []SourceStats
	for name, c := range s.dialects {
		all = append(all, c.stats(name))
	}
	s.mu.RLock()
	for name, c := range s.drivers {
		all = append(all, c.stats(name))
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b SourceStats) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Stats returns the counters.
func (i *Ingest) Stats() Stats {
	refused := i.refused.totals()
	s := Stats{
		Sources: i.sources.stats(), Devices: int(i.names.count.Load()), Queued: i.queue.len(),
		Refused: refused.total, RefusedReported: refused.reported,
		Unread: i.counts.unread.Load(), LettersCut: i.counts.lettersCut.Load(),
		EventsLost: i.counts.eventsLost.Load(), Nameless: i.counts.nameless.Load(),
		Silent: int(i.counts.silent.Load()),
	}
	for _, source := range s.Sources {
		s.Readings += source.Readings
	}
	return s
}

// A Device is a device known by name.
type Device struct {
	Name     string
	Source   string        // the one that owns the name
	Readings uint64        // since the start
	Last     time.Time     // of the last reading since the start; zero: none yet
	Offline  bool          // its last will said so
	Silent   bool          // it should have been heard long ago
	Every    time.Duration // longest usual interval; 0: not known
}

// Devices returns the devices by name.
func (i *Ingest) Devices() []Device {
	all := i.names.all()
	devices := make([]Device, 0, len(all))
	for _, d := range all {
		shown := Device{
			Name: d.name, Source: d.owner, Readings: d.readings.Load(),
			Silent: d.silent.Load(), Every: time.Duration(d.expected()) * time.Millisecond,
		}
		if last := d.last.Load(); last != 0 {
			shown.Last = time.UnixMilli(last)
		}
		if state := d.state.Load(); state != nil {
			shown.Offline = *state == reading.DeviceOffline
		}
		devices = append(devices, shown)
	}
	return devices
}

// list returns copies, most frequent first.
func (u *unread) list() []Unread {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make([]Unread, 0, len(u.topics))
	for _, t := range u.topics {
		shown := *t
		shown.Sample = bytes.Clone(t.Sample)
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b Unread) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Topic, b.Topic))
	})
	return all
}
