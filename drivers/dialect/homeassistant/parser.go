package homeassistant

import (
	"strconv"
	"strings"
)

// A parser reads the inside of a template's braces. Once ok is false nothing
// that it gives counts.
type parser struct {
	rest string
	ok   bool
}

// peek returns the next byte behind blanks, 0 at the end.
func (p *parser) peek() byte {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *parser) next() byte {
	c := p.peek()
	if c != 0 {
		p.rest = p.rest[1:]
	}
	return c
}

func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}

// name reads a name; there must be one.
func (p *parser) name() string {
	p.peek()
	n := 0
	for n < len(p.rest) && isNameByte(p.rest[n]) {
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	p.ok = p.ok && n > 0
	return name
}

// word takes a word if it is the next one.
func (p *parser) word(word string) bool {
	p.peek()
	rest, ok := strings.CutPrefix(p.rest, word)
	if !ok || rest != "" && isNameByte(rest[0]) {
		return false
	}
	p.rest = rest
	return true
}

// number reads digits with an optional fraction.
func (p *parser) number() float64 {
	p.peek()
	n := 0
	for n < len(p.rest) && (isNameByte(p.rest[n]) || p.rest[n] == '.') {
		n++
	}
	number, ok := decimal(p.rest[:n])
	p.rest = p.rest[n:]
	p.ok = p.ok && ok
	return number
}

// text reads a string without escapes.
func (p *parser) text() string {
	quote := p.next()
	text, rest, found := strings.Cut(p.rest, string(quote))
	p.ok = p.ok && found && !strings.Contains(text, `\`)
	p.rest = rest
	return text
}

// anyLiteral reads a number, a text or a constant. Only a number has a value.
func (p *parser) anyLiteral() operand {
	negative := p.take('-')
	switch c := p.peek(); {
	case c == '"' || c == '\'':
		p.text()
		return operand{}
	case '0' <= c && c <= '9':
		number := p.number()
		if negative {
			number = -number
		}
		return operand{literal: true, number: number}
	}
	switch p.name() {
	case "none", "None", "true", "True", "false", "False":
	default:
		p.ok = false
	}
	return operand{}
}

// arguments reads what stands in parentheses behind a filter, with or without
// the name default, which three of the filters know.
func (p *parser) arguments() []operand {
	if !p.take('(') {
		return nil
	}
	var args []operand
	for p.ok && !p.take(')') {
		if p.word("default") || p.word("default_value") {
			p.ok = p.ok && p.take('=')
		}
		args = append(args, p.anyLiteral())
		if p.peek() != ')' {
			p.ok = p.ok && p.take(',')
		}
	}
	return args
}

// keyOf: behind a dot, digits alone are an index.
func keyOf(name string) key {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return key{index: n, isIndex: true}
	}
	return key{name: name}
}
