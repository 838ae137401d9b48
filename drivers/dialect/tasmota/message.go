package tasmota

import (
	"fmt"
	"strings"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// maxValues bounds what one message may give. A device's own buffer holds fewer.
const maxValues = 256

// A message is one payload on its way to readings. Units and time stand where
// the firmware likes, mostly behind the values, so values are collected first
// and judged last.
type message struct {
	at      place
	out     []reading.Reading
	kinds   []kind // of out
	count   int    // values in out
	dropped int

	time         time.Time
	tempUnit     string
	pressureUnit string

	// Room for a plain plug, so that it costs one allocation.
	oneReading [1]reading.Reading
	oneKind    [1]kind
	someValues [12]reading.Value
}

func newMessage(at place) *message {
	m := &message{at: at}
	m.out, m.kinds = m.oneReading[:0], m.oneKind[:0]
	return m
}

// walk reads the object of a topic's role.
func (m *message) walk(root gjson.Result) {
	switch m.at.role {
	case status:
		root.ForEach(m.wrapper)
	case energyOnly:
		root.ForEach(m.quotedEnergy)
	case zigbeeOnly:
		m.zigbee(root)
	case beacon:
		m.sensor("", kindOf(m.at.device), root)
		root.ForEach(m.header)
	default:
		m.body(root)
	}
}

// wrapper finds the sensors in the answer to the Status command.
func (m *message) wrapper(key, value gjson.Result) bool {
	var room [maxKey]byte
	switch string(fold(room[:0], key.Str)) {
	case "statussns":
		if value.IsObject() {
			m.body(value)
		}
	case "statuspwr": // firmware before 5.8
		value.ForEach(m.quotedEnergy)
	}
	return m.more()
}

// body reads the object that holds one member per sensor.
func (m *message) body(object gjson.Result) {
	if isZigbeeDevice(object) { // SetOption100 and 119 together
		m.zigbeeDevice("", object)
		return
	}
	object.ForEach(m.member)
}

func (m *message) member(key, value gjson.Result) bool {
	switch {
	case !value.IsObject():
		if m.header(key, value) {
			m.environment("", plain, key.Str, value) // Sonoff SC before 6.0
		}
		return m.more()
	case key.Str == "ENERGY": // what most messages are about
		value.ForEach(m.energy)
		return m.more()
	}
	var room [maxKey]byte
	switch string(fold(room[:0], key.Str)) {
	case "energy":
		value.ForEach(m.quotedEnergy) // firmware 3 wrote Energy, and quoted
	case "analog":
		value.ForEach(m.analog)
	case "zbreceived":
		m.zigbee(value)
	case "statussns":
		m.wrapper(key, value)
	case "zbinfo":
		// What the bridge remembers of a device, not what the device said.
	case "ds18x20": // firmware 5: {"DS18x20":{"DS1":{"Type":"DS18B20",...}}}
		value.ForEach(func(probe, value gjson.Result) bool {
			m.sensor(key.Str+"."+probe.Str, thermometer, value)
			return m.more()
		})
	default:
		if isZigbeeDevice(value) { // SetOption100
			m.zigbeeDevice(key.Str, value)
			break
		}
		m.sensor(key.Str, kindOf(key.Str), value)
	}
	return m.more()
}

// header reads the members that are about the message as a whole. It reports
// true for any other.
func (m *message) header(key, value gjson.Result) bool {
	var room [maxKey]byte
	switch string(fold(room[:0], key.Str)) {
	case "time", "epoch":
		if t := instant(value); !t.IsZero() {
			m.time = t
		}
	case "tempunit":
		m.tempUnit = value.Str
	case "pressureunit":
		m.pressureUnit = value.Str
	default:
		return true
	}
	return false
}

// more ends a walk over a message that holds too much.
func (m *message) more() bool { return m.count <= maxValues }

// put adds a value of the topic's own device.
func (m *message) put(channel string, k kind, metric reading.Metric, value gjson.Result) {
	m.putFor(m.at.device, channel, k, metric, value)
}

// putFor adds one value. What is no number is not there; of two numbers for the
// same thing the first counts, whatever order JSON libraries prefer.
func (m *message) putFor(device, channel string, k kind, metric reading.Metric, value gjson.Result) {
	if value.Type != gjson.Number {
		return
	}
	number, finite := dialect.Finite(value.Num)
	if !finite || validName(channel) != nil {
		m.dropped++
		return
	}
	r := m.reading(device, channel, k)
	for _, v := range r.Values {
		if v.Metric == metric {
			return
		}
	}
	r.Values = append(r.Values, reading.Value{Metric: metric, Number: number})
	m.count++
}

// reading finds the record of a channel. Messages with several sensors are
// sorted by sensor, so the wanted one is mostly the last.
func (m *message) reading(device, channel string, k kind) *reading.Reading {
	for i := len(m.out) - 1; i >= 0; i-- {
		if r := &m.out[i]; r.Channel == channel && r.Device == device {
			return r
		}
	}
	r := reading.Reading{Device: device, Channel: channel, Source: source}
	if len(m.out) == 0 {
		r.Values = m.someValues[:0]
	}
	m.out = append(m.out, r)
	m.kinds = append(m.kinds, k)
	return &m.out[len(m.out)-1]
}

// result judges what was collected.
func (m *message) result() dialect.Result {
	if !m.more() {
		return dialect.Result{Err: fmt.Errorf("message holds more than %d values", maxValues)}
	}
	kept := m.out[:0]
	for i, r := range m.out {
		r.Values = m.judge(m.kinds[i], r.Values)
		r.Time = m.time
		if len(r.Values) > 0 {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		kept = nil
	}
	return dialect.Result{Readings: kept, Dropped: m.dropped}
}

// maxKey is longer than any key that is read.
const maxKey = 24

// fold writes a key in lower case: a gateway that rewrites Tasmota's messages
// upper-cases all keys, and people write smart-meter names as they like. A key
// too long to be known is empty.
func fold(dst []byte, key string) []byte {
	if len(key) > maxKey {
		return dst
	}
	for i := range len(key) {
		c := key[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// hasPrefixFold is strings.HasPrefix for a lower-case prefix in ASCII.
func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// Instants outside of these years come from clocks that were never set.
const firstYear, lastYear = 2016, 2099

// instant reads a point in time that is beyond doubt: seconds or milliseconds
// since 1970 (the Time command's modes 2 to 4), or text with an offset from UTC
// (SetOption52). The default is local time without a zone, which says nothing.
func instant(value gjson.Result) time.Time {
	var t time.Time
	switch {
	case value.Type == gjson.Number && value.Num > 0 && value.Num < 1e11:
		t = time.UnixMilli(int64(value.Num * 1000))
	case value.Type == gjson.Number && value.Num >= 1e11 && value.Num < 1e14:
		t = time.UnixMilli(int64(value.Num))
	case len(value.Str) > len("2006-01-02T15:04:05"):
		parsed, err := time.Parse(time.RFC3339Nano, value.Str)
		if err != nil {
			return time.Time{} // local time, or not a time: the arrival counts
		}
		t = parsed
	}
	t = t.UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}
