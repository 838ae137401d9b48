// Package esphome reads the sensors of devices with the ESPHome firmware, which
// publish each one as a plain number on NODE/sensor/OBJECT/state.
//
// The number comes without a unit. It stands in the announcement to Home
// Assistant (homeassistant/sensor/NODE/OBJECT/config, on unless the owner sets
// discovery: false), from which it is learned. Without one a sensor is read only
// if its own name says quantity and unit, as in washer_energy_kwh.
//
// It guarantees what package dialect asks of every dialect, and beyond that:
// nan and None are no values; a text sensor, which publishes below sensor/ as
// well, is never a number; announcements stay visible to other dialects, so one
// that is not ESPHome's is not lost. The device is the topic prefix (NODE, which
// the owner may change), the channel the object's id.
//
// Of a node it knows, status becomes an event, and its log and other components
// (switches, lights, commands) are its own and measure nothing. A sensor without
// a unit is no one's: a mapping may read it.
//
// It does not know how old a value is: states are retained by default, and sent
// again after a reconnect. Nor does it know a sensor that Home Assistant
// republishes (mqtt_statestream has topics of the same form) if the owner gave
// that integration a base topic that ends in neither homeassistant nor
// statestream and the sensor a name with a unit.
//
// Sources: the ESPHome documentation (MQTT client, sensor) and of the firmware
// mqtt_component.cpp and mqtt_sensor.cpp. None in place of nan is
// esphome/esphome PR 7768.
package esphome

import (
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "esphome"

// A Decoder reads ESPHome messages. It remembers what nodes announce.
type Decoder struct {
	announced table
}

// New returns a decoder that has seen no announcement.
func New() *Decoder { return new(Decoder) }

// Name returns "esphome".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not
// ESPHome's, and for announcements, although it learns from them: Home
// Assistant's dialect takes those.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	if strings.HasSuffix(m.Topic, configSuffix) {
		d.announced.learn(m)
		return dialect.Result{}, false
	}
	switch known := d.announced.find(m.Topic); known.role {
	case measured:
		return read(known.sensor, m.Payload), true
	case status:
		return judge(known, m), true
	case silent:
		return dialect.Result{}, true
	}
	return unannounced(m)
}

// unannounced reads a sensor by its name. What is no number may be a text
// sensor, or another firmware's.
func unannounced(m dialect.Message) (dialect.Result, bool) {
	node, object, ok := splitState(m.Topic)
	if !ok || isRepublished(node) {
		return dialect.Result{}, false
	}
	metric, conversion, ok := metricOfName(object)
	if !ok || !validName(node) || !validName(object) {
		return dialect.Result{}, false
	}
	got := read(sensor{node: node, object: object, metric: metric, conversion: conversion}, m.Payload)
	if got.Err != nil {
		return dialect.Result{}, false
	}
	return got, true
}

// splitState reads NODE/sensor/OBJECT/state. A node's prefix may hold slashes.
func splitState(topic string) (node, object string, ok bool) {
	path, ok := strings.CutSuffix(topic, "/state")
	if !ok {
		return "", "", false
	}
	path, object = cutLast(path)
	node, ok = strings.CutSuffix(path, "/sensor")
	return node, object, ok && node != "" && object != ""
}

// isRepublished: Home Assistant's own copies of states have the same form.
func isRepublished(node string) bool {
	_, last := cutLast(node)
	return last == "homeassistant" || last == "statestream"
}

// read takes the number. Only words for "none" are no error besides.
func read(s sensor, payload []byte) dialect.Result {
	text := dialect.Trim(payload)
	if isNothing(text) {
		return dialect.Result{Dropped: min(len(text), 1)}
	}
	number, err := dialect.Number(string(text))
	if err != nil {
		return dialect.Result{Err: err}
	}
	number, finite := dialect.Finite(s.conversion.Apply(number))
	if !finite || limits.Judge(s.metric, number) == dialect.Drop {
		return dialect.Result{Dropped: 1}
	}
	return dialect.Result{Readings: []reading.Reading{{
		Device: s.node, Channel: s.object, Source: source,
		Values: []reading.Value{{Metric: s.metric, Number: number}},
	}}}
}

// isNothing: printf writes what a sensor did not measure as nan; a division by
// zero in a filter gives inf.
func isNothing(text []byte) bool {
	if len(text) > len("unavailable") {
		return false
	}
	switch strings.ToLower(string(text)) {
	case "", "nan", "-nan", "inf", "-inf", "none", "unknown", "unavailable":
		return true
	}
	return false
}

// judge tells a node's death from its birth.
func judge(known finding, m dialect.Message) dialect.Result {
	var kind reading.EventType
	switch string(dialect.Trim(m.Payload)) {
	case known.online:
		kind = reading.DeviceOnline
	case known.offline:
		kind = reading.DeviceOffline
	default:
		return dialect.Result{}
	}
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: known.node,
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: m.Topic}},
	}}}
}

func cutLast(path string) (head, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// validName says whether a text of the device's may name a device or a channel
// of a record.
func validName(name string) bool {
	return name != "" && len(name) <= reading.MaxNameBytes && strings.IndexByte(name, 0) < 0 && utf8.ValidString(name)
}
