package zigbee2mqtt

import (
	"fmt"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// maxValues bounds what one message may give.
const maxValues = 256

// A message is one payload on its way to readings. What an attribute means may
// depend on another one behind it, so values are collected first and judged last.
type message struct {
	name    string
	device  *device // nil if no dictionary lists it
	out     []reading.Reading
	count   int
	dropped int

	seen       stamp
	soil       bool // by the device's model
	fahrenheit bool

	// Room for a plain device, so that it costs one allocation.
	oneReading [1]reading.Reading
	someValues [10]reading.Value
}

func newMessage(name string, d *device) *message {
	m := &message{name: name, device: d}
	m.out = m.oneReading[:0]
	m.soil = d != nil && d.soil
	return m
}

// member reads one attribute. Objects within are settings, the state of an
// update, and what the bridge knows of the device.
func (m *message) member(key, value gjson.Result) bool {
	switch value.Type {
	case gjson.Number:
		if key.Str == "last_seen" {
			m.seen = instant(value)
			break
		}
		if p := m.device.property(key.Str); p.metric != "" {
			m.put(p, value.Num)
		}
	case gjson.String:
		switch key.Str {
		case "last_seen":
			m.seen = instant(value)
		case "temperature_unit":
			m.fahrenheit = value.Str == "fahrenheit"
		}
	case gjson.JSON:
		if key.Str == "device" {
			m.soil = m.soil || isSoil(value.Get("model").Str)
		}
	}
	return m.count <= maxValues
}

// put adds a value in its unit. Of two names for one metric the main one counts.
func (m *message) put(p property, number float64) {
	number, finite := dialect.Finite(number)
	if !finite {
		m.dropped++
		return
	}
	if m.convert(&p, &number); p.metric == "" {
		m.dropped++
		return
	}
	r := m.reading(p.channel)
	value := reading.Value{Metric: p.metric, Number: number}
	for i := range r.Values {
		if r.Values[i].Metric == p.metric {
			if !p.other {
				r.Values[i] = value
			}
			return
		}
	}
	r.Values = append(r.Values, value)
	m.count++
}

func (m *message) reading(channel string) *reading.Reading {
	for i := range m.out {
		if m.out[i].Channel == channel {
			return &m.out[i]
		}
	}
	r := reading.Reading{Device: m.name, Channel: channel, Source: source}
	if len(m.out) == 0 {
		r.Values = m.someValues[:0]
	}
	m.out = append(m.out, r)
	return &m.out[len(m.out)-1]
}

// result judges what was collected.
func (m *message) result() dialect.Result {
	if m.count > maxValues {
		return dialect.Result{Err: fmt.Errorf("message holds more than %d values", maxValues)}
	}
	kept := m.out[:0]
	for _, r := range m.out {
		r.Values = m.judge(r.Values)
		r.Time = m.seen.time
		if len(r.Values) > 0 {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		kept = nil
	}
	return dialect.Result{Readings: kept, Dropped: m.dropped}
}

// Instants outside of these years come from clocks that were never set.
const firstYear, lastYear = 2016, 2099

// instant reads last_seen: ISO 8601 with Z and milliseconds, with an offset and
// whole seconds, or milliseconds since 1970.
func instant(value gjson.Result) stamp {
	var s stamp
	switch {
	case value.Type == gjson.Number && value.Num > 0 && value.Num < 1e14:
		s = stamp{time.UnixMilli(int64(value.Num)).UTC(), true}
	case value.Type == gjson.String:
		t, err := time.Parse(time.RFC3339Nano, value.Str)
		if err != nil {
			return stamp{} // not a time: the arrival counts
		}
		s = stamp{t.UTC(), len(value.Str) > len("2006-01-02T15:04:05.") && value.Str[len("2006-01-02T15:04:05")] == '.'}
	}
	if s.time.Year() < firstYear || s.time.Year() > lastYear {
		return stamp{}
	}
	return s
}
