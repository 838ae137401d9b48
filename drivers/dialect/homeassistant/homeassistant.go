// Package homeassistant reads whatever announces itself to Home Assistant over
// MQTT. The announcement (homeassistant/sensor/NODE/OBJECT/config, or
// homeassistant/device/ID/config for a device with all its parts) is taken as a
// dictionary: it says on which topic a value comes, how to find it in the
// payload, and in which unit it is.
//
// It guarantees what package dialect asks of every dialect, and beyond that: a
// value is read only where device class and unit together name one metric, or
// where the unit alone leaves no choice (%: the object's id or name); only the
// component "sensor" is read, for moisture of a binary_sensor is a leak; an empty
// announcement takes back what was announced, and the tables are bounded.
//
// The device is the first of its identifiers, the channel the object id (the key
// in the list of a device's components). Without identifiers it is the address
// of its first connection, else the node, else the object.
//
// Of templates it knows value and value_json with keys and indices, the filters
// float, int, round, default and is_defined, arithmetic with literals, and "is
// defined" as a condition. What is not there is not read, even where the
// template has a default for it: Home Assistant wants a state, a record must not
// hold a value that nobody measured. An entity with any other template is not
// read, and its topic is no one's.
//
// It does not know how old a value is, and it must be asked after the native
// dialects: zigbee2mqtt, Tasmota and others announce the same values here.
//
// The prefix "homeassistant" can be changed on both sides, so an announcement
// below any other is recognised by its shape.
//
// Sources: the documentation of Home Assistant's MQTT integration (discovery,
// sensor, availability), and of its code discovery.py, abbreviations.py and
// helpers/template (the filters).
package homeassistant

import (
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "homeassistant"

// birthTopic is where Home Assistant itself says that it came or went.
const birthTopic = defaultPrefix + "status"

// A Decoder reads messages by the announcements that came before them.
type Decoder struct {
	announced table
}

// New returns a decoder that has seen no announcement.
func New() *Decoder { return new(Decoder) }

// Name returns "homeassistant".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a topic that no entity
// announced. Announcements give an empty result, a device's availability gives
// an event.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	if place, ok := placeOf(m.Topic); ok {
		return d.learn(place, m)
	}
	if m.Topic == birthTopic {
		return dialect.Result{}, true
	}
	t := &d.announced
	t.mu.RLock()
	defer t.mu.RUnlock()
	if entities := t.states[m.Topic]; len(entities) > 0 {
		return read(entities, m.Payload), true
	}
	if wills := t.wills[m.Topic]; len(wills) > 0 {
		return judge(wills, m), true
	}
	return dialect.Result{}, false
}

// learn takes an announcement. One that nobody can read is an error below Home
// Assistant's own prefix only: elsewhere it may be anything.
func (d *Decoder) learn(at place, m dialect.Message) (dialect.Result, bool) {
	if len(dialect.Trim(m.Payload)) == 0 {
		known := d.announced.replace(m.Topic, nil)
		return dialect.Result{}, known || at.standard
	}
	if !at.isRead() {
		return dialect.Result{}, at.standard
	}
	entities, err := parse(at, m.Payload)
	if !at.standard && (err != nil || len(entities) == 0) {
		known := err == nil && d.announced.replace(m.Topic, nil)
		return dialect.Result{}, known
	}
	if err != nil {
		return dialect.Result{Err: err}, true
	}
	d.announced.replace(strings.Clone(m.Topic), entities)
	return dialect.Result{}, true
}

// judge tells a device's death from its birth. A topic that several devices
// share, such as the state of a bridge, says nothing of one of them.
func judge(wills []*will, m dialect.Message) dialect.Result {
	for _, w := range wills {
		if w.device != wills[0].device {
			return dialect.Result{}
		}
	}
	for _, w := range wills {
		if kind, ok := w.judge(m.Payload); ok {
			return dialect.Result{Events: []reading.Event{{
				Type:   kind,
				Device: w.device,
				Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: m.Topic}},
			}}}
		}
	}
	return dialect.Result{}
}
