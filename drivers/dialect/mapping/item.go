package mapping

import (
	"math"
	"slices"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
	"go.yaml.in/yaml/v4"
)

// An item reads one value, or one from each key that fits.
type item struct {
	label        string // its path or expression, for people
	path         string // "" with an expression
	key          string // the last of path
	planned      bool   // a walk of its group finds it
	numbered     bool   // path is the object's, and the keys are prefix, digits, suffix
	prefix, suff string
	expr         *expression
	only         []condition
	channel      *template // nil: ""
	metric       reading.Metric
	scale, unit  dialect.Conversion
	invert       bool
	min, max     float64
	drop, doubt  []float64
	quoted       bool // a text may be a number
	comma, strip bool
	curve        *curve
	raw          reading.Metric // what the curve starts from
	kind, reset  string
}

// A condition wants a text in a place of the topic.
type condition struct {
	capture int
	text    string
}

// An outcome says what became of an item.
type outcome uint8

const (
	good outcome = iota
	absent
	notNumber
	foreignUnit
	failed
	notFinite
	listed
	outside
)

func (o outcome) String() string {
	return [...]string{
		"read", "no value (absent, null or a word for none)", "no number (text needs `string: true`)", "in a unit that the quantity does not have",
		"the expression fails", "not finite", "one of `drop`", "outside of `min` and `max`",
	}[o]
}

// counts tells what is left out although the device sent a number.
func (o outcome) counts() bool { return o >= notFinite }

func (f *file) item(r *rule, n *yaml.Node) {
	o := f.object(n, "an element of `read`", itemKeys)
	it := item{
		expr: o.expression("expr"), invert: o.yes("invert", false),
		scale: dialect.Conversion{Factor: o.number("scale", 1), Offset: o.number("offset", 0)},
		min:   o.number("min", math.Inf(-1)), max: o.number("max", math.Inf(1)),
		drop: o.numbers("drop"), doubt: o.numbers("suspect"),
		quoted: o.yes("string", false), strip: o.yes("strip_unit", false), comma: o.word("decimal", ".", ",") == ",",
		kind: o.word("kind", "gauge", "counter", "delta"), reset: o.word("reset", "none", "daily", "reboot", "unknown"),
	}
	it.quoted = it.quoted || it.strip || it.comma || r.format == formatText || r.format == formatKV
	it.findPath(r, o)
	it.findQuantity(o)
	it.findConditions(r, o)
	if o.has("channel") {
		it.channel = r.template(o, "channel", o.text("channel"), it.numbered)
	}
	it.check(o)
	r.items = append(r.items, it)
}

func (it *item) findPath(r *rule, o object) {
	path := cleanPath(o.text("path"))
	bare := r.format == formatNumber || r.format == formatText
	switch {
	case path != "" && it.expr != nil:
		o.f.wrong(o.at("expr"), "`path` and `expr` are both there: keep one")
	case o.has("expr"):
		it.label = o.text("expr")
		return
	case path == "" && !bare:
		o.f.wrong(o.node, "`path` is missing: where the value stands, or `expr`: how to compute it")
	case bare && path != "" && path != "@this":
		o.f.wrong(o.at("path"), "the payload is one value: leave `path` out")
	}
	it.label = path
	if it.path = path; bare {
		it.path, it.label = "@this", "the payload"
	}
	it.split(r, o)
}

// split takes a path apart that ends in keys with a number.
func (it *item) split(r *rule, o object) {
	before, after, found := strings.Cut(it.path, "{n}")
	switch {
	case strings.ContainsAny(before+after, "{}"):
		o.f.wrong(o.at("path"), "`path` knows one {n}, which stands for digits")
	case found && (r.format != formatJSON || strings.Contains(after, ".")):
		o.f.wrong(o.at("path"), "{n} belongs to the last key of a path, in a message of JSON")
	case found && slices.Contains(r.pattern.names, "n"):
		o.f.wrong(o.at("path"), "{n} is already a part of the topic: call that one otherwise")
	case found:
		at := strings.LastIndexByte(before, '.') + 1
		it.numbered, it.prefix, it.suff = true, before[at:], after
		it.path = strings.TrimSuffix(before[:at], ".")
	}
}

