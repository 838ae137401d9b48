package mapping

import (
	"slices"

	"github.com/plantgate/plantgate/drivers/dialect"
)

// Native is a dialect that mappings may add to.
type Native interface {
	Name() string
	Decode(dialect.Message) (dialect.Result, bool)
}

// An Extension is a native dialect with what mappings add to it. It reads the
// messages that the dialect reads, and no other.
type Extension struct {
	native Native
	rules  []*rule
}

// Extending returns the dialect with the mappings that say `extends` and its
// name.
func (d *Decoder) Extending(n Native) *Extension {
	e := &Extension{native: n}
	for _, r := range d.rules {
		if r.extends == n.Name() {
			e.rules = append(e.rules, r)
		}
	}
	return e
}

// Extends returns the names of the dialects that mappings add to. One that does
// not exist is a slip of its author's.
func (d *Decoder) Extends() []string {
	var names []string
	for _, r := range d.rules {
		if r.extends != "" && !slices.Contains(names, r.extends) {
			names = append(names, r.extends)
		}
	}
	return names
}

// Name returns the native dialect's name.
func (e *Extension) Name() string { return e.native.Name() }

// Decode lets the native dialect read and then every mapping that fits add. A
// message that either of them cannot read gives no reading.
func (e *Extension) Decode(m dialect.Message) (dialect.Result, bool) {
	result, mine := e.native.Decode(m)
	if !mine || result.Err != nil {
		return result, mine
	}
	for _, r := range e.rules {
		more, fits := r.decode(m, &result, nil)
		if !fits {
			continue
		}
		if more.Err != nil {
			return dialect.Result{Err: more.Err}, true
		}
		if len(more.Readings) > 0 { // else the mapping had nothing to add to
			result.Readings = more.Readings
		}
		result.Cached = result.Cached || more.Cached
		result.Dropped += more.Dropped
	}
	return result, true
}
