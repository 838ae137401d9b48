package homeassistant

import (
	"math"
	"slices"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
)

// maxSteps bounds what is done for one number, and how deep it may stand.
const maxSteps = 16

// compile reads a value_template:
//
//	template  = "" | "{{" choice "}}" | "{% if" guard "%}" "{{" choice "}}" ["{% else %}" text] "{% endif %}"
//	choice    = sum ["if" guard ["else" literal]]
//	guard     = path "is" "defined"
//	sum       = product {("+" | "-") product}
//	product   = filtered {("*" | "/") filtered}
//	filtered  = ["-"] operand {"|" filter}
//	operand   = number | path | "(" choice ")"
//	path      = ("value" | "value_json") {"." name | "[" (text | number) "]"}
//	filter    = name ["(" [literal {"," literal}] ")"]
//
// One operand of each operation is a literal, so that a template is one value
// and a list of steps. It reports false for everything else.
func compile(source string) (template, bool) {
	source = strings.TrimSpace(source)
	if source == "" {
		return template{}, true
	}
	if strings.HasPrefix(source, "{%") {
		return compileStatement(source)
	}
	inner, ok := between(source, "{{", "}}")
	if !ok {
		return template{}, false
	}
	p := parser{rest: inner, ok: true}
	o := p.choice()
	if !p.ok || p.peek() != 0 || o.literal || !o.isBounded() {
		return template{}, false
	}
	return o.template, true
}

func (t *template) isBounded() bool {
	tooDeep := func(path []key) bool { return len(path) > maxSteps }
	return len(t.steps)+len(t.guards) <= maxSteps && !tooDeep(t.path) && !slices.ContainsFunc(t.guards, tooDeep)
}

// compileStatement reads a template with its condition around it. What stands
// behind else is for when there is no value.
func compileStatement(source string) (template, bool) {
	condition, rest, found := strings.Cut(source, "%}")
	expression, rest, foundEnd := strings.Cut(rest, "{%")
	condition, isTag := strings.CutPrefix(strings.Trim(condition, "{%- \t\r\n"), "if ")
	if !found || !foundEnd || !isTag {
		return template{}, false
	}
	tag, rest, _ := strings.Cut(rest, "%}")
	if word(tag) == "else" {
		var otherwise string
		otherwise, rest, _ = strings.Cut(rest, "{%")
		if strings.Contains(otherwise, "value") { // a second place to read
			return template{}, false
		}
		tag, rest, _ = strings.Cut(rest, "%}")
	}
	p := parser{rest: condition, ok: true}
	guard := p.guard()
	t, ok := compile(expression)
	if !ok || !p.ok || p.peek() != 0 || !t.isJSON || word(tag) != "endif" || strings.TrimSpace(rest) != "" {
		return template{}, false
	}
	t.guards = append(t.guards, guard)
	return t, t.isBounded()
}

func word(tag string) string { return strings.Trim(tag, "- \t\r\n") }

// between takes off the braces, and the signs that take off blanks.
func between(source, left, right string) (string, bool) {
	inner, ok := strings.CutPrefix(source, left)
	if !ok {
		return "", false
	}
	if inner, ok = strings.CutSuffix(inner, right); !ok {
		return "", false
	}
	return strings.TrimSuffix(strings.TrimPrefix(inner, "-"), "-"), true
}

// An operand is a literal, or a value with what has been done to it.
type operand struct {
	template
	literal bool
	number  float64
}

// then does one more thing.
func (o operand) then(s step) operand {
	if o.literal {
		o.number = s.apply(o.number)
		return o
	}
	o.steps = append(o.steps, s)
	return o
}

// choice reads a value with its condition behind it.
func (p *parser) choice() operand {
	o := p.sum()
	if !p.word("if") {
		return o
	}
	o.guards = append(o.guards, p.guard())
	if p.word("else") {
		p.anyLiteral()
	}
	p.ok = p.ok && o.isJSON
	return o
}

func (p *parser) guard() []key {
	path, isJSON := p.path()
	p.ok = p.ok && isJSON && p.word("is") && p.word("defined")
	return path
}

