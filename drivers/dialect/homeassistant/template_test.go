package homeassistant_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/homeassistant"
)

// A templated is a template with a payload and the watts that it gives; NaN for
// none.
type templated struct {
	template, payload string
	want              float64
}

var none = math.NaN()

func announced(template string) []byte {
	text, err := json.Marshal(template)
	if err != nil {
		panic(err)
	}
	return []byte(`{"stat_t":"x","dev_cla":"power","unit_of_meas":"W","dev":{"ids":["d"]},"val_tpl":` + string(text) + `}`)
}

// read are templates that are understood.
var read = []templated{
	{"", "12.5", 12.5},
	{"", " 12.5\r\n", 12.5},
	{"", "0012.5", 12.5},
	{"", "-0.0", 0},
	{"", "1.2e+03", 1200},
	{"", "nan", none},
	{"", "None", none},
	{"", "unavailable", none},
	{"", "", none},
	{"{{ value }}", "3", 3},
	{"{{value}}", "3", 3},
	{"{{- value -}}", "3", 3},
	{"{{ value | float }}", "3.5", 3.5},
	{"{{ value|int }}", "3.9", 3},
	{"{{ value | int }}", "-3.9", -3},
	{"{{ value | float(0) / 10 }}", "123", 12.3},
	{"{{ value | float(default=0) * 1000 }}", "0.5", 500},
	{"{{ (value|float/60)|round(2) }}", "12384", 206.4},
	{"{{ (value | float) + 1.5 }}", "2", 3.5},
	{"{{ 100 - value | float }}", "30", 70},
	{"{{ 1000 / (value | float) }}", "4", 250},
	{"{{ 2 * (value | int) }}", "4", 8},
	{"{{ -(value | float) }}", "4", -4},
	{"{{ value | round }}", "2.5", 2},
	{"{{ value | round(1) }}", "2.25", 2.2},
	{"{{ value | float | round(2) }}", "2.675", 2.67},
	{"{{ value_json }}", "7", 7},
	{"{{ value_json[1] }}", "[1.5,2.5]", 2.5},
	{"{{ value_json.p }}", `{"p":4}`, 4},
	{"{{ value_json.a.b }}", `{"a":{"b":4}}`, 4},
	{`{{ value_json['a']["b"] }}`, `{"a":{"b":4}}`, 4},
	{"{{ value_json.a[1].b }}", `{"a":[{"b":1},{"b":2}]}`, 2},
	{"{{ value_json.a.1 }}", `{"a":[1,2]}`, 2},
	{"{{ value_json['a.b'] }}", `{"a":{"b":1},"a.b":2}`, 2},
	{"{{ value_json['*'] }}", `{"a":1,"*":2}`, 2},
	{"{{ value_json[''] }}", `{"":2}`, 2},
	{"{{ value_json['switch:0'].apower }}", `{"switch:0":{"apower":12}}`, 12},
	{"{{ value_json.p | float * 0.1 }}", `{"p":3}`, 0.3},
	{"{{ value_json.p / 10 | round(1) }}", `{"p":25}`, 2.5},
	{"{{ (value_json.p / 100) | round(1) }}", `{"p":1234}`, 12.3},
	{"{{ value_json.p * 1000 / 3600 }}", `{"p":36}`, 10},
	{"{{ value_json.p | default(0) }}", `{"p":4}`, 4},
	{"{{ value_json.p | default(0) }}", `{"q":4}`, none}, // nobody measured 0
	{"{{ value_json.p | default('', true) | float(0) }}", `{}`, none},
	{"{{ value_json.p | d(none) }}", `{"p":null}`, none},
	{"{{ value_json.p | is_defined }}", `{"p":4}`, 4},
	{"{{ value_json.p if value_json.p is defined }}", `{"p":4}`, 4},
	{"{{ value_json.p if value_json.p is defined else 0 }}", `{}`, none},
	{"{{ value_json.p if value_json.q is defined else None }}", `{"p":4}`, none},
	{"{{ (value_json.p | float if value_json.p is defined else 'x') | round(1) }}", `{"p":4.44}`, 4.4},
	{"{% if value_json.p is defined %}{{ value_json.p }}{% endif %}", `{"p":4}`, 4},
	{"{%- if value_json.p is defined -%} {{ value_json.p | round(0) }} {%- else -%} 0 {%- endif -%}", `{"p":4.4}`, 4},
	{"{% if value_json.p is defined %}{{ value_json.p }}{% else %}{{ states('sensor.p') }}{% endif %}", `{"q":1}`, none},
	{"{{ value_json.p }}", `{"p":"4.5"}`, 4.5}, // a template gives text anyway
	{"{{ value_json.p | float }}", `{"p":"4.5"}`, 4.5},
	{"{{ value_json.p | float / 2 }}", `{"p":"4.5"}`, 2.25},
	{"{{ value_json.p * 2 }}", `{"p":"4"}`, none}, // 44 in Jinja
	{"{{ value_json.p }}", `{"p":"4 W"}`, none},
	{"{{ value_json.p }}", `{"p":"nan"}`, none},
	{"{{ value_json.p }}", `{"p":"0x1F"}`, none},
	{"{{ value_json.p }}", `{"p":true}`, none},
	{"{{ value_json.p }}", `{"p":null}`, none},
	{"{{ value_json.p }}", `{"p":{"a":1}}`, none},
	{"{{ value_json.p }}", `{"p":1e400}`, none},
	{"{{ value_json.p }}", `[{"p":1}]`, none},
	{"{{ value_json.p }}", "unavailable", none},
	{"{{ value_json[0] }}", `{"0":1}`, none},
	{"{{ value_json.p }}", `{"p":1,"p":2}`, 1},
	{"{{ 1 / value_json.p }}", `{"p":0}`, none},
}