func (it *item) findQuantity(o object) {
	it.unit = dialect.Conversion{Factor: 1}
	name := o.needed("quantity", "what the value is, for example soil_moisture")
	if name == "" {
		return
	}
	m, ok := metricNamed(name)
	if !ok {
		o.f.wrong(o.at("quantity"), "there is no quantity `%s`; %s; one of your own is called x_ and a-z, 0-9, _", shown(name), meant(name, quantities()))
		return
	}
	it.metric = m
	if o.has("calibrate") {
		it.findCurve(o)
		return
	}
	if !o.has("unit") {
		return
	}
	if it.unit, ok = dialect.ToCanonical(m, o.text("unit")); !ok {
		o.f.wrong(o.at("unit"), "%s is not given in `%s`, but for example in %s", name, shown(o.text("unit")), orNone(m.Unit()))
	}
}

func orNone(unit string) string {
	if unit == "" {
		return "no unit at all"
	}
	return unit
}

// findCurve reads a calibration: the unit is then that of the raw value.
func (it *item) findCurve(o object) {
	if it.metric != reading.SoilMoisture {
		o.f.wrong(o.at("calibrate"), "a calibration gives soil_moisture")
	}
	it.raw = reading.SoilMoistureRaw
	if unit := o.text("unit"); unit != "" && unit != "raw" {
		it.raw = reading.SoilVoltage
		var ok bool
		if it.unit, ok = dialect.ToCanonical(it.raw, unit); !ok {
			o.f.wrong(o.at("unit"), "a probe gives counts (raw) or volts, not `%s`", shown(unit))
		}
	}
	c := o.f.object(o.keys["calibrate"], "`calibrate`", curveKeys)
	made, err := newCurve(c.text("id"), c.yes("clamp", true), c.points())
	if err != nil {
		o.f.wrong(c.node, "`calibrate`: %v", err)
	}
	it.curve = made
}

// points are dry and wet, or a list.
func (o object) points() []point {
	both := o.has("dry") && o.has("wet")
	if o.has("points") == (o.has("dry") || o.has("wet")) || !o.has("points") && !both {
		o.f.wrong(o.node, "`calibrate` has `dry` and `wet`, or `points`")
	}
	if both {
		return []point{{o.number("dry", 0), 0}, {o.number("wet", 1), 100}}
	}
	var all []point
	for _, n := range o.list("points") {
		p := o.f.object(n, "an element of `points`", pointKeys)
		p.needed("raw", "what the probe sends")
		p.needed("moisture", "the moisture in percent")
		all = append(all, point{p.number("raw", 0), p.number("moisture", 0)})
	}
	return all
}

func (it *item) findConditions(r *rule, o object) {
	if !o.has("for") {
		return
	}
	names := r.pattern.names
	only := o.f.object(o.keys["for"], "`for`, whose keys are the names in `match`,", names)
	for i, name := range names {
		if only.has(name) {
			it.only = append(it.only, condition{i, only.text(name)})
		}
	}
}

func (it *item) check(o object) {
	switch {
	case it.scale.Factor == 0:
		o.f.wrong(o.at("scale"), "`scale` 0 makes everything 0")
	case it.min > it.max:
		o.f.wrong(o.at("max"), "`max` is below `min`")
	case it.kind == "delta" && it.metric.Unit() == reading.Energy.Unit():
		o.f.wrong(o.at("kind"), "energy is a counter: what was used since the last message gets a quantity of its own, x_...")
	case it.reset != "none" && it.kind != "counter":
		o.f.wrong(o.at("reset"), "only `kind: counter` is ever reset")
	}
}

