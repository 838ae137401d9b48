// Package victron reads what the GX devices of Victron Energy publish
// (dbus-flashmq, and dbus-mqtt before it): N/PORTAL/SERVICE/INSTANCE/PATH with
// {"value":936}.
//
// It guarantees what package dialect asks of every dialect, and beyond that: a
// path is read only when it is known to hold a measured value, so that limits,
// settings, states and histories are never readings; two counters never share a
// device and channel; the sign is the device's (negative at the grid is
// feed-in).
//
// It keeps nothing. It does not know how old a value is: after each keepalive a
// GX device publishes all that it has, changed or not. Temperatures of batteries and inverters
// are those of devices; only a temperature sensor measures its surroundings.
//
// A GX device is its own broker and publishes only while somebody sends
// R/PORTAL/keepalive: a bridge has to bring the messages here.
//
// Sources: README.md of victronenergy/dbus-flashmq, the D-Bus page of the Venus
// wiki, and the list of topics of tomer-w/victron_mqtt. Bare numbers such as #128
// are issues of tomer-w/ha-victron-mqtt.
package victron

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// source is the name of the dialect in every reading.
const source = "victron"

// A Decoder reads Victron messages. It keeps no state.
type Decoder struct{}

// New returns a decoder.
func New() *Decoder { return new(Decoder) }

// Name returns "victron".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not
// Victron's. Requests (R, W), and notifications of what is no measured value,
// give an empty result.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	if len(m.Topic) < 2 || m.Topic[1] != '/' {
		return dialect.Result{}, false
	}
	switch m.Topic[0] {
	case 'N':
	case 'R', 'W':
		portal, _, _ := strings.Cut(m.Topic[2:], "/")
		return dialect.Result{}, isPortal(portal)
	default:
		return dialect.Result{}, false
	}
	at, ok := split(m.Topic)
	if !ok {
		return dialect.Result{}, false
	}
	return at.decode(m.Payload), true
}

// decode reads one value. An empty payload says that the service is gone, null
// that the value is not known.
func (p place) decode(payload []byte) dialect.Result {
	if len(dialect.Trim(payload)) == 0 {
		return dialect.Result{}
	}
	root, err := dialect.Object(payload)
	if err != nil {
		return dialect.Result{Err: err}
	}
	if p.metric == "" {
		return dialect.Result{}
	}
	value := root.Get("value")
	if !value.Exists() {
		return dialect.Result{Err: errors.New("no value in the object")}
	}
	number, finite, ok := numberOf(value)
	if !ok {
		return dialect.Result{}
	}
	verdict := rules.Judge(p.metric, number)
	if !finite || verdict == dialect.Drop {
		return dialect.Result{Dropped: 1}
	}
	if err := validName(p.device); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}
	}
	return one(p.device, p.channel, reading.Value{Metric: p.metric, Number: number, Suspect: verdict == dialect.Suspect})
}

// numberOf reads a number, or a text that is one: clients have met both. Null,
// lists and other texts are none.
func numberOf(value gjson.Result) (number float64, finite, ok bool) {
	switch value.Type {
	case gjson.Number:
		number, finite = dialect.Finite(value.Num)
		return number, finite, true
	case gjson.String:
		number, err := dialect.Number(value.Str)
		return number, true, err == nil
	}
	return 0, false, false
}

// one holds a reading with one value in a single allocation.
func one(device, channel string, v reading.Value) dialect.Result {
	var room struct {
		readings [1]reading.Reading
		values   [1]reading.Value
	}
	r := &room
	r.values[0] = v
	r.readings[0] = reading.Reading{Device: device, Channel: channel, Source: source, Values: r.values[:]}
	return dialect.Result{Readings: r.readings[:]}
}

// validName says whether a text of the topic may name a device of a record.
func validName(name string) error {
	switch {
	case len(name) > reading.MaxNameBytes:
		return fmt.Errorf("name is longer than %d bytes", reading.MaxNameBytes)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name %q holds a NUL byte", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	return nil
}