// declined are templates that are not.
var declined = []templated{
	{"{{ value_json.p + value_json.q }}", `{"p":1,"q":2}`, none},
	{"{{ value * 2 }}", "12", none}, // 1212 in Jinja
	{"{{ -value }}", "12", none},
	{"{{ value_json.p ** 2 }}", `{"p":3}`, none},
	{"{{ value_json.p // 2 }}", `{"p":3}`, none},
	{"{{ value_json.p % 2 }}", `{"p":3}`, none},
	{"{{ value_json.p / 0 }}", `{"p":3}`, none},
	{"{{ value_json.p }} W", `{"p":3}`, none},
	{"{{ value_json.p }}{{ value_json.q }}", `{"p":3,"q":4}`, none},
	{"{{ value_json.foo-bar }}", `{"foo":3,"foo-bar":4}`, none},
	{"{{ value_json.p | abs }}", `{"p":3}`, none},
	{"{{ value_json.p | round(1, 'floor') }}", `{"p":3}`, none},
	{"{{ value_json.p | round(-1) }}", `{"p":33}`, none},
	{"{{ value_json.p | int(0, 16) }}", `{"p":"33"}`, none},
	{"{{ value_json.p | default(value_json.q) }}", `{"p":3}`, none},
	{"{{ value_json.p if value_json.p > 3 else 0 }}", `{"p":5}`, none},
	{"{{ value_json.p if value_json.p is defined else value_json.q }}", `{"q":5}`, none},
	{"{% if value_json.p is defined %}{{ value_json.p }}{% else %}{{ value_json.q }}{% endif %}", `{"q":5}`, none},
	{"{% if value_json.p is defined %}{{ value_json.p }}", `{"p":5}`, none},
	{"{% set x = value_json.p %}{{ x }}", `{"p":5}`, none},
	{"{{ states('sensor.p') }}", "5", none},
	{"{{ 5 }}", "5", none},
	{"{{ value_json[-1] }}", "[5]", none},
	{"{{ value_json[1.5] }}", "[5,6]", none},
	{"{{ value_json['a\\'b'] }}", "[5,6]", none},
	{"{{ value_json. }}", `{"p":5}`, none},
	{"{{ (value_json.p }}", `{"p":5}`, none},
	{"{{ value_json.p | }}", `{"p":5}`, none},
	{"{{ }}", "5", none},
	{"{{ value", "5", none},
	{"value", "5", none},
	{"{{ value_json.p" + strings.Repeat("+1", 20) + " }}", `{"p":5}`, none},
	{"{{ value_json" + strings.Repeat(".p", 20) + " }}", `{"p":5}`, none},
	{"{% if value_json" + strings.Repeat(".p", 20) + " is defined %}{{ value_json.p }}{% endif %}", `{"p":5}`, none},
	{"{{ " + strings.Repeat("(", 900) + "value }}", "5", none},
}