func (p *parser) sum() operand {
	o := p.product()
	for p.ok && (p.peek() == '+' || p.peek() == '-') {
		sign := p.next()
		o = p.combine(o, sign, p.product())
	}
	return o
}

func (p *parser) product() operand {
	o := p.filtered()
	for p.ok && (p.peek() == '*' || p.peek() == '/') {
		sign := p.next()
		o = p.combine(o, sign, p.filtered())
	}
	return o
}

// combine calculates with two operands, of which one is a literal.
func (p *parser) combine(a operand, sign byte, b operand) operand {
	switch {
	case !a.literal && !b.literal, b.literal && b.number == 0 && sign == '/':
		p.ok = false
		return a
	case b.literal:
		return p.calculated(a).then(right(sign, b.number))
	default:
		return p.calculated(b).then(left(a.number, sign))
	}
}

// calculated: value is text, with which Jinja calculates differently, if at all:
// "12" * 2 is "1212".
func (p *parser) calculated(o operand) operand {
	if !o.literal && !o.isJSON && len(o.steps) == 0 {
		p.ok = false
	}
	return o
}

// right is what a literal on the right does.
func right(sign byte, number float64) step {
	c := dialect.Conversion{Factor: 1}
	switch sign {
	case '+':
		c.Offset = number
	case '-':
		c.Offset = -number
	case '*':
		c.Factor = number
	case '/':
		c.Factor = 1 / number
	}
	return step{kind: linear, linear: c}
}

// left is what a literal on the left does.
func left(number float64, sign byte) step {
	switch sign {
	case '-':
		return step{kind: linear, linear: dialect.Conversion{Factor: -1, Offset: number}}
	case '/':
		return step{kind: inverse, number: number}
	}
	return right(sign, number)
}

func (p *parser) filtered() operand {
	negative := p.take('-')
	o := p.operand()
	if negative {
		o = p.calculated(o).then(right('*', -1))
	}
	for p.ok && p.take('|') {
		o = p.filter(o)
	}
	return o
}

func (p *parser) operand() operand {
	switch c := p.peek(); {
	case c == '(':
		p.next()
		o := p.choice()
		p.ok = p.ok && p.take(')')
		return o
	case '0' <= c && c <= '9':
		return operand{literal: true, number: p.number()}
	}
	path, isJSON := p.path()
	return operand{template: template{isJSON: isJSON, path: slices.Clip(path)}}
}

// path reads value or value_json and the way into it.
func (p *parser) path() (path []key, isJSON bool) {
	switch p.name() {
	case "value":
		return nil, false
	case "value_json":
	default:
		p.ok = false
		return nil, false
	}
	for p.ok {
		switch {
		case p.take('.'):
			path = append(path, keyOf(p.name()))
		case p.take('['):
			path = append(path, p.subscript())
			p.ok = p.ok && p.take(']')
		default:
			return path, true
		}
	}
	return nil, true
}

func (p *parser) subscript() key {
	if c := p.peek(); c == '"' || c == '\'' {
		return key{name: p.text()}
	}
	n := p.number()
	if n != math.Trunc(n) || n < 0 || n > 1<<16 {
		p.ok = false
	}
	return key{index: int(n), isIndex: true}
}

// filter reads the name of a filter and its arguments. A default is for when
// there is no value, and so never used.
func (p *parser) filter(o operand) operand {
	name := p.name()
	args := p.arguments()
	switch {
	case name == "float" && len(args) <= 1:
		return o.then(step{kind: toFloat})
	case name == "int" && len(args) <= 1:
		return o.then(step{kind: truncate})
	case name == "round" && len(args) <= 1:
		return o.then(p.rounding(args))
	case name == "default", name == "d", name == "is_defined" && len(args) == 0:
		return o
	}
	p.ok = false
	return o
}

// rounding knows only whole numbers of digits behind the point.
func (p *parser) rounding(args []operand) step {
	digits := 0.0
	if len(args) == 1 {
		digits = args[0].number
		p.ok = p.ok && args[0].literal
	}
	if digits != math.Trunc(digits) || digits < 0 || digits > 15 {
		p.ok, digits = false, 0
	}
	return step{kind: rounding, digits: int(digits)}
}
