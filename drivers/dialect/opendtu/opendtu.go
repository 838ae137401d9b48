// Package opendtu reads what OpenDTU publishes for Hoymiles inverters and the
// brands that resell them: the AC side, each DC input, the sums over all
// inverters, and the temperature of the box.
//
// It guarantees what package dialect asks of every dialect, and beyond that:
// topics are recognised by the serial number of an inverter, so any base topic
// works, an empty one too; limits, commands and statistics of the radio are
// never readings; a counter of a lifetime that reads zero is kept and marked.
//
// While an inverter cannot be reached OpenDTU may send zeros in its name
// (setting "zero runtime data"): what follows status/reachable 0 is flagged as
// cached, and what follows ac/is_valid 0, a sum without all its inverters, is
// marked. status/last_update, which OpenDTU sends ahead of the values, is their
// time. Besides this, which lasts until the next such message, nothing is kept.
//
// It does not know the model of an inverter, its rated power, or whether an
// input is connected. What forks of OpenDTU add (battery, charger, power meter)
// is not read.
//
// Sources: mqtt_topics.md of OpenDTU-docs, MqttHandleInverter.cpp,
// MqttHandleInverterTotal.cpp, MqttHandleDtu.cpp and StatisticsParser.h. Bare
// numbers such as #913 are issues of tbnobody/OpenDTU.
package opendtu

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "opendtu"

// A Decoder reads OpenDTU messages. It remembers base topics and what the
// status messages said last.
type Decoder struct {
	known table
}

// New returns a decoder that has seen no message.
func New() *Decoder { return new(Decoder) }

// Name returns "opendtu".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not
// OpenDTU's. Messages that are and measure nothing, such as limits and names,
// give an empty result; the last will and a change of reachability give an
// event.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	at := split(m.Topic)
	if at.role == foreign || !d.known.accept(at) {
		return dialect.Result{}, false
	}
	switch at.role {
	case will:
		return lastWill(at, m), true
	case status:
		return d.known.status(at, m), true
	case sum, channel, box:
		return d.value(at, m.Payload), true
	default:
		return dialect.Result{}, true
	}
}

// value reads a topic that holds one number. An empty payload takes a retained
// message off the broker and says nothing.
func (d *Decoder) value(at place, payload []byte) dialect.Result {
	f := fieldOf(at.word)
	text := dialect.Trim(payload)
	if f.metric == "" || len(text) == 0 {
		return dialect.Result{}
	}
	number, err := dialect.Number(string(text))
	if err == nil {
		err = validName(at.device())
	}
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("%s: %w", at.word, err)}
	}
	v, verdict := f.judge(number)
	if verdict == dialect.Drop {
		return dialect.Result{Dropped: 1}
	}
	now := d.known.state(at)
	v.Suspect = v.Suspect || now.partial
	result := one(at.device(), f.channel(at), v)
	result.Cached = now.unreachable
	if !now.unreachable {
		result.Readings[0].Time = now.updated
	}
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

// lastWill tells the box's death from its birth.
func lastWill(at place, m dialect.Message) dialect.Result {
	switch string(dialect.Trim(m.Payload)) {
	case "online":
		return presence(reading.DeviceOnline, at, m.Topic)
	case "offline":
		return presence(reading.DeviceOffline, at, m.Topic)
	}
	return dialect.Result{}
}

func presence(kind reading.EventType, at place, topic string) dialect.Result {
	if err := validName(at.device()); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}
	}
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: at.device(),
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: topic}},
	}}}
}

// Instants outside of these years come from clocks that were never set: without
// time from the network OpenDTU counts from 1970.
const firstYear, lastYear = 2016, 2099

// instant reads seconds since 1970, or nothing.
func instant(seconds float64) time.Time {
	if seconds < 0 || seconds > 1e11 {
		return time.Time{}
	}
	t := time.Unix(int64(seconds), 0).UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}

// validName says whether a base topic may name a device of a record.
func validName(name string) error {
	switch {
	case len(name) > reading.MaxNameBytes:
		return fmt.Errorf("name is longer than %d bytes", reading.MaxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	for i := range len(name) {
		if name[i] == 0 {
			return fmt.Errorf("name %q holds a NUL byte", name)
		}
	}
	return nil
}
