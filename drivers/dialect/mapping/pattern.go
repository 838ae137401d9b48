package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxCaptures bounds the named parts of a topic.
const maxCaptures = 8

// A pattern is a topic filter with names: "shellies/{id...}/relay/{n}/energy".
// At most one of its levels stands for many, so a topic fits in one way or not
// at all.
type pattern struct {
	text   string
	before []level // up to the level that stands for many; all of them without one
	many   *level  // nil: each level stands for one
	after  []level

	// What any topic that fits begins and ends with: most topics are somebody
	// else's and are turned away by these.
	head, tail string

	names []string // of the captures, in the order of a topic
}

// A level of a pattern is fixed text, with at most one part between that is
// free.
type level struct {
	prefix, suffix string
	free           bool
	name           string // of what the free part holds; "": nobody asks
	none           bool   // of a level for many: it may hold nothing, as # does
}

func parsePattern(text string) (*pattern, error) {
	if text == "" {
		return nil, errors.New("a topic is wanted")
	}
	p := &pattern{text: text}
	parts := strings.Split(text, "/")
	for i, part := range parts {
		l, many, err := parseLevel(part, i == len(parts)-1)
		if err != nil {
			return nil, err
		}
		if err := p.call(l.name); err != nil {
			return nil, err
		}
		switch {
		case many && p.many != nil:
			return nil, errors.New("only one level may stand for many")
		case many:
			p.many = &l
		case p.many != nil:
			p.after = append(p.after, l)
		default:
			p.before = append(p.before, l)
		}
	}
	p.head, p.tail = p.fixedHead(), p.fixedTail()
	return p, nil
}

// call takes a name into the captures.
func (p *pattern) call(name string) error {
	switch {
	case name == "":
		return nil
	case slices.Contains(p.names, name):
		return fmt.Errorf("the name {%s} stands there twice", name)
	case len(p.names) == maxCaptures:
		return fmt.Errorf("more than %d names", maxCaptures)
	}
	p.names = append(p.names, name)
	return nil
}

func parseLevel(part string, last bool) (l level, many bool, err error) {
	open, closing := strings.IndexByte(part, '{'), strings.IndexByte(part, '}')
	switch {
	case part == "+":
		return level{free: true}, false, nil
	case part == "#" && last:
		return level{free: true, none: true}, true, nil
	case strings.ContainsAny(part, "+#"):
		return level{}, false, fmt.Errorf("%q: + stands alone in a level, # alone in the last one", part)
	case open < 0 && closing < 0:
		return level{prefix: part}, false, nil
	case open < 0 || closing < open || strings.ContainsAny(part[open+1:closing]+part[closing+1:], "{}"):
		return level{}, false, fmt.Errorf("%q: one {name} fits into a level", part)
	}
	name, many := strings.CutSuffix(part[open+1:closing], "...")
	l = level{prefix: part[:open], suffix: part[closing+1:], free: true, name: name}
	switch {
	case !isName(name):
		return level{}, false, fmt.Errorf("{%s}: a name is made of a-z, 0-9 and _ and begins with a letter", name)
	case name == "topic":
		return level{}, false, errors.New("{topic} is the whole topic, and needs no place in it")
	case many && (l.prefix != "" || l.suffix != ""):
		return level{}, false, fmt.Errorf("%q: {%s...} stands alone", part, name)
	}
	return l, many, nil
}

func isName(text string) bool {
	for i, c := range []byte(text) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}

func (p *pattern) fixedHead() string {
	var b strings.Builder
	for i, l := range p.before {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(l.prefix)
		if l.free {
			break
		}
	}
	return b.String()
}

func (p *pattern) fixedTail() string {
	tail := ""
	for i := len(p.after) - 1; i >= 0; i-- {
		l := p.after[i]
		if l.free {
			return l.suffix + tail
		}
		tail = "/" + l.prefix + tail
	}
	return tail
}

// captures are the named parts of a topic, in the order of the pattern.
type captures [maxCaptures]string

// near turns most topics away at once.
func (p *pattern) near(topic string) bool {
	return strings.HasPrefix(topic, p.head) && strings.HasSuffix(topic, p.tail)
}

// match fills c and reports whether the topic fits.
func (p *pattern) match(topic string, c *captures) bool {
	n, rest, ended := 0, topic, false
	for _, l := range p.before {
		if ended {
			return false
		}
		var part string
		part, rest, ended = cutLevel(rest)
		if !l.take(part, c, &n) {
			return false
		}
	}
	if p.many == nil {
		return ended
	}
	return p.matchMany(rest, ended, c, n)
}

// matchMany gives the level that stands for many what the levels after it leave.
func (p *pattern) matchMany(rest string, ended bool, c *captures, n int) bool {
	if ended { // nothing is left: only # takes that
		return p.many.none
	}
	free := rest
	for range p.after {
		at := strings.LastIndexByte(free, '/')
		if at < 0 {
			return false
		}
		free = free[:at]
	}
	if p.many.name != "" {
		c[n], n = free, n+1
	}
	left := strings.TrimPrefix(rest[len(free):], "/")
	for _, l := range p.after {
		var part string
		if part, left, _ = cutLevel(left); !l.take(part, c, &n) {
			return false
		}
	}
	return free != "" || p.many.none
}

func cutLevel(text string) (part, rest string, ended bool) {
	part, rest, found := strings.Cut(text, "/")
	return part, rest, !found
}

func (l *level) take(part string, c *captures, n *int) bool {
	if !l.free {
		return part == l.prefix
	}
	if len(part) <= len(l.prefix)+len(l.suffix) && l.prefix+l.suffix != "" || !strings.HasPrefix(part, l.prefix) || !strings.HasSuffix(part, l.suffix) {
		return false
	}
	if l.name != "" {
		c[*n] = part[len(l.prefix) : len(part)-len(l.suffix)]
		*n++
	}
	return true
}
