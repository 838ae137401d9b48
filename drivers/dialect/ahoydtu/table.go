package ahoydtu

import (
	"strings"
	"sync"
)

const (
	// maxBases and maxAway bound the tables. When one is full, newcomers are
	// read without: a flood of topics cannot push out what is known.
	maxBases = 64
	maxAway  = 1024

	// maxPath bounds what is kept of a topic, in bytes.
	maxPath = 256
)

// A table is what earlier messages said.
type table struct {
	mu    sync.RWMutex
	bases map[string]bool
	away  map[string]bool // inverters that are not available, by path
}

// knows says whether a base topic has had a message that is AhoyDTU's beyond
// doubt.
func (t *table) knows(base string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.bases[base]
}

func (t *table) learn(base string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bases == nil {
		t.bases = map[string]bool{}
	}
	if len(t.bases) < maxBases && len(base) <= maxPath {
		t.bases[strings.Clone(base)] = true
	}
}

func (t *table) isAway(path string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.away[path]
}

func (t *table) setAway(path string, away bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !away:
		delete(t.away, path)
	case len(t.away) < maxAway && len(path) <= maxPath:
		if t.away == nil {
			t.away = map[string]bool{}
		}
		t.away[strings.Clone(path)] = true
	}
}
