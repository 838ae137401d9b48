package mapping

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"go.yaml.in/yaml/v4"
)

// The keys that each place of a file knows.
var (
	ruleKeys  = []string{"version", "name", "source", "match", "when", "format", "device", "time", "cached", "extends", "ignore_retained", "dedupe", "read", "test"}
	itemKeys  = []string{"path", "expr", "for", "channel", "quantity", "unit", "scale", "offset", "invert", "min", "max", "drop", "suspect", "string", "decimal", "strip_unit", "kind", "reset", "calibrate"}
	timeKeys  = []string{"path", "layout", "zone", "use"}
	curveKeys = []string{"dry", "wet", "points", "clamp", "id"}
	pointKeys = []string{"raw", "moisture"}
	testKeys  = []string{"topic", "payload", "payload_b64", "retain", "expect", "error"}
	valueKeys = []string{"device", "channel", "quantity", "value", "unit", "suspect"}
)

// A rule is one mapping, ready to read messages.
type rule struct {
	name, source   string
	place          string // file and line, for people
	pattern        *pattern
	when, cached   *expression
	format         string
	device         *template // nil: the device that the native dialect found
	time           *moment
	extends        string // the native dialect that reads first
	ignoreRetained bool
	dedupe         time.Duration
	items          []item
	groups         []group
	uses           []string // the names that its expressions need
	vectors        []vector
}

// The formats of a payload.
const (
	formatJSON   = "json"
	formatNumber = "number"
	formatText   = "text"
	formatKV     = "kv"
)

// rule reads one mapping. What is wrong with it is in f.problems.
func (f *file) rule(n *yaml.Node) *rule {
	o := f.object(n, "a mapping", ruleKeys)
	if v := o.text("version"); v != "" && v != "1" {
		f.wrong(o.at("version"), "version is 1")
	}
	r := &rule{
		name:    o.needed("name", "what the mapping is called in messages to you"),
		place:   fmt.Sprintf("%s:%d", filepath.Base(f.name), n.Line),
		extends: o.text("extends"), dedupe: o.duration("dedupe"),
		ignoreRetained: o.yes("ignore_retained", false),
		when:           o.expression("when"), cached: o.expression("cached"),
		format: o.word("format", formatJSON, formatNumber, formatText, formatKV),
	}
	r.source = o.text("source")
	r.pattern = f.pattern(o)
	r.checkSource(o)
	r.device = r.deviceOf(o)
	r.time = f.moment(o)
	for _, item := range o.list("read") {
		f.item(r, item)
	}
	if !o.has("read") && n.Kind == yaml.MappingNode {
		f.wrong(n, "`read` is missing: what to read; `read: []` reads nothing")
	}
	for _, test := range o.list("test") {
		r.vectors = append(r.vectors, f.vector(test))
	}
	r.collectUses()
	r.plan()
	return r
}

func (f *file) pattern(o object) *pattern {
	text := o.needed("match", "the topic, for example garden/{device}/state")
	p, err := parsePattern(text)
	if err != nil {
		if text != "" {
			f.wrong(o.at("match"), "`match`: %v", err)
		}
		return new(pattern)
	}
	return p
}

// checkSource sees to it that values that join a native dialect's keep its name.
func (r *rule) checkSource(o object) {
	switch {
	case r.extends != "" && (r.source != "" || r.dedupe != 0):
		o.f.wrong(o.at("extends"), "what extends a dialect takes its `source`, and has no `dedupe`")
	case r.extends != "":
		r.source = r.extends
	case r.source == "":
		r.source = Source
	}
	if err := validName(r.source); err != nil {
		o.f.wrong(o.at("source"), "`source`: %v", err)
	}
}

func (r *rule) deviceOf(o object) *template {
	if r.extends != "" && !o.has("device") {
		return nil
	}
	text := o.needed("device", "the name of the device, for example {device} from the topic")
	return r.template(o, "device", text, false)
}

