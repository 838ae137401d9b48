package lorawan

import (
	"math"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// A message is one uplink on its way to readings. Values are collected first and
// judged last, for what stands beside them says whether they are any.
type message struct {
	device   string
	time     time.Time
	noSensor bool // the node found no probe, says its codec
	out      []reading.Reading
	dropped  int

	// Room for a usual uplink, so that it costs one allocation.
	oneReading [2]reading.Reading
	someValues [6]reading.Value
}

func newMessage(device string) *message {
	m := &message{device: device}
	m.out = m.oneReading[:0]
	return m
}

// number takes a JSON number.
func (m *message) number(value gjson.Result) (float64, bool) {
	if value.Type != gjson.Number {
		return 0, false
	}
	number, finite := dialect.Finite(value.Num)
	if !finite {
		m.dropped++
	}
	return number, finite
}

// put adds one value; of two for the same thing the first counts.
func (m *message) put(what place, number float64) {
	r := m.reading(what.channel)
	for _, v := range r.Values {
		if v.Metric == what.metric {
			return
		}
	}
	r.Values = append(r.Values, reading.Value{Metric: what.metric, Number: number})
}

func (m *message) reading(channel string) *reading.Reading {
	for i := range m.out {
		if m.out[i].Channel == channel {
			return &m.out[i]
		}
	}
	r := reading.Reading{Device: m.device, Channel: channel, Source: source}
	if len(m.out) == 0 {
		r.Values = m.someValues[:0]
	}
	m.out = append(m.out, r)
	return &m.out[len(m.out)-1]
}

// result judges what was collected.
func (m *message) result() dialect.Result {
	hasSoil, absent := m.probe()
	kept := m.out[:0]
	for _, r := range m.out {
		values := r.Values[:0]
		for _, v := range r.Values {
			verdict := rulesOf(r.Channel).Judge(v.Metric, v.Number)
			switch {
			case absent && isSoil(r.Channel, v.Metric),
				// Nodes without a plug for a second probe fill its field with zero.
				hasSoil && r.Channel == external && v.Number == 0,
				verdict == dialect.Drop:
				m.dropped++
				continue
			case verdict == dialect.Suspect:
				v.Suspect = true
			}
			values = append(values, v)
		}
		r.Values = values
		if r.Time.IsZero() {
			r.Time = m.time
		}
		if len(values) > 0 {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		kept = nil
	}
	return dialect.Result{Readings: kept, Dropped: m.dropped}
}

// probe reports whether this is a soil node, and whether its probe is absent: a
// node that found none says so and fills all of the fields with zeros.
func (m *message) probe() (hasSoil, absent bool) {
	absent = m.noSensor
	for _, r := range m.out {
		for _, v := range r.Values {
			hasSoil = hasSoil || v.Metric == reading.SoilMoisture
			absent = absent && (v.Number == 0 || !isSoil(r.Channel, v.Metric))
		}
	}
	return hasSoil, absent && hasSoil
}

// isSoil reports what a soil node measures with its probe; it has no
// thermometer for the air.
func isSoil(channel string, metric reading.Metric) bool {
	return channel == "" && (metric == reading.SoilMoisture || metric == reading.Temperature || metric == reading.Conductivity)
}

// slack is how far rounding and calibration may carry a percentage.
const slack = 1

var (
	inf = math.Inf(1)

	// rules: 0xFFFF and 0x7FFF in the codecs' units are no values.
	rules = dialect.Rules{
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.BatteryVoltage, Low: -inf, High: 0, Verdict: dialect.Drop},
		{Metric: reading.BatteryVoltage, Low: 16.3, High: inf, Verdict: dialect.Drop}, // 14 bits of mV
		{Metric: reading.Temperature, Low: -inf, High: -100, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 200, High: inf, Verdict: dialect.Drop}, // 327.60: no probe
		{Metric: reading.SoilTemperature, Low: -inf, High: -100, Verdict: dialect.Drop},
		{Metric: reading.SoilTemperature, Low: 200, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Conductivity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Conductivity, Low: 65535, High: inf, Verdict: dialect.Drop},
		{Metric: reading.PH, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.PH, Low: 14 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Illuminance, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.CO2, Low: -inf, High: 0, Verdict: dialect.Drop},
		{Metric: reading.CO2, Low: 65535, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Pressure, Low: -inf, High: 300, Verdict: dialect.Drop},
		{Metric: reading.Pressure, Low: 1200, High: inf, Verdict: dialect.Drop},
	}

	// cabled: the DS18B20 measures -55 to 125 degC and holds 85 until its
	// first conversion (datasheet, features and figure 4).
	cabled = dialect.Rules{
		{Metric: reading.Temperature, Low: -inf, High: -55.1, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 84.9999, High: 85.0001, Verdict: dialect.Suspect},
		{Metric: reading.Temperature, Low: 125.1, High: inf, Verdict: dialect.Drop},
	}
)

func rulesOf(channel string) dialect.Rules {
	if channel == external {
		return cabled
	}
	return rules
}
