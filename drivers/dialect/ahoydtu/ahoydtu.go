// Package ahoydtu reads what AhoyDTU publishes for Hoymiles inverters: one topic
// for each value, or one JSON object for each channel, and the totals.
//
// It guarantees what package dialect asks of every dialect, and beyond that: the
// power of a DC input stands on the input's own channel, and power_dc is only
// the sum of the inputs, on ch0; limits, versions and statistics of the radio
// are never readings; a counter of a lifetime that reads zero is kept and
// marked.
//
// While an inverter is not available AhoyDTU may send zeros in its name (the
// settings that reset values at midnight, at sunrise and without connection):
// what follows available 0 is flagged as cached. Besides this, which lasts until
// the next such message, only base topics are remembered.
//
// It does not know an inverter's serial number: AhoyDTU names inverters by the
// user's words, and two boxes with the same words look like one. The firmware
// prints six significant digits, so the last digits of a long lived counter are
// lost before they get here.
//
// Sources: User_Manual.md, pubMqttIvData.h, pubMqtt.h and hmDefines.h. Bare
// numbers such as #1794 are issues of lumapu/ahoy.
package ahoydtu

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "ahoydtu"

// A Decoder reads AhoyDTU messages. It remembers base topics and which inverters
// are not available.
type Decoder struct {
	known table
}

// New returns a decoder that has seen no message.
func New() *Decoder { return new(Decoder) }

// Name returns "ahoydtu".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not
// AhoyDTU's. Messages that are and measure nothing, such as limits and versions,
// give an empty result; the last will and the availability of an inverter give
// an event.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	at := split(m.Topic)
	if at.role == foreign {
		return dialect.Result{}, false
	}
	known := at.base == defaultBase || d.known.knows(at.base)
	switch {
	case at.role == object:
		return d.object(at, m.Payload, known)
	case !known && !at.sure:
		return dialect.Result{}, false
	case !known:
		d.known.learn(at.base)
	}
	switch at.role {
	case will:
		return lastWill(at, m), true
	case available:
		return d.available(at, m), true
	case value:
		return d.value(at, m.Payload), true
	}
	return dialect.Result{}, true
}

// value reads a topic that holds one number. An empty payload takes a retained
// message off the broker and says nothing.
func (d *Decoder) value(at place, payload []byte) dialect.Result {
	f := fieldOf(at.channel, at.word)
	text := dialect.Trim(payload)
	if f.metric == "" || len(text) == 0 {
		return dialect.Result{}
	}
	number, err := dialect.Number(string(text))
	if err == nil {
		err = validName(at.device)
	}
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("%s: %w", at.word, err)}
	}
	v, verdict := f.judge(number)
	if verdict == dialect.Drop {
		return dialect.Result{Dropped: 1}
	}
	result := one(at.device, f.channelOf(at.channel), v)
	result.Cached = d.known.isAway(at.path)
	return result
}

// one holds a reading with one value in a single allocation.
func one(device, channel string, v reading.Value) dialect.Result {
	var room struct {
		readings [1]reading.Reading
		values   [1]reading.Value
	}
	r := &room
	r.values[0] = v
	r.readings[0] = reading.Reading{Device: device, Channel: channel, Source: source, Values: r.values[:]}
	return dialect.Result{Readings: r.readings[:]}
}

// available takes in whether the box hears an inverter: 0 is no, 1 is yes, 2 is
// yes and producing. It is sent when it changes.
func (d *Decoder) available(at place, m dialect.Message) dialect.Result {
	switch string(dialect.Trim(m.Payload)) {
	case "0":
		d.known.setAway(at.path, true)
		return presence(reading.DeviceOffline, at, m.Topic)
	case "1", "2":
		d.known.setAway(at.path, false)
		return presence(reading.DeviceOnline, at, m.Topic)
	}
	return dialect.Result{}
}

// lastWill tells the box's death from its birth.
func lastWill(at place, m dialect.Message) dialect.Result {
	switch string(dialect.Trim(m.Payload)) {
	case "connected":
		return presence(reading.DeviceOnline, at, m.Topic)
	case "not connected", "not_connected":
		return presence(reading.DeviceOffline, at, m.Topic)
	}
	return dialect.Result{}
}

func presence(kind reading.EventType, at place, topic string) dialect.Result {
	if err := validName(at.device); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}
	}
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: at.device,
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: topic}},
	}}}
}

// validName says whether a text of the topic may name a device of a record.
func validName(name string) error {
	switch {
	case len(name) > reading.MaxNameBytes:
		return fmt.Errorf("name is longer than %d bytes", reading.MaxNameBytes)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name %q holds a NUL byte", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	return nil
}
