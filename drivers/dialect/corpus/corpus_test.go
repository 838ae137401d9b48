package corpus_test

import (
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/reading"
)

// A comparison that lets everything pass would look like a dialect that reads
// everything right.
func TestEachMistakeIsNamed(t *testing.T) {
	v := corpus.Vector{Expect: []corpus.Value{
		{Device: "washer", Quantity: "power", Unit: "W", Value: 7.5},
		{Device: "washer", Quantity: "energy", Unit: "kWh", Value: 4.2, Optional: true},
	}}
	power := func(device string, watts float64, suspect bool) reading.Reading {
		return reading.Reading{Device: device, Source: "test", Values: []reading.Value{{Metric: reading.Power, Number: watts, Suspect: suspect}}}
	}
	for name, tc := range map[string]struct {
		got  []reading.Reading
		want string // part of the only problem; "": none
	}{
		"right":       {[]reading.Reading{power("washer", 7.5, false)}, ""},
		"missing":     {nil, "missing"},
		"wrong":       {[]reading.Reading{power("washer", 7.6, false)}, "want"},
		"marked":      {[]reading.Reading{power("washer", 7.5, true)}, "want"},
		"twice":       {[]reading.Reading{power("washer", 7.5, false), power("washer", 7.5, false)}, "twice"},
		"too much":    {[]reading.Reading{power("washer", 7.5, false), power("dryer", 1, false)}, "too much"},
		"not allowed": {[]reading.Reading{power("washer", 7.5, false), {Device: "x", Source: "test"}}, "x/"},
	} {
		problems := v.Compare(tc.got)
		switch {
		case tc.want == "" && len(problems) > 0, tc.want != "" && len(problems) != 1, tc.want != "" && !strings.Contains(problems[0], tc.want):
			t.Errorf("%s: got %q, want one with %q", name, problems, tc.want)
		}
	}
}
