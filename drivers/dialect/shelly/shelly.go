// Package shelly reads what Shelly devices publish. Three firmwares share the
// name and little else, so there are three decoders: Gen1 for the plain numbers
// of the first generation, Gen2 for the JSON of the second to the fourth, and
// BTHome for the script that passes on what Shelly's Bluetooth sensors send.
// Gen2 should be asked before Gen1: a Gen2 device may live under shellies/, and
// Gen2 then knows it by its own topics.
//
// Topics and units, as the firmware fixes them:
//
//   - shellies/ID/{relay,light,color,white,roller}/N/{power,energy}: W, watt
//     minutes since the start; shellies/ID/emeter/N/...: W, var, V, A, a ratio,
//     and total, total_returned in Wh; shellies/ID/sensor/..., ext_temperature/N,
//     ext_humidity/N, adc/N (V), temperature (inside), voltage, online;
//   - PREFIX/status/COMPONENT:N and PREFIX/events/rpc: W, VA, V, A, Hz, Wh, degC,
//     %, lx. A channel is called as its component, em:0.a where that has phases;
//     counters keep the name of theirs, emdata:0.a;
//   - shelly-blu/events/ADDRESS and PREFIX/events/ble: the units of BTHome.
//
// They guarantee what package dialect asks of every dialect, and beyond that: a
// watt minute is never taken for a watt hour; a field that a notification leaves
// out is not filled from an older one; what a device publishes twice, under
// status/ and under events/rpc, and what several Bluetooth gateways hear of one
// packet, is read once.
//
// They do not know:
//
//   - that the energy of a Gen2 relay or plug adds both directions: what flows
//     back is counted in energy_kwh and again in energy_returned_kwh (Switch and
//     PM1, ret_aenergy). Import is the difference;
//   - what is wired to the inputs of a Uni or an add-on: their volts may be a
//     soil probe, which a mapping says. Scaled values (xvoltage, xpercent) and
//     counts have the owner's unit and are not read, nor are bthomesensor,
//     number and other virtual components, whose meaning is in a configuration;
//   - whether a Gen1 sensor measures in Fahrenheit, as its settings may say.
//
// Sources: Shelly's API documentation (Gen1 MQTT; Gen2 components, Notifications,
// MQTT), ALLTERCO/shelly-script-examples, and the captures of
// iobroker-community-adapters/ioBroker.shelly #787, #813, #912 and #1592,
// enesbcs/Shelly_MQTT #45, #64 and #79, home-assistant/core#49415.
package shelly

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// maxValues bounds what one message may give. A four-channel meter's full status
// holds about sixty.
const maxValues = 256

// valuesPerChannel is what most channels say at most.
const valuesPerChannel = 9

// A message is one JSON payload on its way to readings.
type message struct {
	source, device string
	time           time.Time
	out            []reading.Reading
	count          int // values in out
	dropped        int

	room []reading.Value // for the values of channels to come

	// Enough for a plain plug, so that it costs one allocation.
	oneReading [1]reading.Reading
	oneRoom    [valuesPerChannel]reading.Value
}

func newMessage(source, device string) *message {
	m := &message{source: source, device: device}
	m.out, m.room = m.oneReading[:0], m.oneRoom[:]
	return m
}

// more ends a walk over a message that holds too much.
func (m *message) more() bool { return m.count <= maxValues }

// put adds one value in the unit in which the device gives it. What is no number
// is not there: Shelly writes null for what it cannot measure. Of two numbers for
// the same thing the first counts.
func (m *message) put(channel string, rules dialect.Rules, metric reading.Metric, factor float64, value gjson.Result) {
	if value.Type != gjson.Number {
		return
	}
	number, finite := dialect.Finite(dialect.Conversion{Factor: factor}.Apply(value.Num))
	verdict := rules.Judge(metric, number)
	if !finite || verdict == dialect.Drop {
		m.dropped++
		return
	}
	r := m.reading(channel)
	if has(r.Values, metric) {
		return
	}
	r.Values = append(r.Values, reading.Value{Metric: metric, Number: number, Suspect: verdict == dialect.Suspect})
	m.count++
}

// reading finds the record of a channel. Values come sorted by channel, so the
// wanted one is mostly the last.
func (m *message) reading(channel string) *reading.Reading {
	for i := len(m.out) - 1; i >= 0; i-- {
		if r := &m.out[i]; r.Channel == channel {
			return r
		}
	}
	if len(m.room) < valuesPerChannel {
		m.room = make([]reading.Value, 4*valuesPerChannel)
	}
	m.out = append(m.out, reading.Reading{
		Device: m.device, Channel: channel, Source: m.source,
		Values: m.room[:0:valuesPerChannel],
	})
	m.room = m.room[valuesPerChannel:]
	return &m.out[len(m.out)-1]
}

// doubt marks the values that an error is about, of a channel and of its phases.
func (m *message) doubt(channel string, about func(reading.Metric) bool) {
	for i := range m.out {
		rest, ok := strings.CutPrefix(m.out[i].Channel, channel)
		if !ok || rest != "" && rest[0] != '.' {
			continue
		}
		for j := range m.out[i].Values {
			v := &m.out[i].Values[j]
			v.Suspect = v.Suspect || about(v.Metric)
		}
	}
}

func (m *message) result() dialect.Result {
	if !m.more() {
		return dialect.Result{Err: fmt.Errorf("message holds more than %d values", maxValues)}
	}
	for i := range m.out {
		m.out[i].Time = m.time
	}
	if len(m.out) == 0 {
		return dialect.Result{Dropped: m.dropped}
	}
	return dialect.Result{Readings: m.out, Dropped: m.dropped}
}

func has(values []reading.Value, metric reading.Metric) bool {
	for i := range values {
		if values[i].Metric == metric {
			return true
		}
	}
	return false
}

// online tells a device's death from its birth. Battery devices leave with
// "false" after each of their reports. An empty payload clears a retained will
// and says neither.
func online(source, device string, m dialect.Message) dialect.Result {
	var kind reading.EventType
	switch string(dialect.Trim(m.Payload)) {
	case "true":
		kind = reading.DeviceOnline
	case "false":
		kind = reading.DeviceOffline
	default:
		return dialect.Result{}
	}
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: device,
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: m.Topic}},
	}}}
}

// checkDevice says whether a part of a topic may name a device of a record.
func checkDevice(name string) error {
	switch {
	case len(name) > reading.MaxNameBytes:
		return fmt.Errorf("device in topic: name is longer than %d bytes", reading.MaxNameBytes)
	case strings.IndexByte(name, 0) >= 0 || !utf8.ValidString(name):
		return fmt.Errorf("device in topic: name %q is not plain UTF-8", name)
	}
	return nil
}

// Instants outside of these years come from clocks that were never set: until
// the time server answers, a Shelly counts from its start.
const firstYear, lastYear = 2016, 2099

// instant reads seconds since 1970, UTC.
func instant(value gjson.Result) time.Time {
	if value.Type != gjson.Number || value.Num <= 0 || value.Num >= 1e11 {
		return time.Time{}
	}
	t := time.UnixMilli(int64(math.Round(value.Num * 1000))).UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}

func cutLast(topic string) (path, word string) {
	i := strings.LastIndexByte(topic, '/')
	if i < 0 {
		return "", topic
	}
	return topic[:i], topic[i+1:]
}

// isIndex recognises the number of a channel.
func isIndex(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return 0 < len(text) && len(text) <= 4
}
