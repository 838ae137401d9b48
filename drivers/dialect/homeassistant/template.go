package homeassistant

import (
	"math"
	"strconv"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/tidwall/gjson"
)

// A template says where a number stands in a payload and what is done to it. It
// is a compiled value_template; the zero template takes the payload as it is.
type template struct {
	isJSON bool    // value_json, not value
	path   []key   // from the root of the JSON document
	steps  []step  // in order
	guards [][]key // paths that must be there
}

// A key is one step from a JSON value to one inside of it.
type key struct {
	name    string
	index   int
	isIndex bool
}

// A step is one thing done to a number.
type step struct {
	kind   stepKind
	linear dialect.Conversion
	digits int
	number float64
}

type stepKind uint8

const (
	linear   stepKind = iota // + - * / with a literal
	inverse                  // a literal / the number
	rounding                 // to digits behind the point
	truncate                 // int
	toFloat                  // float: text may be a number from here on
)

// number evaluates the template. It reports false for what is not there or is
// no number.
func (t *template) number(root gjson.Result) (float64, bool) {
	for _, path := range t.guards {
		if !find(root, path).Exists() {
			return 0, false
		}
	}
	number, ok := t.start(root)
	if !ok {
		return 0, false
	}
	for i := range t.steps {
		number = t.steps[i].apply(number)
	}
	return number, true
}

// start gives the number that the steps begin with. What a template prints is
// text, and Home Assistant reads the number back from it: so a number in quotes
// is one, but not where the template calculates with it.
func (t *template) start(root gjson.Result) (float64, bool) {
	if !t.isJSON {
		return decimal(root.Raw)
	}
	switch v := t.find(root); {
	case v.Type == gjson.Number:
		return v.Num, true
	case v.Type == gjson.String && !t.calculatesFirst():
		return decimal(v.Str)
	}
	return 0, false
}

func (t *template) calculatesFirst() bool {
	return len(t.steps) > 0 && t.steps[0].kind <= inverse
}

func decimal(text string) (float64, bool) {
	number, err := dialect.Number(text)
	return number, err == nil
}

func (t *template) find(root gjson.Result) gjson.Result { return find(root, t.path) }

// find does not use paths of gjson: in those, keys may be patterns and indices.
func find(v gjson.Result, path []key) gjson.Result {
	for i := range path {
		k := &path[i]
		if k.isIndex && !v.IsArray() || !k.isIndex && !v.IsObject() {
			return gjson.Result{}
		}
		v = k.in(v)
	}
	return v
}

func (k *key) in(v gjson.Result) (found gjson.Result) {
	n := 0
	v.ForEach(func(name, value gjson.Result) bool {
		if k.isIndex && n == k.index || !k.isIndex && name.Str == k.name {
			found = value
			return false
		}
		n++
		return true
	})
	return found
}

func (s *step) apply(number float64) float64 {
	switch s.kind {
	case linear:
		return s.linear.Apply(number)
	case inverse:
		return s.number / number
	case rounding:
		return round(number, s.digits)
	case truncate:
		return math.Trunc(number)
	default:
		return number
	}
}

// round rounds the decimal form, as Python does: 2.675 to two digits is 2.67,
// for what is stored is a little less.
func round(number float64, digits int) float64 {
	var room [64]byte
	rounded, err := strconv.ParseFloat(string(strconv.AppendFloat(room[:0], number, 'f', digits, 64)), 64)
	if err != nil {
		return number // it is not finite
	}
	return rounded
}
