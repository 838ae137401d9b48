package homeassistant

import (
	"cmp"
	"slices"
	"sync"
)

const (
	// maxEntities bounds the tables. When they are full new entities are not
	// read, so that a flood of announcements cannot push out those known.
	maxEntities = 4096

	// maxPerTopic bounds the entities that are looked for in one message.
	maxPerTopic = 128
)

// A table is what announcements said.
type table struct {
	mu      sync.RWMutex
	configs map[string][]*entity // by topic of the announcement
	states  map[string][]*entity // by topic of the state, sorted
	wills   map[string][]*will   // by topic
	names   map[nameKey]*name
	count   int
}

// A nameKey is what a reading is called.
type nameKey struct{ device, channel string }

// A name knows which entities share it.
type name struct{ ids map[string]int }

// replace puts entities in the place of those that the same topic announced
// before. It reports whether there were any.
func (t *table) replace(config string, entities []*entity) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, known := t.configs[config]
	for _, e := range before {
		t.remove(e)
	}
	delete(t.configs, config)
	added := entities[:0]
	for _, e := range entities {
		if t.count < maxEntities && len(t.states[e.topic]) < maxPerTopic {
			t.add(e)
			added = append(added, e)
		}
	}
	if len(added) > 0 {
		t.configs[config] = added
	}
	return known
}

func (t *table) add(e *entity) {
	if t.configs == nil {
		t.configs, t.states = map[string][]*entity{}, map[string][]*entity{}
		t.wills, t.names = map[string][]*will{}, map[nameKey]*name{}
	}
	t.count++
	key := nameKey{e.device, e.channel}
	if t.names[key] == nil {
		t.names[key] = &name{ids: map[string]int{}}
	}
	e.name = t.names[key]
	e.name.ids[e.id]++
	t.states[e.topic] = append(t.states[e.topic], e)
	t.sort(e.topic)
	for i := range e.wills {
		t.addWill(&e.wills[i])
	}
}

func (t *table) remove(e *entity) {
	t.count--
	if e.name.ids[e.id]--; e.name.ids[e.id] == 0 {
		delete(e.name.ids, e.id)
	}
	if len(e.name.ids) == 0 {
		delete(t.names, nameKey{e.device, e.channel})
	}
	t.states[e.topic] = slices.DeleteFunc(t.states[e.topic], func(other *entity) bool { return other == e })
	t.sort(e.topic)
	for i := range e.wills {
		t.removeWill(&e.wills[i])
	}
}

// sort makes the outcome independent of the order of announcements, and marks
// entities that were announced twice: alone, and as part of their device.
func (t *table) sort(topic string) {
	entities := t.states[topic]
	if len(entities) == 0 {
		delete(t.states, topic)
		return
	}
	slices.SortFunc(entities, func(a, b *entity) int {
		return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.id, b.id), cmp.Compare(a.qualified, b.qualified))
	})
	for i, e := range entities {
		e.twin = i > 0 && e.device == entities[i-1].device && e.id == entities[i-1].id
	}
}

func (t *table) addWill(w *will) {
	for _, other := range t.wills[w.topic] {
		if other.same(w) {
			other.entities++
			return
		}
	}
	own := *w
	own.entities = 1
	t.wills[w.topic] = append(t.wills[w.topic], &own)
}

func (t *table) removeWill(w *will) {
	left := slices.DeleteFunc(t.wills[w.topic], func(other *will) bool {
		if !other.same(w) {
			return false
		}
		other.entities--
		return other.entities == 0
	})
	t.wills[w.topic] = left
	if len(left) == 0 {
		delete(t.wills, w.topic)
	}
}

// called is the channel of an entity: the object id, or with its node where two
// entities of the device have the same. Two counters must never be one.
func (e *entity) called() string {
	if len(e.name.ids) > 1 {
		return e.qualified
	}
	return e.channel
}
