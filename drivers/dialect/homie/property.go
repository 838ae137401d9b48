package homie

import (
	"fmt"
	"math"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// said is what a device said about one of its properties.
type said struct {
	device  string // its path
	channel string // node/property

	unit, datatype, name, format, settable string
}

// set takes in one attribute.
func (s *said) set(attribute, text string) {
	if len(text) > maxText {
		text = ""
	}
	text = strings.Clone(text) // the table does not hold on to whole messages
	switch attribute {
	case "$unit":
		s.unit = text
	case "$datatype":
		s.datatype = text
	case "$name":
		s.name = text
	case "$format":
		s.format = text
	case "$settable":
		s.settable = text
	}
}

// A property is what follows from it.
type property struct {
	said       said
	device     string
	metric     reading.Metric // "" where nothing is measured, or nobody knows what
	conversion dialect.Conversion
	low, high  float64 // the range that the device declares
	number     bool    // it holds numbers
}

func newProperty(s said) *property {
	s.device, s.channel = strings.Clone(s.device), strings.Clone(s.channel)
	p := &property{said: s, number: isNumeric(s.datatype), conversion: dialect.Conversion{Factor: 1}}
	_, p.device = cutLast(s.device)
	p.low, p.high = rangeOf(s.format)
	if p.number && s.settable != "true" {
		p.metric, p.conversion = quantity(s)
	}
	return p
}

// isNumeric: version 3 takes an absent datatype for text, but devices that give a
// unit mean a number.
func isNumeric(datatype string) bool {
	switch datatype {
	case "", "float", "integer", "percent":
		return true
	}
	return false
}

// rangeOf reads min:max of a number's format; either end may be open, and
// version 5 adds a step.
func rangeOf(format string) (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	first, rest, ok := strings.Cut(format, ":")
	if !ok {
		return low, high
	}
	second, _, _ := strings.Cut(rest, ":")
	if number, err := dialect.Number(first); err == nil {
		low = number
	}
	if number, err := dialect.Number(second); err == nil {
		high = number
	}
	return low, high
}

// decode reads one value. A settable property says what somebody wants, and an
// empty payload that the property is gone.
func (p *property) decode(payload []byte) (dialect.Result, bool) {
	text := dialect.Trim(payload)
	if !p.number || p.said.settable == "true" || len(text) == 0 {
		return dialect.Result{}, true
	}
	number, err := dialect.Number(string(text))
	if p.metric == "" {
		if err != nil {
			err = forbidden(string(text))
			return dialect.Result{Err: err}, true
		}
		return dialect.Result{}, false // nobody said what it measures
	}
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("%s: %w", p.said.channel, err)}, true
	}
	converted, finite := dialect.Finite(p.conversion.Apply(number))
	verdict := rules.Judge(p.metric, converted)
	if !finite || verdict == dialect.Drop {
		return dialect.Result{Dropped: 1}, true
	}
	suspect := verdict == dialect.Suspect || number < p.low || number > p.high
	return one(p.device, p.said.channel, reading.Value{Metric: p.metric, Number: converted, Suspect: suspect}), true
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

// slack is how far rounding and calibration may carry a percentage.
const slack = 1

var (
	inf = math.Inf(1)

	// rules: -127 is what the library of 1-wire thermometers says for a probe
	// that is gone. Devices of this convention are mostly built with it.
	rules = dialect.Rules{
		{Metric: reading.Temperature, Low: -127.001, High: -126.999, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -inf, High: -273.15, Verdict: dialect.Drop},
		{Metric: reading.DewPoint, Low: -inf, High: -273.15, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
	}
)
