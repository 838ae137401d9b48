package mapping

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A file is one file of mappings while it is read, with all that is wrong with
// it.
type file struct {
	name     string
	problems []error
}

// maxProblems bounds what a file of another kind can say about itself.
const maxProblems = 100

func (f *file) wrong(at *yaml.Node, format string, args ...any) {
	if len(f.problems) < maxProblems {
		f.problems = append(f.problems, Problem{File: f.name, Line: max(at.Line, 1), Column: max(at.Column, 1), What: fmt.Sprintf(format, args...)})
	}
}

// An object is a YAML mapping with the keys that its place knows.
type object struct {
	f    *file
	node *yaml.Node
	keys map[string]*yaml.Node
}

// object checks the keys of a node. One that is no mapping has none.
func (f *file) object(n *yaml.Node, what string, known []string) object {
	o := object{f: f, node: n, keys: make(map[string]*yaml.Node)}
	if n.Kind != yaml.MappingNode {
		f.wrong(n, "%s is lines of `key: value`", what)
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			f.wrong(key, "%s has no key `%s`; %s", what, shown(key.Value), meant(key.Value, known))
		case o.keys[key.Value] != nil:
			f.wrong(key, "`%s` is written twice", key.Value)
		default:
			o.keys[key.Value] = value
		}
	}
	return o
}

func (o object) has(key string) bool { return o.keys[key] != nil }

// at is what to point at when a key is wrong.
func (o object) at(key string) *yaml.Node {
	if n := o.keys[key]; n != nil {
		return n
	}
	return o.node
}

// text returns a key's text; "" when it is not there.
func (o object) text(key string) string {
	n := o.keys[key]
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		o.f.wrong(n, "`%s` is a text", key)
		return ""
	}
	return n.Value
}

// needed is text that must be there.
func (o object) needed(key, why string) string {
	text := o.text(key)
	if text == "" && o.node.Kind == yaml.MappingNode {
		o.f.wrong(o.at(key), "`%s` is missing: %s", key, why)
	}
	return text
}

// word returns a text out of a list, the first of which is the default.
func (o object) word(key string, words ...string) string {
	text := o.text(key)
	if text == "" {
		return words[0]
	}
	if !slices.Contains(words, text) {
		o.f.wrong(o.at(key), "`%s` is `%s`; %s", key, shown(text), meant(text, words))
		return words[0]
	}
	return text
}

func (o object) yes(key string, otherwise bool) bool {
	switch text := o.text(key); text {
	case "":
		return otherwise
	case "true", "false":
		return text == "true"
	default:
		o.f.wrong(o.at(key), "`%s` is true or false", key)
		return otherwise
	}
}

func (o object) number(key string, otherwise float64) float64 {
	if !o.has(key) {
		return otherwise
	}
	return o.f.number(o.keys[key], key, otherwise)
}

func (f *file) number(n *yaml.Node, key string, otherwise float64) float64 {
	number, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
		f.wrong(n, "`%s` is a number", key)
		return otherwise
	}
	return number
}

func (o object) numbers(key string) []float64 {
	var all []float64
	for _, n := range o.list(key) {
		all = append(all, o.f.number(n, key, 0))
	}
	return all
}

func (o object) list(key string) []*yaml.Node {
	n := o.keys[key]
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		o.f.wrong(n, "`%s` is a list", key)
		return nil
	}
	return n.Content
}

func (o object) duration(key string) time.Duration {
	text := o.text(key)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		o.f.wrong(o.at(key), "`%s` is a time with its unit, for example 5s", key)
	}
	return max(d, 0)
}

// expression compiles the text under a key; nil when there is none.
func (o object) expression(key string) *expression {
	text := o.text(key)
	if text == "" {
		return nil
	}
	return o.compile(key, text)
}

func (o object) compile(key, text string) *expression {
	e, err := compile(strings.TrimSpace(text))
	if err != nil {
		o.f.wrong(o.at(key), "`%s`: %v", key, err)
		return nil
	}
	return e
}
