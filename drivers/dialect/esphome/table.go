package esphome

import (
	"strings"
	"sync"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// maxEntities bounds the table. When it is full new entities are not learned, so
// that a flood of announcements cannot push out those known.
const maxEntities = 4096

// A table is what nodes announced.
type table struct {
	mu       sync.RWMutex
	configs  map[string]*entity // by topic of the announcement
	sensors  map[string]*entity // by topic of the state
	nodes    map[string]*node   // by topic prefix
	statuses map[string]*node   // by topic
}

// A sensor says where a number belongs and what it means.
type sensor struct {
	node, object string
	metric       reading.Metric // "" for what is not read
	conversion   dialect.Conversion
}

// An entity is what one announcement says.
type entity struct {
	sensor
	topic           string // of the state
	status          string // topic
	online, offline string
}

// A node is a device, with what its last announcement said of its last will.
type node struct {
	name, status    string
	online, offline string
	entities        int
}

// A role is what a topic of a known node is for.
type role uint8

const (
	foreign role = iota
	measured
	status
	silent
)

// A finding is what the table knows of a topic.
type finding struct {
	role            role
	sensor          sensor
	node            string
	online, offline string
}

// find looks a topic up. A node's other topics are found by their head and by
// what follows, which must be a component of ESPHome's: another device may have
// its topics below the same head.
func (t *table) find(topic string) finding {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.nodes) == 0 {
		return finding{}
	}
	if e, ok := t.sensors[topic]; ok {
		return finding{role: measured, sensor: e.sensor}
	}
	if n, ok := t.statuses[topic]; ok {
		return finding{role: status, node: n.name, online: n.online, offline: n.offline}
	}
	// No node has a longer name; a hostile topic is 64 KiB of slashes.
	for i := range min(len(topic), reading.MaxNameBytes+1) {
		if topic[i] != '/' || !isOwn(topic[i+1:]) {
			continue
		}
		if _, ok := t.nodes[topic[:i]]; ok {
			return finding{role: silent}
		}
	}
	return finding{}
}

// isOwn says whether a node's topic is one of its components' or its log. The
// state of a sensor that was not announced with a unit is left to mappings.
func isOwn(rest string) bool {
	component, _, nested := strings.Cut(rest, "/")
	switch component {
	case "debug", "status":
		return !nested
	case "sensor":
		return nested && !strings.HasSuffix(rest, "/state")
	case "alarm_control_panel", "binary_sensor", "button", "climate", "cover", "date", "datetime", "event", "fan",
		"light", "lock", "number", "select", "switch", "text", "text_sensor", "time", "update", "valve":
		return nested
	}
	return false
}

// learn takes an announcement, or takes one back.
func (t *table) learn(m dialect.Message) {
	if len(dialect.Trim(m.Payload)) == 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.remove(m.Topic)
		return
	}
	e, ok := parse(m)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(m.Topic)
	if len(t.configs) < maxEntities {
		t.add(strings.Clone(m.Topic), e)
	}
}

func (t *table) add(config string, e *entity) {
	if t.configs == nil {
		t.configs, t.sensors = map[string]*entity{}, map[string]*entity{}
		t.nodes, t.statuses = map[string]*node{}, map[string]*node{}
	}
	t.configs[config] = e
	if e.metric != "" {
		t.sensors[e.topic] = e
	}
	n := t.nodes[e.node]
	if n == nil {
		n = &node{name: e.node}
		t.nodes[e.node] = n
	}
	n.entities++
	t.forget(n)
	n.status, n.online, n.offline = e.status, e.online, e.offline
	t.statuses[n.status] = n
}

func (t *table) forget(n *node) {
	if t.statuses[n.status] == n {
		delete(t.statuses, n.status)
	}
}

func (t *table) remove(config string) {
	e, ok := t.configs[config]
	if !ok {
		return
	}
	delete(t.configs, config)
	if t.sensors[e.topic] == e { // not one that was announced elsewhere since
		delete(t.sensors, e.topic)
	}
	n := t.nodes[e.node]
	if n.entities--; n.entities == 0 {
		t.forget(n)
		delete(t.nodes, e.node)
	}
}
