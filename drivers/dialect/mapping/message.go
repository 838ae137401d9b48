package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

const (
	maxPayload = 64 << 10
	maxValues  = 256 // of a message
	maxPairs   = 256 // of a payload of keys and values
)

var (
	errTooLong   = fmt.Errorf("payload is larger than %d KiB", maxPayload>>10)
	errTooMany   = fmt.Errorf("message holds more than %d values", maxValues)
	errNotUTF8   = errors.New("not UTF-8")
	errAbsent    = errors.New("not in the message")
	errEmptyName = errors.New("the name is empty")
)

// A message is one payload on its way to readings.
type message struct {
	rule     *rule
	topic    string
	captures captures

	root  gjson.Result // of JSON; of a bare payload its number or text
	pairs []pair       // of keys and values
	vars  map[string]any

	device  string
	time    time.Time
	out     []reading.Reading
	native  []int // how many values of out a native dialect read
	count   int
	dropped int

	*tray // of JSON only

	// Room for a plain device, so that it costs one allocation.
	oneReading [1]reading.Reading
	someValues [4]reading.Value
}

// A tray is room for what a message of JSON says.
type tray struct {
	found    [maxFound]found
	readings [4]reading.Reading
	values   [4 * valuesEach]reading.Value
}

// valuesEach is the room for each of a tray's readings.
const valuesEach = 6

// A pair is one key=value of a payload.
type pair struct{ key, value string }

func newMessage(r *rule, msg dialect.Message, c captures, base *dialect.Result) *message {
	m := &message{rule: r, topic: msg.Topic, captures: c}
	m.out = m.oneReading[:0]
	if base == nil {
		return m
	}
	m.out = slices.Clone(base.Readings)
	for i := range m.out {
		m.out[i].Values = slices.Clone(m.out[i].Values)
		m.native = append(m.native, len(m.out[i].Values))
	}
	return m
}

// open parses the payload.
func (m *message) open(payload []byte) error {
	if m.rule.format == formatJSON {
		var err error
		m.root, err = dialect.Object(payload)
		m.tray = new(tray)
		if len(m.out) == 0 {
			m.out = m.readings[:0]
		}
		return err
	}
	text := string(dialect.Trim(payload))
	if !utf8.ValidString(text) {
		return errNotUTF8
	}
	switch m.rule.format {
	case formatNumber:
		return m.openNumber(text)
	case formatKV:
		return m.openPairs(text)
	}
	m.root = gjson.Result{Type: gjson.String, Raw: text, Str: text}
	return nil
}

func (m *message) openNumber(text string) error {
	if saysNone(text) {
		return nil
	}
	if slices.ContainsFunc(m.rule.items, func(it item) bool { return it.quoted }) {
		m.root = gjson.Result{Type: gjson.String, Raw: text, Str: text}
		return nil
	}
	number, err := dialect.Number(text)
	if err != nil {
		return err
	}
	m.root = gjson.Result{Type: gjson.Number, Raw: text, Num: number}
	return nil
}

// openPairs reads key=value or key:value with blanks, commas, semicolons,
// ampersands or line breaks between.
func (m *message) openPairs(text string) error {
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;&", r) })
	if len(parts) == 0 {
		return dialect.ErrEmpty
	}
	if len(parts) > maxPairs {
		return errTooMany
	}
	for _, part := range parts {
		at := strings.IndexAny(part, "=:")
		if at <= 0 {
			return fmt.Errorf("%q is no key=value", shown(part))
		}
		m.pairs = append(m.pairs, pair{part[:at], part[at+1:]})
	}
	return nil
}

// value returns what stands at a path. Of two keys alike the first counts.
func (m *message) value(path string) gjson.Result {
	switch {
	case m.rule.format == formatKV:
		for _, p := range m.pairs {
			if p.key == path {
				return gjson.Result{Type: gjson.String, Raw: p.value, Str: p.value}
			}
		}
		return gjson.Result{}
	case m.rule.format != formatJSON, path == "":
		return m.root
	}
	return m.root.Get(path)
}

// variables are what the rule's expressions use, made once a message.
func (m *message) variables() map[string]any {
	if m.vars != nil {
		return m.vars
	}
	m.vars = make(map[string]any, len(m.rule.uses))
	names := m.rule.pattern.names
	for _, name := range m.rule.uses {
		if i := slices.Index(names, name); i >= 0 {
			m.vars[name] = m.captures[i]
		} else if name == "topic" {
			m.vars[name] = m.topic
		} else if v := m.variable(name); v.Exists() {
			m.vars[name] = v.Value()
		}
	}
	return m.vars
}

// text returns the text that an expression would get for a name.
func (m *message) text(name string) (string, bool) {
	if i := slices.Index(m.rule.pattern.names, name); i >= 0 {
		return m.captures[i], true
	}
	if name == "topic" {
		return m.topic, true
	}
	v := m.variable(name)
	return v.Str, v.Type == gjson.String
}

func (m *message) variable(name string) gjson.Result {
	bare := m.rule.format == formatNumber || m.rule.format == formatText
	if bare && name != "value" {
		return gjson.Result{}
	}
	return m.value(name)
}

