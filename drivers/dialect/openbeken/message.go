package openbeken

import (
	"fmt"
	"math"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

const (
	// maxValues bounds what one message may give.
	maxValues = 256

	// slack is how far rounding and calibration may carry a percentage.
	slack = 1

	// A voltage from leastMillivolts on is a battery's in millivolts, which the
	// battery driver publishes under the same word; no battery has mostBattery.
	leastMillivolts = 1000
	mostBattery     = 15

	absoluteZero = -273.15
)

var (
	inf = math.Inf(1)

	rules = dialect.Rules{
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.Voltage, Low: 600, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.BatteryVoltage, Low: mostBattery, High: inf, Verdict: dialect.Drop},
	}

	// probes: a DS18B20 measures -55 to 125 degC (datasheet, features), holds 85
	// until its first conversion, and is -127 when it is gone.
	probes = dialect.Rules{
		{Metric: reading.Temperature, Low: -inf, High: -55.1, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 84.9999, High: 85.0001, Verdict: dialect.Suspect},
		{Metric: reading.Temperature, Low: 125.1, High: inf, Verdict: dialect.Drop},
	}
)

// A message is one payload on its way to readings.
type message struct {
	device  string
	out     []reading.Reading
	room    []reading.Value // for the values of the first reading
	count   int
	dropped int
	probe   bool // the sensor at hand is a DS18B20
	doubled bool // ENERGY comes as plain values, too
}

// newMessage makes a message with room for a usual one.
func newMessage(device string, doubled bool) *message {
	room := new(struct {
		message
		readings [2]reading.Reading
		values   [12]reading.Value
	})
	m := &room.message
	m.device, m.doubled, m.out, m.room = device, doubled, room.readings[:0], room.values[:0]
	return m
}

// put adds one value; of two for the same thing the first counts.
func (m *message) put(k key, number float64) {
	number, finite := dialect.Finite(number)
	if !finite || validName(m.device) != nil || k.channel != "" && validName(k.channel) != nil {
		m.dropped++
		return
	}
	if k.metric == reading.Voltage && number >= leastMillivolts && number < mostBattery*1000 {
		k.metric, k.unit = reading.BatteryVoltage, "mV"
	}
	if k.unit != "" {
		c, _ := dialect.ToCanonical(k.metric, k.unit) // units are those of the table
		number = c.Apply(number)
	}
	verdict := rules.Judge(k.metric, number)
	if m.probe {
		verdict = max(verdict, probes.Judge(k.metric, number))
	}
	if verdict == dialect.Drop {
		m.dropped++
		return
	}
	m.add(k.channel, reading.Value{Metric: k.metric, Number: number, Suspect: verdict == dialect.Suspect})
}

func (m *message) add(channel string, value reading.Value) {
	r := m.reading(channel)
	for _, v := range r.Values {
		if v.Metric == value.Metric {
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
	r := reading.Reading{Device: m.device, Channel: channel, Source: source}
	if len(m.out) == 0 {
		r.Values = m.room
	}
	m.out = append(m.out, r)
	return &m.out[len(m.out)-1]
}

func (m *message) more() bool { return m.count <= maxValues }

func (m *message) result() dialect.Result {
	if !m.more() {
		return dialect.Result{Err: fmt.Errorf("message holds more than %d values", maxValues)}
	}
	return dialect.Result{Readings: m.out, Dropped: m.dropped}
}
