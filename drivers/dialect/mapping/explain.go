package mapping

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
)

// Explain says in words which mapping reads a message and what it reads, or why
// none does. A mapping that extends a native dialect is shown without what that
// dialect would read.
func (d *Decoder) Explain(m dialect.Message) string {
	t := new(trace)
	for _, r := range d.rules {
		if strings.HasPrefix(m.Topic, "$") {
			break
		}
		before := len(t.text)
		result, mine := r.decode(m, standIn(r, "<device>"), t)
		switch {
		case mine:
			t.total(result)
			if r.extends == "" {
				return string(t.text)
			}
		case len(t.text) > before:
			t.say("so it is left to the mappings that follow")
		}
	}
	if len(t.text) == 0 {
		return "no mapping matches the topic " + shown(m.Topic) + "\n"
	}
	return string(t.text)
}

// A trace is what Explain writes down. Nobody writes on a nil one, which is
// what a gateway at work has.
type trace struct{ text []byte }

func (t *trace) line(format string, args ...any) {
	t.text = append(fmt.Appendf(t.text, format, args...), '\n')
}

func (t *trace) say(what string) {
	if t != nil {
		t.line("  %s", what)
	}
}

func (t *trace) sayError(what string, err error) {
	if t != nil {
		t.line("  %s: %v", shown(what), err)
	}
}

func (t *trace) matched(r *rule, c captures) {
	if t == nil {
		return
	}
	var names strings.Builder
	for i, name := range r.pattern.names {
		fmt.Fprintf(&names, " %s=%q", name, shown(c[i]))
	}
	t.line("%s (%s) matches the topic%s", r.name, r.place, names.String())
}

func (t *trace) asked(e *expression, yes bool, err error) {
	switch {
	case t == nil:
	case err != nil:
		t.line("  %s: not true, for %v", shown(e.text), err)
	default:
		t.line("  %s: %v", shown(e.text), yes)
	}
}

func (t *trace) value(it *item, n string, number float64, o outcome) {
	if t == nil {
		return
	}
	label := it.label
	if it.numbered {
		label = strings.Replace(label, "{n}", n, 1)
	}
	if o != good {
		t.line("  %s: %v", shown(label), o)
		return
	}
	via := ""
	if it.curve != nil {
		percent, _ := it.curve.percent(number)
		via = fmt.Sprintf(" -> %s %%, calibration %s", strconv.FormatFloat(percent, 'g', 6, 64), it.curve.id)
	}
	t.line("  %s: %s %s%s", shown(label), it.metric.Quantity(), strconv.FormatFloat(number, 'g', -1, 64), via)
}

// total says what the message came to.
func (t *trace) total(result dialect.Result) {
	if result.Err != nil {
		t.line("  nothing is read: %v", result.Err)
		return
	}
	n := 0
	for _, r := range result.Readings {
		n += len(r.Values)
		for _, v := range r.Values {
			mark := ""
			if v.Suspect {
				mark = " (suspect)"
			}
			t.line("= %s %q %s=%s%s", shown(r.Device), shown(r.Channel), v.Metric, strconv.FormatFloat(v.Number, 'g', -1, 64), mark)
		}
	}
	if n == 0 {
		t.say("nothing is read")
	}
}