// A template means to the gateway what it means to Home Assistant, or nothing.
func TestTemplatesMeanWhatTheyMeanInJinja(t *testing.T) {
	for _, c := range read {
		d := homeassistant.New()
		d.Decode(dialect.Message{Topic: "homeassistant/sensor/x/config", Payload: announced(c.template)})
		got, mine := d.Decode(dialect.Message{Topic: "x", Payload: []byte(c.payload)})
		switch {
		case !mine || got.Err != nil || len(got.Readings) > 1:
			t.Errorf("%s of %s: got mine %v, %+v", c.template, c.payload, mine, got)
		case len(got.Readings) == 0 != math.IsNaN(c.want):
			t.Errorf("%s of %s: got %d readings, want %v", c.template, c.payload, len(got.Readings), c.want)
		case len(got.Readings) == 1 && got.Readings[0].Values[0].Number != c.want:
			t.Errorf("%s of %s: got %v, want %v", c.template, c.payload, got.Readings[0].Values[0].Number, c.want)
		}
	}
}

// What is not understood is not guessed, and the topic stays free for whoever
// understands it.
func TestOtherTemplatesAreNotRead(t *testing.T) {
	for _, c := range declined {
		d := homeassistant.New()
		if got, _ := d.Decode(dialect.Message{Topic: "homeassistant/sensor/x/config", Payload: announced(c.template)}); got.Err != nil {
			t.Errorf("%.60s: %v", c.template, got.Err)
		}
		if got, mine := d.Decode(dialect.Message{Topic: "x", Payload: []byte(c.payload)}); mine {
			t.Errorf("%.60s: got %+v", c.template, got)
		}
	}
}

// Half of a payload is not read, whatever a template finds in it.
func TestBrokenPayloadsAreErrors(t *testing.T) {
	for _, c := range []templated{
		{"", "12 W", none}, {"", "1,5", none}, {"", "3d 04h", none}, {"", `{"p":1}`, none}, {"", "1_000", none}, {"", "\xff", none},
		{"{{ value_json.p }}", `{"p":1`, none}, {"{{ value_json.p }}", `{"p":nan}`, none}, {"{{ value_json.p }}", `{"p":1,}`, none},
		{"{{ value_json.p }}", `{"p":1}x`, none}, {"{{ value_json.p }}", "{\"p\":1,\"q\":\"\xf1\"}", none}, {"{{ value_json.p }}", "ON", none},
		{"{{ value_json[0] }}", "[1,]", none}, {"{{ value_json[0] }}", "[1,\"\xf1\"]", none},
		{"{{ value_json[0] }}", strings.Repeat("[", 40) + strings.Repeat("]", 40), none},
	} {
		d := homeassistant.New()
		d.Decode(dialect.Message{Topic: "homeassistant/sensor/x/config", Payload: announced(c.template)})
		got, mine := d.Decode(dialect.Message{Topic: "x", Payload: []byte(c.payload)})
		if !mine || got.Err == nil || len(got.Readings) > 0 {
			t.Errorf("%s of %q: got mine %v, %+v, want an error", c.template, c.payload, mine, got)
		}
	}
}
