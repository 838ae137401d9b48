package mapping

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// A group is the items whose values lie in one object of a message: it is walked
// once for all of them, which is several times faster than looking for each.
type group struct {
	parent   string
	plain    []int // indexes of items that want one key
	numbered []int // of those that want every key that fits
}

// special are the characters that mean something in a path besides the dot.
const special = `#|*?@!\[]{}()~=<>%"':,`

// plan sorts the items of a rule. Paths with more than keys in them are looked
// up one by one.
func (r *rule) plan() {
	if r.format != formatJSON {
		return
	}
	for i := range r.items {
		it := &r.items[i]
		switch {
		case it.numbered:
			g := r.group(it.path)
			g.numbered = append(g.numbered, i)
		case it.expr == nil && len(it.only) == 0 && it.path != "" && !strings.ContainsAny(it.path, special) && i < maxFound:
			at := strings.LastIndexByte(it.path, '.')
			it.key, it.planned = it.path[at+1:], true
			g := r.group(it.path[:max(at, 0)])
			g.plain = append(g.plain, i)
		}
	}
}

func (r *rule) group(parent string) *group {
	at := slices.IndexFunc(r.groups, func(g group) bool { return g.parent == parent })
	if at < 0 {
		at = len(r.groups)
		r.groups = append(r.groups, group{parent: parent})
	}
	return &r.groups[at]
}

// maxFound is how many values one walk finds for later.
const maxFound = 16

// A found value waits for its turn: mappings say their values in the order of
// their weight, messages in any.
type found struct {
	raw, text string
	number    float64
	kind      gjson.Type
}

func (f *found) value() gjson.Result {
	return gjson.Result{Type: f.kind, Raw: f.raw, Str: f.text, Num: f.number}
}

// find walks a group's object for its plain items. Of two keys alike the first
// counts.
func (m *message) find(g *group) {
	m.value(g.parent).ForEach(func(key, v gjson.Result) bool {
		for _, i := range g.plain {
			if m.rule.items[i].key == key.Str && m.found[i].raw == "" {
				m.found[i] = found{raw: v.Raw, text: v.Str, number: v.Num, kind: v.Type}
			}
		}
		return true
	})
}

// each reads the keys that fit the numbered items of a group.
func (m *message) each(g *group, t *trace) (err error) {
	m.value(g.parent).ForEach(func(key, v gjson.Result) bool {
		for _, i := range g.numbered {
			it := &m.rule.items[i]
			n, ok := it.fits(key.Str)
			if !ok || !it.applies(&m.captures) {
				continue
			}
			number, unit, o := it.number(v)
			if err = m.put(it, n, number, unit, o, t); err != nil {
				return false
			}
		}
		return true
	})
	return err
}

// fits returns the digits that {n} stands for.
func (it *item) fits(key string) (string, bool) {
	if len(key) <= len(it.prefix)+len(it.suff) || !strings.HasPrefix(key, it.prefix) || !strings.HasSuffix(key, it.suff) {
		return "", false
	}
	n := key[len(it.prefix) : len(key)-len(it.suff)]
	for i := range len(n) {
		if n[i] < '0' || n[i] > '9' {
			return "", false
		}
	}
	return n, true
}