// read goes through the items. A message without the device's name in it is
// somebody else's.
func (m *message) read(t *trace) (dialect.Result, bool) {
	device, err := m.name()
	switch {
	case errors.Is(err, errAbsent):
		t.sayError("it has no device", err)
		return dialect.Result{}, false
	case err != nil:
		t.sayError("it has no device", err)
		return dialect.Result{Err: fmt.Errorf("device: %w", err)}, true
	case device == "":
		t.say("the native dialect read no device to add to; name one with `device`")
		return dialect.Result{}, true
	}
	m.device, m.time = device, m.rule.time.read(m)
	if err := m.items(t); err != nil {
		t.sayError("it cannot be read", err)
		return dialect.Result{Err: err}, true
	}
	return m.result(t), true
}

// items reads the values that the rule names, and then those of numbered keys.
func (m *message) items(t *trace) error {
	for i := range m.rule.groups {
		if g := &m.rule.groups[i]; len(g.plain) > 0 {
			m.find(g)
		}
	}
	for i := range m.rule.items {
		it := &m.rule.items[i]
		if it.numbered || !it.applies(&m.captures) {
			continue
		}
		if err := m.item(i, it, t); err != nil {
			return err
		}
	}
	for i := range m.rule.groups {
		if g := &m.rule.groups[i]; len(g.numbered) > 0 {
			if err := m.each(g, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// name finds the device: the rule's, or the one that a native dialect found.
func (m *message) name() (string, error) {
	if m.rule.device == nil {
		if len(m.out) > 0 {
			return m.out[0].Device, nil
		}
		return "", nil
	}
	device, err := m.rule.device.fill(m, "")
	if err == nil && device == "" {
		err = errEmptyName
	}
	return device, err
}

func (m *message) item(i int, it *item, t *trace) error {
	if it.expr != nil {
		number, o := it.expr.number(m)
		return m.put(it, "", number, it.unit, o, t)
	}
	var v gjson.Result
	if it.planned {
		v = m.found[i].value()
	} else {
		v = m.value(it.path)
	}
	number, unit, o := it.number(v)
	if o == notNumber || o == foreignUnit {
		if m.rule.format == formatNumber || m.rule.format == formatText {
			return dialect.ErrNotNumber // the payload is nothing else
		}
	}
	return m.put(it, "", number, unit, o, t)
}

// put judges a number and adds it to the reading of its channel.
func (m *message) put(it *item, n string, number float64, unit dialect.Conversion, o outcome, t *trace) error {
	suspect := false
	if o == good {
		number, suspect, o = it.judge(number, unit)
	}
	t.value(it, n, number, o)
	if o != good {
		if o.counts() {
			m.dropped++
		}
		return nil
	}
	channel, err := m.channel(it, n)
	if err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	at := m.reading(channel)
	if it.curve != nil {
		m.calibrate(at, it, number, suspect)
	} else {
		m.add(at, reading.Value{Metric: it.metric, Number: number, Suspect: suspect})
	}
	if m.count > maxValues {
		return errTooMany
	}
	return nil
}

func (m *message) channel(it *item, n string) (string, error) {
	if it.channel == nil {
		return "", nil
	}
	return it.channel.fill(m, n)
}

// calibrate adds the percent, and the raw value unless the reading has one.
func (m *message) calibrate(at int, it *item, raw float64, suspect bool) {
	percent, covered := it.curve.percent(raw)
	hasRaw := slices.ContainsFunc(m.out[at].Values, func(v reading.Value) bool {
		return v.Metric == reading.ADCRaw || v.Metric == reading.SoilMoistureRaw || v.Metric == reading.SoilVoltage
	})
	if !hasRaw {
		m.add(at, reading.Value{Metric: it.raw, Number: raw, Suspect: suspect})
	}
	if percent, finite := dialect.Finite(percent); finite && percent >= it.min && percent <= it.max {
		m.out[at].Calibration = it.curve.id
		m.add(at, reading.Value{Metric: it.metric, Number: percent, Suspect: suspect || !covered})
	} else {
		m.dropped++
	}
}

// reading finds or makes the reading of a channel.
func (m *message) reading(channel string) int {
	for i := len(m.out) - 1; i >= 0; i-- {
		if m.out[i].Channel == channel && m.out[i].Device == m.device {
			return i
		}
	}
	r := reading.Reading{Device: m.device, Channel: channel, Source: m.rule.source, Time: m.time}
	n := len(m.out)
	switch {
	case n > 0 && m.rule.extends != "":
		r.Source, r.Time = m.out[0].Source, m.out[0].Time
	case m.tray != nil && n < len(m.readings):
		r.Values = m.values[n*valuesEach : n*valuesEach : (n+1)*valuesEach]
	case n == 0:
		r.Values = m.someValues[:0]
	}
	m.out = append(m.out, r)
	return n
}

// add puts in a value. What the owner says of a device replaces what a native
// dialect made of it; of two values that the rule reads the first counts.
func (m *message) add(at int, v reading.Value) {
	r := &m.out[at]
	for i := range r.Values {
		if r.Values[i].Metric != v.Metric {
			continue
		}
		if at < len(m.native) && i < m.native[at] {
			r.Values[i] = v
		}
		return
	}
	r.Values = append(r.Values, v)
	m.count++
}

func (m *message) result(t *trace) dialect.Result {
	result := dialect.Result{Readings: m.out, Dropped: m.dropped}
	m.out = slices.DeleteFunc(m.out, func(r reading.Reading) bool { return len(r.Values) == 0 })
	if result.Readings = m.out; len(m.out) == 0 {
		result.Readings = nil
	}
	if m.rule.cached != nil {
		yes, err := m.rule.cached.holds(m)
		t.asked(m.rule.cached, yes, err)
		result.Cached = yes
	}
	return result
}
