package theengs

import (
	"math"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// A message is one advertisement on its way to readings.
type message struct {
	device  string
	out     []reading.Reading
	dropped int
	root    gjson.Result

	// Room for a usual advertisement, so that it costs one allocation.
	oneReading [1]reading.Reading
	someValues [8]reading.Value
}

func newMessage(device string) *message {
	m := &message{device: device}
	m.out = m.oneReading[:0]
	return m
}

// advertisement reads the object of one advertisement. A gateway that is told
// to publish everything under one topic leaves the MAC to the object.
func advertisement(mac string, payload []byte) dialect.Result {
	root, err := dialect.Object(payload)
	if err != nil {
		return dialect.Result{Err: err}
	}
	if mac == "" {
		mac = root.Get("id").Str
	}
	m := newMessage(plainMAC(mac))
	m.root = root
	root.ForEach(m.member)
	return m.result()
}

// singleValue reads the oldest layout. Its nan is retained and says that the
// sensor has not been heard.
func singleValue(mac, key string, payload []byte) dialect.Result {
	text := string(dialect.Trim(payload))
	what := meaning(key)
	if what.metric == "" || text == "" || strings.EqualFold(text, "nan") {
		return dialect.Result{}
	}
	number, err := dialect.Number(text)
	if err != nil {
		return dialect.Result{Err: err}
	}
	m := newMessage(plainMAC(mac))
	m.put(what, number)
	return m.result()
}

func (m *message) member(key, value gjson.Result) bool {
	if key.Str == "type" && value.Str == "RMAC" {
		m.out = m.out[:0]
		return false
	}
	what := meaning(key.Str)
	if what.metric == "" {
		return true
	}
	number, ok := m.number(value)
	if !ok {
		return true
	}
	switch {
	case key.Str == "avg" || key.Str == "sum": // the unit stands beside it
		number, ok = convert(what.metric, m.root.Get(key.Str+"u").Str, number)
	case key.Str == "pres" && m.root.Get("type").Str == "TIRE":
		number, ok = convert(what.metric, "bar", number)
	}
	if ok {
		m.put(what, number)
	}
	return true
}

// number takes a JSON number, or a plain decimal in quotes: releases before 1.0
// quoted all values.
func (m *message) number(value gjson.Result) (float64, bool) {
	switch value.Type {
	case gjson.Number:
		number, finite := dialect.Finite(value.Num)
		if !finite {
			m.dropped++
		}
		return number, finite
	case gjson.String:
		number, err := dialect.Number(value.Str)
		return number, err == nil
	}
	return 0, false
}

func convert(metric reading.Metric, unit string, number float64) (float64, bool) {
	c, ok := dialect.ToCanonical(metric, unit)
	return c.Apply(number), ok
}

// put adds one value; of two for the same thing the first counts.
func (m *message) put(what place, number float64) {
	if rules.Judge(what.metric, number) == dialect.Drop {
		m.dropped++
		return
	}
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

func (m *message) result() dialect.Result {
	if len(m.out) == 0 {
		m.out = nil
	}
	return dialect.Result{Readings: m.out, Dropped: m.dropped}
}

// A place is what a key stands for.
type place struct {
	metric  reading.Metric
	channel string
}

// meaning reads a key of the decoder's, and those of the oldest layout (tem,
// bat). tempf and lvl_in repeat tempc and lvl_cm in other units.
func meaning(key string) place {
	switch key {
	case "tempc", "tem":
		return place{metric: reading.Temperature}
	case "hum":
		return place{metric: reading.Humidity}
	case "moi":
		return place{metric: reading.SoilMoisture}
	case "fer":
		return place{metric: reading.Conductivity}
	case "lux":
		return place{metric: reading.Illuminance}
	case "batt", "bat":
		return place{metric: reading.Battery}
	case "volt":
		return place{metric: reading.BatteryVoltage}
	case "pres":
		return place{metric: reading.Pressure}
	case "co2":
		return place{metric: reading.CO2}
	case "tempc2_dp":
		return place{metric: reading.DewPoint}
	case "lvl_cm":
		return place{metric: reading.Distance}
	case "avg":
		return place{metric: reading.Power}
	case "sum":
		return place{metric: reading.Energy}
	}
	if n, ok := strings.CutPrefix(key, "tempc"); ok && len(n) == 1 {
		if at := strings.Index(probes, n); at >= 0 {
			return place{metric: reading.Temperature, channel: probes[at : at+1]}
		}
	}
	return place{}
}

// probes are the numbers of a grill thermometer's probes; a channel is a part of
// this text and not of a message's, which would be kept with it.
const probes = "123456789"

// slack is how far rounding and calibration may carry a percentage.
const slack = 1

var (
	inf = math.Inf(1)

	// rules: what the decoder makes of a sensor's word for "invalid" is at the
	// end of the sensor's range; a RuuviTag then says 127.5 % and 65.535 V.
	rules = dialect.Rules{
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.BatteryVoltage, Low: -inf, High: 0, Verdict: dialect.Drop},
		{Metric: reading.BatteryVoltage, Low: 30, High: inf, Verdict: dialect.Drop}, // not a battery's
		{Metric: reading.Temperature, Low: -inf, High: -127, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 1000, High: inf, Verdict: dialect.Drop}, // probes of a grill reach hundreds
		{Metric: reading.Conductivity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Conductivity, Low: 65535, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Illuminance, Low: -inf, High: -slack, Verdict: dialect.Drop},
	}
)

// plainMAC writes a MAC in one way, so that a sensor is one device whichever
// gateway hears it. Other names, such as the UUID of an iBeacon, stay.
func plainMAC(name string) string {
	const digits = 12
	if len(name) != digits && len(name) != digits+5 {
		return name
	}
	room := make([]byte, 0, digits)
	for i := range len(name) {
		switch c := name[i]; {
		case c == ':' || c == '-':
			continue
		case '0' <= c && c <= '9' || 'A' <= c && c <= 'F':
			room = append(room, c)
		case 'a' <= c && c <= 'f':
			room = append(room, c-'a'+'A')
		default:
			return name
		}
	}
	if len(room) != digits || string(room) == name {
		return name
	}
	return string(room)
}
