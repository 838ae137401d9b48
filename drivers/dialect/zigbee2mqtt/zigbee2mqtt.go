// Package zigbee2mqtt reads what the Zigbee2MQTT bridge says of its devices:
// plugs, meters, climate and soil sensors, under BASE/FRIENDLY NAME.
//
// Topics:
//
//   - BASE/NAME holds an object with all attributes (output json). NAME may hold
//     slashes and blanks.
//   - BASE/NAME/PROPERTY holds one plain value (output attribute). Where the
//     bridge publishes both forms (attribute_and_json) the object alone is read.
//   - BASE/NAME/availability, and BASE/bridge/state for the bridge as a whole,
//     give events.
//   - BASE/bridge/devices is the dictionary: names, units and endpoints of all
//     devices. BASE/bridge/info tells the form of output. Other topics below
//     bridge/ are read over; bridge/logging quotes payloads.
//   - .../set and .../get are commands and never measurements.
//
// BASE is zigbee2mqtt, anything that begins with it, or whatever base has sent a
// dictionary; below such a base only the listed names are read.
//
// Besides what package dialect asks of every dialect it guarantees: null, text,
// booleans and nested objects are never numbers; a value that the bridge repeats
// from its cache after a restart, or without having heard the device since, makes
// the result Cached; last_seen, where it is switched on, is the reading's time.
//
// Besides the dictionary it remembers of each device that it sends objects and
// when it was last seen, for a bounded number of devices.
//
// It does not know a fresh value from a cached one where last_seen is off, for
// each message repeats all attributes (advanced.cache_state); nor the sense of
// attributes that carry no unit by custom. A dictionary larger than what the
// broker hands to dialects is not seen; then units follow from the names and,
// for voltages, from the size.
//
// Sources: the Zigbee2MQTT documentation (MQTT topics and messages, Exposes) and
// lib/controller.ts, lib/mqtt.ts, lib/extension/availability.ts of 2.12. Numbers
// such as #1505 are issues of Koenkk/zigbee2mqtt.
package zigbee2mqtt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "zigbee2mqtt"

// A Decoder reads Zigbee2MQTT messages.
type Decoder struct {
	networks networks
}

// New returns a decoder that has seen no dictionary.
func New() *Decoder { return new(Decoder) }

// Name returns "zigbee2mqtt".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not
// Zigbee2MQTT's. Commands, groups of lamps and the bridge's own messages give an
// empty result, availability an event.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	at := d.networks.find(m.Topic)
	switch at.role {
	case foreign:
		return dialect.Result{}, false
	case silent:
		return dialect.Result{}, true
	case bridge:
		return d.bridge(at, m)
	case availability:
		return presence(at.name, m), true
	}
	if err := validName(at.object); err != nil { // at.name is a part of it
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}, true
	}
	text := dialect.Trim(m.Payload)
	if len(text) > 0 && text[0] != '{' && at.property != "" && d.networks.device(at.base, at.object) == nil {
		return d.attribute(at, text), true
	}
	return d.state(at, m.Payload), true
}

// state reads the object with a device's attributes. An empty payload takes a
// retained one back after a device was renamed.
func (d *Decoder) state(at place, payload []byte) dialect.Result {
	root, err := dialect.Object(payload)
	switch {
	case errors.Is(err, dialect.ErrEmpty):
		return dialect.Result{}
	case err != nil:
		return dialect.Result{Err: err}
	}
	m := newMessage(at.object, d.networks.device(at.base, at.object))
	root.ForEach(m.member)
	result := m.result()
	result.Cached = d.networks.repeated(at.base, at.object, m.seen)
	if result.Err != nil || len(result.Readings) == 0 {
		result.Cached = false
	}
	return result
}

// attribute reads one plain value.
func (d *Decoder) attribute(at place, text []byte) dialect.Result {
	if d.networks.sendsObjects(at.base, at.name) {
		return dialect.Result{}
	}
	device := d.networks.device(at.base, at.name)
	p := device.property(at.property)
	if p.metric == "" || saysNothing(text) {
		return dialect.Result{}
	}
	number, err := dialect.Number(string(text))
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("%s: %w", at.property, err)}
	}
	m := newMessage(at.name, device)
	m.put(p, number)
	return m.result()
}

// saysNothing knows the words for "no value", and those of switches, which are
// not 0 and 1.
func saysNothing(text []byte) bool {
	switch strings.ToLower(string(text[:min(len(text), 16)])) {
	case "null", "nan", "none", "undefined", "unknown", "unavailable", "true", "false", "on", "off":
		return true
	}
	return false
}

// presence tells whether a device, or the bridge, is there: {"state":"online"},
// or the bare word until version 2.
func presence(name string, m dialect.Message) dialect.Result {
	word := string(dialect.Trim(m.Payload))
	if strings.HasPrefix(word, "{") {
		root, err := dialect.Object(m.Payload)
		if err != nil {
			return dialect.Result{Err: err}
		}
		word = root.Get("state").String()
	}
	var kind reading.EventType
	switch word {
	case "online":
		kind = reading.DeviceOnline
	case "offline":
		kind = reading.DeviceOffline
	default:
		return dialect.Result{}
	}
	if err := validName(name); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}
	}
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: name,
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: m.Topic}},
	}}}
}

// validName says whether a text may name a device of a record.
func validName(name string) error {
	switch {
	case name == "":
		return errors.New("name is empty")
	case len(name) > reading.MaxNameBytes:
		return fmt.Errorf("name is longer than %d bytes", reading.MaxNameBytes)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name %q holds a NUL byte", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	return nil
}
