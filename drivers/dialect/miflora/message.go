package miflora

import (
	"bytes"
	"math"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// members is how many values the daemon gives of a sensor.
const members = 5

// longest bounds the messages that are looked into without an announcement: the
// daemon's are a hundred bytes long, a fork's with name and time three hundred.
const longest = 512

// complete recognises the daemon by content. Most messages fail the first, cheap
// test.
func complete(payload []byte) (root gjson.Result, ok bool) {
	if len(payload) > longest || !bytes.Contains(payload, []byte(`"conductivity"`)) || !bytes.Contains(payload, []byte(`"moisture"`)) {
		return root, false
	}
	root, err := dialect.Object(payload)
	if err != nil {
		return root, false
	}
	found, foreign := 0, false
	root.ForEach(func(key, _ gjson.Result) bool {
		switch key.Str {
		case "timestamp", "name", "name_pretty", "location_pretty", "mac", "firmware", "rssi": // of forks
		default:
			foreign = metricOf(key.Str) == ""
			found++
		}
		return !foreign
	})
	return root, !foreign && found == members
}

// A message is one payload on its way to a reading.
type message struct {
	values  []reading.Value
	dropped int
	room    [members]reading.Value
}

// set reads the object of one sensor.
func set(name string, payload []byte) dialect.Result {
	root, err := dialect.Object(payload)
	if err != nil {
		return dialect.Result{Err: err}
	}
	return read(name, root)
}

func read(name string, root gjson.Result) dialect.Result {
	m := new(message)
	m.values = m.room[:0]
	root.ForEach(func(key, value gjson.Result) bool {
		m.put(metricOf(key.Str), value)
		return true
	})
	return m.result(name, time.Time{})
}

// single reads one value of mqtt-smarthome: {"val":21.4,"ts":1650000000000}.
func single(name, key string, payload []byte) dialect.Result {
	metric := metricOf(key)
	if metric == "" {
		return dialect.Result{}
	}
	root, err := dialect.Object(payload)
	if err != nil {
		return dialect.Result{Err: err}
	}
	m := new(message)
	m.values = m.room[:0]
	m.put(metric, root.Get("val"))
	return m.result(name, instant(root.Get("ts")))
}

// put adds a value; of two for the same thing the first counts. What is no
// number is not there.
func (m *message) put(metric reading.Metric, value gjson.Result) {
	if metric == "" || value.Type != gjson.Number {
		return
	}
	number, finite := dialect.Finite(value.Num)
	if !finite || rules.Judge(metric, number) == dialect.Drop {
		m.dropped++
		return
	}
	for _, v := range m.values {
		if v.Metric == metric {
			return
		}
	}
	m.values = append(m.values, reading.Value{Metric: metric, Number: number})
}

func (m *message) result(name string, at time.Time) dialect.Result {
	r := dialect.Result{Dropped: m.dropped}
	if len(m.values) > 0 {
		r.Readings = []reading.Reading{{Device: name, Source: source, Time: at, Values: m.values}}
	}
	return r
}

// Instants outside of these years come from clocks that were never set.
const firstYear, lastYear = 2016, 2099

// instant reads milliseconds since 1970.
func instant(value gjson.Result) time.Time {
	if value.Type != gjson.Number || value.Num <= 0 || value.Num >= 1e14 {
		return time.Time{}
	}
	t := time.UnixMilli(int64(value.Num)).UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}

// slack is how far rounding and calibration may carry a percentage.
const slack = 1

var (
	inf = math.Inf(1)

	// rules: the sensor measures -15 to 50 degC and up to 100,000 lx. Bits that
	// the radio lost give far more; an early library took a frost of -1 for
	// 6553.
	rules = dialect.Rules{
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -inf, High: -60, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 100, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Illuminance, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Illuminance, Low: 1e6, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Conductivity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Conductivity, Low: 65535, High: inf, Verdict: dialect.Drop},
	}
)
