package forward

import (
	"bytes"
	"sync"
)

// Sources come with the messages, so their number is bounded.
const (
	maxSources   = 64
	otherSources = "other"
)

// A sourceTally counts confirmed readings by where they came from.
type sourceTally struct {
	mu     sync.Mutex
	counts map[string]*uint64
	run    []byte // source of the last readings seen
	length uint64 // how many of them are not in counts yet
}

// count looks at the value of one reading. The caller holds mu and calls settle
// at the end.
func (t *sourceTally) count(value []byte) {
	// A quote inside a text of JSON is escaped, so this is the field.
	source := textAfter(value, `"source":"`)
	if !bytes.Equal(source, t.run) {
		t.settle()
		t.run = append(t.run[:0], source...)
	}
	t.length++
}

// settle books the readings that came one after the other from one source.
func (t *sourceTally) settle() {
	if t.length == 0 {
		return
	}
	n, known := t.counts[string(t.run)]
	if !known {
		n = t.add(string(t.run))
	}
	*n += t.length
	t.length = 0
}

func (t *sourceTally) add(source string) *uint64 {
	if len(t.counts) >= maxSources {
		source = otherSources
	}
	if t.counts == nil {
		t.counts = map[string]*uint64{}
	}
	if t.counts[source] == nil {
		t.counts[source] = new(uint64)
	}
	return t.counts[source]
}

func (t *sourceTally) now() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := make(map[string]uint64, len(t.counts))
	for source, n := range t.counts {
		counts[source] = *n
	}
	return counts
}
