// Package miflora reads what miflora-mqtt-daemon (ThomDietrich) and its forks
// publish of Mi Flora plant sensors: light, temperature, moisture, conductivity
// and battery in one JSON object per sensor. The device is the sensor's name,
// the last word of its topic.
//
// The daemon's base topic is free. Messages are taken for its own below miflora,
// its default; below a base that it announced ($announce, retained); and, where
// neither is known, when an object holds just the daemon's five members, which
// no other program writes together. Of its reporting modes mqtt-json,
// mqtt-smarthome (one topic per value, with the time of it) and
// homeassistant-mqtt are read. An announcement gives an event for each sensor
// that comes or goes: the daemon's last will is an empty one.
//
// It guarantees what package dialect asks of every dialect. It does not know how
// old a reading is, but in mqtt-smarthome. It does not read thingsboard-json,
// where the name of the sensor is in the login alone, and leaves mqtt-homie to
// the dialect of that name; gladys and wirenboard, whose topics are those of
// any device, need a mapping.
//
// Sources: miflora-mqtt-daemon.py and README.md of ThomDietrich/miflora-mqtt-daemon.
package miflora

import (
	"fmt"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "miflora"

// defaultBase is the daemon's base topic when its owner sets none.
const defaultBase = "miflora"

// A Decoder reads the daemon's messages. It remembers what the daemon announced.
type Decoder struct {
	announced table
}

// New returns a decoder that has seen no announcement.
func New() *Decoder { return new(Decoder) }

// Name returns "miflora".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not the
// daemon's. Whether the daemon is connected gives an empty result.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	path, word := cutLast(m.Topic)
	switch {
	case path == "" || word == "":
		return dialect.Result{}, false
	case word == "$announce":
		return d.announced.take(path, m.Topic, m.Payload)
	case d.own(path):
		if word == "connected" {
			return dialect.Result{}, true
		}
		return valid(set(word, m.Payload)), true
	}
	if at, name := cutLast(path); strings.HasSuffix(at, "/status") && d.own(strings.TrimSuffix(at, "/status")) {
		return valid(single(name, word, m.Payload)), true
	}
	return unannounced(path, word, m.Payload)
}

// own reports whether a base topic is the daemon's.
func (d *Decoder) own(base string) bool { return base == defaultBase || d.announced.knows(base) }

// unannounced reads a message below an unknown base if its content is the
// daemon's beyond doubt.
func unannounced(path, word string, payload []byte) (dialect.Result, bool) {
	root, ok := complete(payload)
	if !ok || path == "v1/devices/me" { // thingsboard-json: all sensors share the topic
		return dialect.Result{}, false
	}
	name := word
	if word == "state" { // homeassistant-mqtt: BASE/sensor/NAME/state
		at, sensor := cutLast(path)
		if at != "sensor" && !strings.HasSuffix(at, "/sensor") {
			return dialect.Result{}, false
		}
		name = sensor
	}
	return valid(read(name, root)), true
}

// valid turns readings that no record may hold into an error.
func valid(r dialect.Result) dialect.Result {
	for _, said := range r.Readings {
		if err := said.Validate(); err != nil {
			return dialect.Result{Err: fmt.Errorf("sensor in topic: %w", err)}
		}
	}
	return r
}

func cutLast(topic string) (path, word string) {
	i := strings.LastIndexByte(topic, '/')
	if i < 0 {
		return "", topic
	}
	return topic[:i], topic[i+1:]
}

// metricOf reads a member's name.
func metricOf(key string) reading.Metric {
	switch key {
	case "light":
		return reading.Illuminance
	case "temperature":
		return reading.Temperature
	case "moisture":
		return reading.SoilMoisture
	case "conductivity":
		return reading.Conductivity
	case "battery":
		return reading.Battery
	}
	return ""
}