func (r *rule) template(o object, key, text string, numbered bool) *template {
	t, err := parseTemplate(text, r.pattern.names, numbered)
	if err != nil {
		o.f.wrong(o.at(key), "`%s`: %v", key, err)
		return nil
	}
	bare := r.format == formatNumber || r.format == formatText
	if bare && t.computed == nil && t.needsMessage() {
		o.f.wrong(o.at(key), "`%s` names a {place} that `match` does not have", key)
	}
	return t
}

func (f *file) moment(o object) *moment {
	if !o.has("time") {
		return nil
	}
	t := f.object(o.keys["time"], "`time`", timeKeys)
	w := &moment{
		path:   cleanPath(t.needed("path", "where the time stands in the message")),
		layout: t.needed("layout", "rfc3339, unix, unix_ms, or 2006-01-02 15:04:05 in the message's way"),
	}
	if w.layout == "rfc3339" {
		w.layout = time.RFC3339Nano
	}
	zone, use := t.text("zone"), t.word("use", "hint", "authoritative")
	if zone != "" {
		w.zone = f.zone(t, zone)
	}
	switch {
	case use == "hint":
		return nil // the arrival counts
	case zone == "" && !says(w.layout):
		f.wrong(t.node, "a time without an offset from UTC needs `zone`")
	}
	return w
}

func (f *file) zone(o object, name string) *time.Location {
	if name == "local" {
		return time.Local
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		f.wrong(o.at("zone"), "`zone`: %s is not known here; local, UTC or for example Europe/Berlin", shown(name))
		return time.UTC
	}
	return zone
}

// says tells whether a layout leaves no doubt about the instant.
func says(layout string) bool {
	return layout == "unix" || layout == "unix_ms" || strings.Contains(layout, "Z07") || strings.Contains(layout, "-07")
}

// cleanPath takes off what other programs write in front of a path.
func cleanPath(path string) string { return strings.TrimPrefix(path, "$.") }

func (r *rule) collectUses() {
	add := func(e *expression) {
		if e == nil {
			return
		}
		for _, name := range e.uses {
			if !slices.Contains(r.uses, name) {
				r.uses = append(r.uses, name)
			}
		}
	}
	add(r.when)
	add(r.cached)
	if r.device != nil {
		add(r.device.computed)
	}
	for i := range r.items {
		add(r.items[i].expr)
		if r.items[i].channel != nil {
			add(r.items[i].channel.computed)
		}
	}
}

// applies reports whether any value may be read from such a topic.
func (r *rule) applies(c *captures) bool {
	if len(r.items) == 0 {
		return true
	}
	for i := range r.items {
		if r.items[i].applies(c) {
			return true
		}
	}
	return false
}

// decode reads one message, and reports whether it is the rule's. base is what
// a native dialect read before.
func (r *rule) decode(msg dialect.Message, base *dialect.Result, t *trace) (dialect.Result, bool) {
	if !r.pattern.near(msg.Topic) {
		return dialect.Result{}, false
	}
	var c captures
	if !r.pattern.match(msg.Topic, &c) || !r.applies(&c) {
		return dialect.Result{}, false
	}
	t.matched(r, c)
	switch {
	case r.ignoreRetained && msg.Retained:
		t.say("retained messages are ignored")
		return dialect.Result{}, true
	case len(msg.Payload) > maxPayload:
		return dialect.Result{Err: errTooLong}, true
	}
	m := newMessage(r, msg, c, base)
	if err := m.open(msg.Payload); err != nil {
		t.sayError("it cannot be read", err)
		if r.when != nil && r.pattern.head == "" {
			return dialect.Result{}, false // of a topic like any other nothing is known
		}
		return dialect.Result{Err: err}, true
	}
	if r.when != nil {
		yes, err := r.when.holds(m)
		t.asked(r.when, yes, err)
		if !yes {
			return dialect.Result{}, false
		}
	}
	return m.read(t)
}