func metricNamed(name string) (reading.Metric, bool) {
	for _, d := range measured() {
		if d.Quantity == name {
			return d.Metric, true
		}
	}
	m := reading.Metric(name)
	own := reading.Reading{Device: "d", Source: "s", Values: []reading.Value{{Metric: m}}}
	return m, strings.HasPrefix(name, "x_") && own.Validate() == nil
}

// measured is the vocabulary without what the gateway says of itself.
func measured() []reading.Definition {
	all := reading.Definitions()
	end := slices.IndexFunc(all, func(d reading.Definition) bool { return d.Metric == reading.BufferRecords })
	return all[:end]
}

func quantities() []string {
	var names []string
	for _, d := range measured() {
		names = append(names, d.Quantity)
	}
	return names
}

func (it *item) applies(c *captures) bool {
	for _, want := range it.only {
		if c[want.capture] != want.text {
			return false
		}
	}
	return true
}

// number finds the item's number in what stands at its path. unit is the one
// that it is then in.
func (it *item) number(v gjson.Result) (number float64, unit dialect.Conversion, o outcome) {
	switch {
	case v.Type == gjson.Number:
		return v.Num, it.unit, good
	case v.Type == gjson.Null: // or nothing at all
		return 0, it.unit, absent
	case v.Type != gjson.String || !it.quoted:
		return 0, it.unit, notNumber
	}
	return it.parse(v.Str)
}

// parse reads a number out of text.
func (it *item) parse(text string) (float64, dialect.Conversion, outcome) {
	text = strings.TrimSpace(text)
	if saysNone(text) {
		return 0, it.unit, absent
	}
	unit := it.unit
	if it.strip {
		digits, suffix := cutUnit(text)
		own, ok := it.ownUnit(suffix)
		if !ok {
			return 0, unit, foreignUnit
		}
		text, unit = digits, own
	}
	if it.comma {
		if strings.Contains(text, ".") { // 1.234,5 may be a thousand or not
			return 0, unit, notNumber
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	number, err := dialect.Number(text)
	if err != nil {
		return 0, unit, notNumber
	}
	return number, unit, good
}

// ownUnit is the unit that stands behind a number: 1.2 kW and 800 W come from
// the same device.
func (it *item) ownUnit(suffix string) (dialect.Conversion, bool) {
	m := it.metric
	if it.curve != nil {
		m = it.raw
	}
	if suffix == "" || m.Unit() == "" {
		return it.unit, true
	}
	return dialect.ToCanonical(m, suffix)
}

// cutUnit cuts text where its number ends.
func cutUnit(text string) (number, unit string) {
	end := 0
	for end < len(text) {
		c := text[end]
		exponent := (c == 'e' || c == 'E') && end+1 < len(text) && strings.IndexByte("+-0123456789", text[end+1]) >= 0
		if !exponent && strings.IndexByte("+-.,0123456789", c) < 0 {
			break
		}
		end++
	}
	return text[:end], strings.TrimSpace(text[end:])
}

// saysNone knows the words by which firmware says that there is no value.
func saysNone(text string) bool {
	switch text {
	case "", "nan", "NaN", "NAN", "None", "null", "unavailable", "unknown":
		return true
	}
	return false
}

// judge brings a number into the metric's unit, or says why it is left out.
func (it *item) judge(number float64, unit dialect.Conversion) (value float64, suspect bool, o outcome) {
	if slices.Contains(it.drop, number) {
		return 0, false, listed
	}
	suspect = slices.Contains(it.doubt, number)
	number = unit.Apply(it.scale.Apply(number))
	if it.invert {
		number = -number
	}
	number, finite := dialect.Finite(number)
	switch {
	case !finite:
		return 0, false, notFinite
	case it.curve == nil && (number < it.min || number > it.max):
		return 0, false, outside
	}
	return number, suspect, good
}
