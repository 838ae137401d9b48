package reading_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/reading"
)

func washer(values ...reading.Value) reading.Reading {
	return reading.Reading{Device: "washer", Source: "tasmota", Values: values}
}

// What would break a consumer must be turned down here: it is the last place
// where somebody can still say which device it came from.
func TestInvalidReadingIsTurnedDown(t *testing.T) {
	watt := reading.Value{Metric: reading.Power, Number: 1}
	for name, tc := range map[string]struct {
		r    reading.Reading
		want string
	}{
		"no device":        {reading.Reading{Source: "tasmota", Values: []reading.Value{watt}}, "no device"},
		"no source":        {reading.Reading{Device: "washer", Values: []reading.Value{watt}}, "no source"},
		"no value":         {washer(), "no value"},
		"twice":            {washer(watt, watt), "given twice"},
		"NaN":              {washer(reading.Value{Metric: reading.Power, Number: math.NaN()}), "not finite"},
		"Inf":              {washer(reading.Value{Metric: reading.Power, Number: math.Inf(-1)}), "not finite"},
		"unknown metric":   {washer(reading.Value{Metric: "power_kw", Number: 1}), "not known"},
		"metric with dash": {washer(reading.Value{Metric: "x_a-b", Number: 1}), "may hold only"},
		"empty own metric": {washer(reading.Value{Metric: "x_", Number: 1}), "not known"},
		"bad UTF-8":        {reading.Reading{Device: "w\xf1", Source: "tasmota", Values: []reading.Value{watt}}, "UTF-8"},
		"NUL":              {reading.Reading{Device: "w\x00", Source: "tasmota", Values: []reading.Value{watt}}, "NUL"},
		"long":             {reading.Reading{Device: strings.Repeat("w", 257), Source: "tasmota", Values: []reading.Value{watt}}, "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.r.Validate()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate: got %v, want an error with %q", err, tc.want)
			}
			if body, err := reading.AppendBody(nil, reading.Place{}, tc.r); err == nil || body != nil {
				t.Errorf("AppendBody: got %q, %v, want nothing and an error", body, err)
			}
		})
	}
}

func TestErrorsCanBeToldApart(t *testing.T) {
	if err := (reading.Reading{}).Validate(); !errors.Is(err, reading.ErrNoDevice) {
		t.Errorf("no device: got %v", err)
	}
	if err := washer().Validate(); !errors.Is(err, reading.ErrNoValue) {
		t.Errorf("no value: got %v", err)
	}
}

func TestSuspectValueMakesTheReadingUncertain(t *testing.T) {
	sure := washer(reading.Value{Metric: reading.Temperature, Number: 20})
	doubtful := washer(reading.Value{Metric: reading.Temperature, Number: 85, Suspect: true})
	if q := sure.Quality(); q != reading.Good {
		t.Errorf("sure: got %v", q)
	}
	if q := doubtful.Quality(); q != reading.Uncertain {
		t.Errorf("doubtful: got %v", q)
	}
}

// A field name is a column in somebody's database: its text ends in its unit,
// is plain ASCII and means one thing.
func TestMetricTableIsConsistent(t *testing.T) {
	fields, quantities := map[reading.Metric]bool{}, map[string]bool{}
	for _, d := range reading.Definitions() {
		if fields[d.Metric] || quantities[d.Quantity] {
			t.Errorf("%s (%s) stands twice", d.Metric, d.Quantity)
		}
		fields[d.Metric], quantities[d.Quantity] = true, true
		if d.Metric.Quantity() != d.Quantity || d.Metric.Unit() != d.Unit || d.Unit == "" {
			t.Errorf("%s: got %q %q, want %q %q", d.Metric, d.Metric.Quantity(), d.Metric.Unit(), d.Quantity, d.Unit)
		}
		if err := washer(reading.Value{Metric: d.Metric}).Validate(); err != nil {
			t.Errorf("%s: %v", d.Metric, err)
		}
		if strings.Trim(string(d.Metric), "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("%s is not a plain name", d.Metric)
		}
	}
}

func TestOwnMetricOfAMappingIsItsOwnName(t *testing.T) {
	m := reading.Metric("x_leaf_wetness_pct")
	if err := washer(reading.Value{Metric: m, Number: 1}).Validate(); err != nil {
		t.Fatal(err)
	}
	if m.Quantity() != "x_leaf_wetness_pct" || m.Unit() != "" {
		t.Errorf("got %q %q", m.Quantity(), m.Unit())
	}
}
