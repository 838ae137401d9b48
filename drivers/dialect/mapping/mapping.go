// Package mapping reads messages by rules that a user writes in YAML: which
// topics, which values in them, in which unit, under which names. The program
// brings some along for devices that publish in a fixed way (Presets).
//
// It guarantees what package dialect asks of every dialect, and beyond that:
//
//   - A file is read strictly. An unknown key, a unit of another quantity or an
//     expression that does not compile is an error with its line and column, and
//     a file with an error gives no mapping; the other files do.
//   - A mapping that does not pass the tests in its own file is not used.
//   - Text is a number only where a mapping says so; what is left out is counted
//     or explained, never guessed.
//   - Expressions loop over nothing, know no clock, and take bounded memory.
//
// It does not know when a message arrived: DecodeAt is told. It does not know
// the native dialects either: Extending is given the one to add to.
//
// Sources of the presets are named in their files. What some of these devices
// publish is left out: what has no fixed meaning (energy of Espurna, svalue on
// domoticz/in, which depends on the type of the index), and gas, water, rain and
// wind, which a mapping of one's own adds in a line each.
package mapping

import (
	"slices"
	"strings"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
)

// Source is the name of the dialect, and of readings whose mapping gives no
// other.
const Source = "mapping"

// A Decoder reads messages by its mappings. Only Load and Presets make one that
// reads anything.
type Decoder struct {
	rules   []*rule
	repeats repeats
}

// Name returns "mapping".
func (d *Decoder) Name() string { return Source }

// Decode reads a message by the first mapping whose message it is. Mappings that
// extend a native dialect are not asked, and `dedupe` plays no part.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	result, r := d.decode(m)
	return result, r != nil
}

// DecodeAt is Decode for a message that came at an instant of any clock that
// only goes forward. It leaves out what `dedupe` says has been read already.
func (d *Decoder) DecodeAt(m dialect.Message, at time.Duration) (dialect.Result, bool) {
	result, r := d.decode(m)
	if r != nil && r.dedupe > 0 {
		result.Readings = d.repeats.drop(result.Readings, r.dedupe, at)
	}
	return result, r != nil
}

func (d *Decoder) decode(m dialect.Message) (dialect.Result, *rule) {
	if strings.HasPrefix(m.Topic, "$") { // a broker's own, which + and # leave out too
		return dialect.Result{}, nil
	}
	for _, r := range d.rules {
		if r.extends != "" {
			continue
		}
		if result, mine := r.decode(m, nil, nil); mine {
			return result, r
		}
	}
	return dialect.Result{}, nil
}

// Names returns the mappings' names in the order in which they are asked.
func (d *Decoder) Names() []string {
	var names []string
	for _, r := range d.rules {
		names = append(names, r.name)
	}
	return names
}

// Without returns the decoder without the mappings of these names: a user's
// mapping takes the place of a preset by its name.
func (d *Decoder) Without(names ...string) *Decoder {
	left := new(Decoder)
	for _, r := range d.rules {
		if !slices.Contains(names, r.name) {
			left.rules = append(left.rules, r)
		}
	}
	return left
}

// A Kind says how the values of a quantity follow each other.
type Kind struct {
	Mapping, Quantity string
	Kind              string // gauge, counter or delta
	Reset             string // of a counter: none, daily, reboot or unknown
}

// Kinds lists what the mappings read, for whoever describes the devices.
func (d *Decoder) Kinds() []Kind {
	var all []Kind
	for _, r := range d.rules {
		for _, it := range r.items {
			all = append(all, Kind{Mapping: r.name, Quantity: it.metric.Quantity(), Kind: it.kind, Reset: it.reset})
		}
	}
	return all
}
