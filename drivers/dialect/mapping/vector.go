package mapping

import (
	"encoding/base64"
	"fmt"
	"math"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"go.yaml.in/yaml/v4"
)

// A vector is a test in a file of mappings: a message, and values that must be
// read from it.
type vector struct {
	at      *yaml.Node
	message dialect.Message
	expect  []expected
	silent  bool // nothing may be read
	fails   bool // it is malformed
}

type expected struct {
	at                              *yaml.Node
	device, channel, quantity, unit string
	value                           float64
	suspect, hasDevice              bool
}

func (f *file) vector(n *yaml.Node) vector {
	o := f.object(n, "an element of `test`", testKeys)
	v := vector{at: n, fails: o.yes("error", false)}
	v.message = dialect.Message{
		Topic: o.needed("topic", "where the message came"), Payload: []byte(o.text("payload")), Retained: o.yes("retain", false),
	}
	if o.has("payload_b64") {
		payload, err := base64.StdEncoding.DecodeString(o.text("payload_b64"))
		if err != nil {
			f.wrong(o.at("payload_b64"), "`payload_b64` is no Base64")
		}
		v.message.Payload = payload
	}
	if !v.fails && !o.has("expect") && n.Kind == yaml.MappingNode {
		f.wrong(n, "`expect` is missing: what must be read; [] for nothing, or `error: true`")
	}
	for _, e := range o.list("expect") {
		v.expect = append(v.expect, f.expected(e))
	}
	v.silent = len(v.expect) == 0
	return v
}

func (f *file) expected(n *yaml.Node) expected {
	o := f.object(n, "an element of `expect`", valueKeys)
	o.needed("value", "the number, in the unit of the record")
	e := expected{
		at: n, device: o.text("device"), channel: o.text("channel"),
		quantity: o.needed("quantity", "what the value is"), unit: o.text("unit"),
		value: o.number("value", 0), suspect: o.yes("suspect", false),
	}
	if m, ok := metricNamed(e.quantity); e.quantity != "" && !ok {
		f.wrong(o.at("quantity"), "there is no quantity `%s`; %s", shown(e.quantity), meant(e.quantity, quantities()))
	} else if e.unit != "" && e.unit != m.Unit() {
		f.wrong(o.at("unit"), "records hold %s in %s", e.quantity, orNone(m.Unit()))
	}
	return e
}

// standIn takes the place of what a native dialect read, when a mapping that
// extends one is tried alone.
func standIn(r *rule, device string) *dialect.Result {
	if r.extends == "" {
		return nil
	}
	return &dialect.Result{Readings: []reading.Reading{{Device: device, Source: r.extends}}}
}

// try runs the tests of a rule.
func (f *file) try(r *rule) {
	for _, v := range r.vectors {
		device := "device"
		if len(v.expect) > 0 && v.expect[0].hasDevice {
			device = v.expect[0].device
		}
		result, mine := r.decode(v.message, standIn(r, device), nil)
		switch {
		case !mine && !v.silent:
			f.wrong(v.at, "test of %s: the mapping does not match (`match`, `for` or `when`)", r.name)
		case v.fails != (result.Err != nil):
			f.wrong(v.at, "test of %s: got error %v, want one: %v", r.name, result.Err, v.fails)
		case v.silent && len(result.Readings) > 0:
			f.wrong(v.at, "test of %s: got %s, want nothing", r.name, told(result.Readings))
		}
		for _, r := range result.Readings {
			if err := r.Validate(); err != nil {
				f.wrong(v.at, "test: %v", err)
			}
		}
		for _, e := range v.expect {
			f.compare(e, result.Readings)
		}
	}
}

func (f *file) compare(e expected, readings []reading.Reading) {
	for _, r := range readings {
		if e.hasDevice && r.Device != e.device || r.Channel != e.channel {
			continue
		}
		for _, v := range r.Values {
			if v.Metric.Quantity() != e.quantity {
				continue
			}
			if math.Abs(v.Number-e.value) > 1e-6*math.Max(1, math.Abs(e.value)) || v.Suspect != e.suspect {
				f.wrong(e.at, "test: got %s %v (suspect: %v), want %v (suspect: %v)", e.quantity, v.Number, v.Suspect, e.value, e.suspect)
			}
			return
		}
	}
	f.wrong(e.at, "test: %s of device %q, channel %q is not read, but %s", e.quantity, shown(e.device), shown(e.channel), told(readings))
}

// told lists readings in a line.
func told(readings []reading.Reading) string {
	text := ""
	for _, r := range readings {
		for _, v := range r.Values {
			text += fmt.Sprintf(" %s/%s %s=%v", shown(r.Device), shown(r.Channel), v.Metric, v.Number)
		}
	}
	if text == "" {
		return "nothing"
	}
	return text[1:]
}
