package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A decoder reads one file and collects all that is wrong with it.
type decoder struct {
	name     string
	lines    []string
	refused  map[*yaml.Node]bool // nodes about which enough has been said
	aliases  map[string]bool     // the same for what aliases refer to
	problems Errors
	warnings Errors
}

func newDecoder(name string, text []byte) *decoder {
	d := &decoder{name: name, refused: make(map[*yaml.Node]bool), aliases: make(map[string]bool)}
	if len(text) <= maxFileBytes {
		d.lines = lineBreaks.Split(strings.TrimPrefix(string(text), "\ufeff"), -1)
	}
	return d
}

// complain reports a problem at a node.
func (d *decoder) complain(at *yaml.Node, message, hint string) {
	if !d.refused[at] {
		d.complainAt(at.Line, at.Column, message, hint)
	}
}

func (d *decoder) complainAt(line, column int, message, hint string) {
	if !d.full() {
		d.problems = append(d.problems, d.problem(max(line, 1), max(column, 1), message, hint))
	}
}

// full reports whether further problems would be left out.
func (d *decoder) full() bool { return len(d.problems) >= maxProblems }

func (d *decoder) warn(at *yaml.Node, message, hint string) {
	d.warnings = append(d.warnings, d.problem(max(at.Line, 1), max(at.Column, 1), message, hint))
}

func (d *decoder) problem(line, column int, message, hint string) Problem {
	p := Problem{File: d.name, Line: line, Column: column, Message: message, Hint: hint}
	d.quote(&p)
	return p
}

// An object is one mapping of the file, and what has been asked of it.
type object struct {
	d      *decoder
	path   string     // "kafka.tls"; "" is the whole file
	where  *yaml.Node // what to point at when something is missing
	keys   map[string]pair
	order  []pair // every key once, in the order of the file
	asked  []string
	absent bool // not in the file, or not a mapping: nothing can be missing in it
}

// A pair is one key with its value.
type pair struct{ key, value *yaml.Node }

func (d *decoder) root(n *yaml.Node) *object { return d.object("", n, n) }

// object reads the keys of a mapping; of a key that is written twice the first
// counts.
func (d *decoder) object(path string, where, n *yaml.Node) *object {
	o := &object{d: d, path: path, where: where, keys: make(map[string]pair)}
	for i := 0; i+1 < len(n.Content); i += 2 {
		p := pair{n.Content[i], n.Content[i+1]}
		if p.key.Kind != yaml.ScalarNode {
			d.complain(p.key, "a key must be a word, not "+kindOf(p.key), "")
			continue
		}
		if first, ok := o.keys[p.key.Value]; ok {
			d.complain(p.key, fmt.Sprintf("%s is already written in line %d", quoted(o.name(p.key.Value)), first.key.Line),
				"keep one of the two, or merge what is under them")
			continue
		}
		o.keys[p.key.Value] = p
		o.order = append(o.order, p)
	}
	return o
}

// name returns the full path of a key, for messages.
func (o *object) name(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

func (o *object) has(key string) bool {
	_, ok := o.keys[key]
	return ok
}

// filled reports whether a key is there with more than an empty text.
func (o *object) filled(key string) bool {
	p, ok := o.keys[key]
	return ok && (p.value.Kind != yaml.ScalarNode || p.value.Value != "")
}

// place returns what to point at when something is wrong with a key.
func (o *object) place(key string) *yaml.Node {
	if p, ok := o.keys[key]; ok {
		return p.value
	}
	return o.where
}

// element returns the i-th of a list, or the node itself when it is no list.
func element(n *yaml.Node, i int) *yaml.Node {
	if n.Kind == yaml.SequenceNode && i < len(n.Content) {
		return n.Content[i]
	}
	return n
}

// require reports a key that has no default and is not there.
func (o *object) require(key, hint string) {
	if !o.absent && !o.has(key) {
		o.d.complain(o.where, "`"+o.name(key)+"` is missing", hint)
	}
}

// section returns the mapping under key. One that is absent, or empty because
// all of its keys are commented out, has no keys.
func (o *object) section(key string) *object {
	o.asked = append(o.asked, key)
	p, ok := o.keys[key]
	if !ok {
		return &object{d: o.d, path: o.name(key), where: o.where, absent: o.absent}
	}
	if p.value.Kind == yaml.MappingNode {
		return o.d.object(o.name(key), p.key, p.value)
	}
	if isNull(p.value) {
		return &object{d: o.d, path: o.name(key), where: p.key}
	}
	o.d.complain(p.value, fmt.Sprintf("`%s` must have keys of its own, not %s", o.name(key), kindOf(p.value)), keysUnder(o.name(key)))
	return &object{d: o.d, path: o.name(key), where: p.key, absent: true}
}

func keysUnder(path string) string {
	var keys []string
	for _, k := range Keys() {
		if section, key, _ := cutLast(k); section == path {
			keys = append(keys, "`"+key+"`")
		}
	}
	return "write it on lines of their own, indented by two blanks: " + list(keys...)
}

// sections returns the mappings of the list under key.
func (o *object) sections(key string) []*object {
	o.asked = append(o.asked, key)
	p, ok := o.keys[key]
	if !ok || isNull(p.value) {
		return nil
	}
	if p.value.Kind != yaml.SequenceNode {
		o.d.complain(p.value, fmt.Sprintf("`%s` must be a list, not %s", o.name(key), kindOf(p.value)), "begin each element with `- `")
		return nil
	}
	var all []*object
	for i, n := range p.value.Content {
		path := fmt.Sprintf("%s[%d]", o.name(key), i)
		if n.Kind != yaml.MappingNode {
			o.d.complain(n, fmt.Sprintf("`%s` must have keys of its own, not %s", path, kindOf(n)), "")
			continue
		}
		all = append(all, o.d.object(path, n, n))
	}
	return all
}

// end reports the keys that nobody asked for. It comes last.
func (o *object) end() {
	for _, p := range o.order {
		if o.d.full() {
			return
		}
		if slices.Contains(o.asked, p.key.Value) {
			continue
		}
		if p.key.Value == "<<" {
			o.d.complain(p.key, "`<<` merges another place of the file", "write the keys out")
			continue
		}
		under := ""
		if o.path != "" {
			under = " under `" + o.path + "`"
		}
		o.d.complain(p.key, "unknown key "+quoted(p.key.Value)+under, suggestion(p.key.Value, o.asked))
	}
}

// A parser turns one value into a T, or reports what is wrong with it. name is
// the key's path.
type parser[T any] func(d *decoder, name string, n *yaml.Node) (T, bool)

// read puts the value under key into to, which keeps its default when the key
// is absent. It reports whether to was set.
func read[T any](o *object, key string, to *T, parse parser[T]) bool {
	o.asked = append(o.asked, key)
	p, ok := o.keys[key]
	if !ok {
		return false
	}
	if isNull(p.value) {
		o.d.complain(p.key, "`"+o.name(key)+"` has no value", "write one behind the colon, or remove the key: its default then holds")
		return false
	}
	v, ok := parse(o.d, o.name(key), p.value)
	if ok {
		*to = v
	}
	return ok
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kindOf names what a node is, for "must be ..., not ...".
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys of its own"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a reference"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return quoted(n.Value)
	case "!!int", "!!float":
		return "a number"
	default:
		return "text"
	}
}
