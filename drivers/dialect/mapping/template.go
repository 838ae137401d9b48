package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// A template makes a name: plain text with {places} in it, $.path for a text of
// the message, or an expression behind an equals sign.
type template struct {
	parts    []part
	computed *expression
}

// A part is fixed text, or a place for what the topic or the message holds.
type part struct {
	fixed    string
	capture  int    // index into the captures; -1: none
	path     string // into the message
	topic    bool   // the whole topic
	number   bool   // what {n} of a key stands for
	optional bool   // {name?}: nothing when it is absent
}

// parseTemplate reads text; numbered says that {n} is the number in a key.
func parseTemplate(text string, captures []string, numbered bool) (*template, error) {
	if rest, ok := strings.CutPrefix(text, "="); ok {
		e, err := compile(strings.TrimSpace(rest))
		return &template{computed: e}, err
	}
	if path, ok := strings.CutPrefix(text, "$."); ok {
		return &template{parts: []part{{capture: -1, path: path}}}, nil
	}
	t := new(template)
	for text != "" {
		fixed, rest, found := strings.Cut(text, "{")
		if fixed != "" {
			t.parts = append(t.parts, part{fixed: fixed, capture: -1})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		name, optional := strings.CutSuffix(name, "?")
		if !closed || name == "" || strings.Contains(name, "{") {
			return nil, errors.New("a {place} is not closed, or empty")
		}
		p := part{capture: slices.Index(captures, name), topic: name == "topic", number: numbered && name == "n", optional: optional}
		if p.capture < 0 && !p.topic && !p.number {
			p.path = name
		}
		t.parts = append(t.parts, p)
		text = after
	}
	return t, nil
}

// needsMessage tells whether a template looks into the payload.
func (t *template) needsMessage() bool {
	return t.computed != nil || slices.ContainsFunc(t.parts, func(p part) bool { return p.path != "" })
}

// fill writes the name. n is what {n} stands for.
func (t *template) fill(m *message, n string) (string, error) {
	if t.computed != nil {
		return t.compute(m)
	}
	var room [64]byte
	text, single := room[:0], ""
	for _, p := range t.parts {
		piece, ok := p.fill(m, n)
		if !ok && !p.optional {
			return "", fmt.Errorf("{%s}: %w", shown(p.path), errAbsent)
		}
		text, single = append(text, piece...), piece
	}
	if len(t.parts) != 1 {
		single = string(text)
	}
	return single, validName(single)
}

func (t *template) compute(m *message) (string, error) {
	result, err := t.computed.run(m)
	if err != nil {
		return "", err
	}
	text, ok := result.(string)
	if !ok {
		return "", fmt.Errorf("%s gives no text", shown(t.computed.text))
	}
	return text, validName(text)
}

func (p part) fill(m *message, n string) (string, bool) {
	switch {
	case p.capture >= 0:
		return m.captures[p.capture], true
	case p.topic:
		return m.topic, true
	case p.number:
		return n, true
	case p.path == "":
		return p.fixed, true
	}
	v := m.value(p.path)
	if v.Type == gjson.Number {
		return v.Raw, true
	}
	return v.Str, v.Type == gjson.String
}

func validName(name string) error {
	switch {
	case len(name) > reading.MaxNameBytes:
		return fmt.Errorf("name is longer than %d bytes", reading.MaxNameBytes)
	case strings.IndexByte(name, 0) >= 0:
		return errors.New("name holds a NUL byte")
	case strings.ToValidUTF8(name, "") != name:
		return errors.New("name is not UTF-8")
	}
	return nil
}
