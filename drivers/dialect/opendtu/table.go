package opendtu

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

const (
	// maxBases and maxStates bound the tables. When one is full, newcomers are
	// read without: a flood of topics cannot push out what is known.
	maxBases  = 64
	maxStates = 1024

	// maxPath bounds what is kept of a topic, in bytes.
	maxPath = 256
)

// A table is what earlier messages said.
type table struct {
	mu     sync.RWMutex
	bases  map[string]bool
	states map[string]state // by path
}

// A state is what status messages say about the values that follow.
type state struct {
	updated     time.Time
	seen        bool // reachable was said
	unreachable bool // the values are not measured
	partial     bool // the sum lacks inverters
}

// accept says whether a topic is OpenDTU's, and learns base topics from those
// that cannot be anything else. home/ac/power alone may be an air conditioner.
func (t *table) accept(at place) bool {
	if at.serial != "" && !at.sure {
		return true
	}
	t.mu.RLock()
	known := t.bases[at.base]
	t.mu.RUnlock()
	if known || !at.sure {
		return known || looksLikeBase(at.base)
	}
	if len(at.base) > maxPath {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bases == nil {
		t.bases = map[string]bool{}
	}
	if len(t.bases) < maxBases {
		t.bases[strings.Clone(at.base)] = true
	}
	return true
}

// looksLikeBase takes the default base topic, solar, and those that people make
// of it.
func looksLikeBase(base string) bool {
	_, word := cutLast(base)
	return strings.Contains(word, "solar") || strings.Contains(word, "dtu") || strings.Contains(word, "DTU")
}

// state is what was said about the values of an inverter, or of a sum.
func (t *table) state(at place) state {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.states[at.path]
}

// status takes in what a status message says.
func (t *table) status(at place, m dialect.Message) dialect.Result {
	text := dialect.Trim(m.Payload)
	if len(text) == 0 {
		return dialect.Result{}
	}
	number, err := dialect.Number(string(text))
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("%s: %w", at.word, err)}
	}
	before, now := t.update(at.path, func(s *state) {
		switch at.word {
		case "last_update":
			s.updated = instant(number)
		case "reachable":
			s.seen, s.unreachable = true, number == 0
		case "is_valid":
			s.partial = number == 0
		}
	})
	switch { // said with every interval, so only a change is news
	case !before.seen || before.unreachable == now.unreachable:
		return dialect.Result{}
	case now.unreachable:
		return presence(reading.DeviceOffline, at, m.Topic)
	default:
		return presence(reading.DeviceOnline, at, m.Topic)
	}
}

// update changes the state of a path, if there is room for it.
func (t *table) update(path string, change func(*state)) (before, after state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, known := t.states[path]
	after = before
	change(&after)
	if !known && len(t.states) >= maxStates || len(path) > maxPath {
		return before, before
	}
	if t.states == nil {
		t.states = map[string]state{}
	}
	if !known {
		path = strings.Clone(path)
	}
	t.states[path] = after
	return before, after
}
