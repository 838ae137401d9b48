package miflora

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

const (
	// maxBases and maxSensors bound the table: a home has one daemon or two,
	// and a daemon's radio hears some dozens of sensors. Announcements beyond
	// them are left out, and sensors are then recognised by what they say.
	maxBases   = 32
	maxSensors = 128
	maxTopic   = 256
)

// A table is what daemons announced.
type table struct {
	mu    sync.RWMutex
	bases map[string][]string // sensors by base topic, in the order announced
}

func (t *table) knows(base string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.bases[base]
	return ok
}

// take reads an announcement: one member per sensor. Other programs announce
// themselves in the same words, so it is the daemon's only by its content, or
// below a base that is known to be one.
func (t *table) take(base, topic string, payload []byte) (dialect.Result, bool) {
	known := base == defaultBase || t.knows(base)
	var sensors []string
	if len(dialect.Trim(payload)) > 0 { // empty: the broker forgets the announcement
		root, err := dialect.Object(payload)
		switch {
		case err != nil && !known:
			return dialect.Result{}, false
		case err != nil:
			return dialect.Result{Err: fmt.Errorf("announcement: %w", err)}, true
		}
		sensors = sensorsOf(root, base)
	}
	if !known && len(sensors) == 0 {
		return dialect.Result{}, false
	}
	return dialect.Result{Events: t.change(base, topic, sensors)}, true
}

// sensorsOf lists the sensors whose topic is just below base.
func sensorsOf(root gjson.Result, base string) []string {
	var names []string
	root.ForEach(func(name, about gjson.Result) bool {
		at, word := cutLast(about.Get("topic").Str)
		event := reading.Event{Type: reading.DeviceOnline, Device: word}
		if at == base && word == name.Str && word != "" && event.Validate() == nil && !slices.Contains(names, word) {
			names = append(names, strings.Clone(word))
		}
		return len(names) < maxSensors
	})
	return names
}

// change puts a base's sensors in the place of those known, and says which came
// and which went. A daemon that is gone stays known: what it publishes when it
// is back may overtake its announcement.
func (t *table) change(base, topic string, sensors []string) []reading.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, known := t.bases[base]
	if !known && (len(t.bases) >= maxBases || len(base) > maxTopic) {
		return nil
	}
	if t.bases == nil {
		t.bases = make(map[string][]string)
	}
	t.bases[strings.Clone(base)] = sensors
	var events []reading.Event
	for _, name := range before {
		if !slices.Contains(sensors, name) {
			events = append(events, event(reading.DeviceOffline, name, topic))
		}
	}
	for _, name := range sensors {
		if !slices.Contains(before, name) {
			events = append(events, event(reading.DeviceOnline, name, topic))
		}
	}
	return events
}

func event(kind reading.EventType, name, topic string) reading.Event {
	return reading.Event{Type: kind, Device: name, Fields: []reading.Field{
		{Name: "source", Value: source}, {Name: "topic", Value: topic},
	}}
}
