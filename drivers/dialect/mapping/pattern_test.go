package mapping

import (
	"slices"
	"strings"
	"testing"
)

// A topic that fits by mistake gives a reading under a wrong name.
func TestTopicsFitInOneWay(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           []string // captures; nil: it does not fit
	}{
		{"a/b", "a/b", []string{}}, {"a/b", "a/b/c", nil}, {"a/b", "a", nil}, {"a/b", "a/bc", nil}, {"a/b", "xa/b", nil},
		{"rtl_433/{gw}/events", "rtl_433/pi/events", []string{"pi"}}, {"rtl_433/{gw}/events", "rtl_433/a/b/events", nil},
		{"rtl_433/{gw}/events", "rtl_433/events", nil},
		{"shellies/{id...}/relay/{n}/energy", "shellies/shelly1-ABC/relay/0/energy", []string{"shelly1-ABC", "0"}},
		{"shellies/{id...}/relay/{n}/energy", "shellies/attic/left/relay/0/energy", []string{"attic/left", "0"}},
		{"shellies/{id...}/relay/{n}/energy", "shellies/relay/0/energy", nil},
		{"shellies/{id...}/relay/{n}/energy", "shellies/x/relay/energy", nil},
		{"{dev...}/data", "boiler/data", []string{"boiler"}}, {"{dev...}/data", "a/b/data", []string{"a/b"}}, {"{dev...}/data", "data", nil},
		{"{dev...}/data", "/data", nil}, {"{dev...}/data", "mydata", nil},
		{"a/{rest...}", "a", nil}, {"a/{rest...}", "a/b/c", []string{"b/c"}}, {"a/{rest...}", "a/", nil},
		{"a/#", "a", []string{}}, {"a/#", "a/b/c", []string{}}, {"a/#", "ab", nil}, {"#", "x/y", []string{}},
		{"+/b", "a/b", []string{}}, {"+/b", "a/c", nil}, {"a/+", "a/", []string{}},
		{"sbfspot_{serial}", "sbfspot_212", []string{"212"}}, {"sbfspot_{serial}", "sbfspot_", nil}, {"sbfspot_{serial}", "sbfspot", nil},
		{"x/{line}_voltage", "x/l1_voltage", []string{"l1"}}, {"x/{line}_voltage", "x/_voltage", nil},
		{"{a...}/x/{b}", "q/x/", []string{"q", ""}}, {"{a...}/{b}/{c}", "1//", []string{"1", "", ""}},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		var got captures
		fits := p.near(c.topic) && p.match(c.topic, &got)
		if fits != (c.want != nil) || fits && !slices.Equal(got[:len(p.names)], c.want) {
			t.Errorf("%s, %s: got %v, %q, want %q", c.pattern, c.topic, fits, got[:len(p.names)], c.want)
		}
	}
}

func TestPatternsWithTwoMeaningsAreTurnedDown(t *testing.T) {
	for _, text := range []string{
		"", "a/#/b", "a/b#", "a+/b", "{a...}/{b...}", "{a}/{a}", "x{a...}", "{a}{b}", "{a", "a}", "}{", "{}", "{1}", "{a b}", "{topic}", "{a...}/#",
		"{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}",
	} {
		if p, err := parsePattern(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, p)
		}
	}
}

// near and match must not disagree: what near turns away is never looked at.
func FuzzPattern(f *testing.F) {
	for _, text := range []string{"a/{b...}/c", "#", "+/x_{y}/#", "{a}/{b...}/{c}/d", "rtl_433/{gw}/events"} {
		f.Add(text, "a/b/c")
		f.Add(text, "rtl_433/pi/events")
		f.Add(text, "//")
	}
	f.Fuzz(func(t *testing.T, text, topic string) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		var c captures
		if p.match(topic, &c) && !p.near(topic) {
			t.Errorf("%q fits %q and is turned away", topic, text)
		}
		for _, part := range c {
			if !strings.Contains(topic, part) {
				t.Errorf("%q is not in %q", part, topic)
			}
		}
	})
}
