// Package homie reads devices that keep the Homie convention, versions 3 to 5.
// Their properties say what they measure: in the attributes $unit and $datatype
// up to version 4, in the device's $description since version 5.
//
// It guarantees what package dialect asks of every dialect, and beyond that: a
// property is read only when its unit, or its unit and its name, leave no doubt
// what it measures; targets, commands, settable properties, alerts and
// statistics are never readings; a value outside of the range that the device
// declares for itself is marked.
//
// It keeps what devices say about themselves, in tables of bounded size. Before
// a device has described itself, and for a number whose quantity cannot be told,
// it leaves the message to others: a mapping can read it, and it shows up among
// the topics that nobody reads.
//
// It does not know base topics that differ from homie (Homie 5: any domain) until
// a device announces itself below them, with $homie or $description.
//
// Sources: the convention at homieiot/convention, v4.0.0 and v5.
package homie

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "homie"

// A Decoder reads Homie messages. It remembers how devices describe themselves.
type Decoder struct {
	described table
}

// New returns a decoder that knows no device.
func New() *Decoder { return new(Decoder) }

// Name returns "homie".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not Homie's,
// and for a number of which nobody has said what it measures. Attributes give an
// empty result; a device that comes, leaves or is lost gives an event.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	if at := strings.Index(m.Topic, "/$"); at >= 0 {
		return d.attribute(m.Topic[:at], m.Topic[at+1:], m)
	}
	if p, ok := d.described.find(m.Topic); ok {
		return p.decode(m.Payload)
	}
	if !strings.HasPrefix(m.Topic, defaultBase) {
		return dialect.Result{}, false
	}
	return undescribed(m)
}

// defaultBase is the base topic that the convention recommends.
const defaultBase = "homie/"

// undescribed takes in what is below the default base topic and was not
// described: commands and texts measure nothing, numbers are anybody's.
func undescribed(m dialect.Message) (dialect.Result, bool) {
	text := string(dialect.Trim(m.Payload))
	if strings.HasSuffix(m.Topic, "/set") {
		return dialect.Result{}, true
	}
	if err := forbidden(text); err != nil {
		return dialect.Result{Err: err}, true
	}
	_, err := dialect.Number(text)
	return dialect.Result{}, err != nil
}

// forbidden knows the words for numbers that the convention rules out.
func forbidden(text string) error {
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case "nan", "inf", "infinity":
		return fmt.Errorf("%s is no number in Homie", text)
	}
	return nil
}

// attribute reads a topic whose last part begins with a dollar sign; owner is
// what it belongs to.
func (d *Decoder) attribute(owner, name string, m dialect.Message) (dialect.Result, bool) {
	text := string(dialect.Trim(m.Payload))
	ours := strings.HasPrefix(owner, defaultBase)
	switch name {
	case "$description":
		if !ours && !isVersion5(owner) {
			return dialect.Result{}, false
		}
		return dialect.Result{Err: d.described.describe(owner, text)}, true
	case "$homie":
		return dialect.Result{Err: d.described.announce(owner, text)}, true
	case "$unit", "$datatype", "$name", "$format", "$settable":
		device, ok := d.described.owner(owner)
		if !ok && !ours {
			return dialect.Result{}, false
		}
		return dialect.Result{Err: d.described.tell(device, owner, name, text)}, true
	case "$state", "$online":
		if !ours && !d.described.knows(owner) {
			return dialect.Result{}, false
		}
		return d.state(owner, text, m.Topic), true
	}
	_, below := d.described.owner(owner)
	return dialect.Result{}, ours || below || d.described.knows(owner)
}

// isVersion5 recognises a device's path in Homie 5: domain, 5, device.
func isVersion5(path string) bool {
	home, device := cutLast(path)
	return device != "" && strings.HasSuffix(home, "/5")
}

// state reads $state, and $online of version 2. A device that is asleep is
// neither gone nor back; an empty state takes the device away.
func (d *Decoder) state(path, text, topic string) dialect.Result {
	switch text {
	case "ready", "true":
		return presence(reading.DeviceOnline, path, topic)
	case "disconnected", "lost", "false":
		return presence(reading.DeviceOffline, path, topic)
	case "":
		d.described.forget(path)
	}
	return dialect.Result{}
}

func presence(kind reading.EventType, path, topic string) dialect.Result {
	_, device := cutLast(path)
	if err := validName(device); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}
	}
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: device,
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: topic}},
	}}}
}

// validName says whether a text of the topic may name a device or a channel of a
// record.
func validName(name string) error {
	switch {
	case name == "":
		return errors.New("name is empty")
	case len(name) > reading.MaxNameBytes:
		return fmt.Errorf("name is longer than %d bytes", reading.MaxNameBytes)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name %q holds a NUL byte", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q is not UTF-8", name)
	}
	return nil
}

func cutLast(topic string) (path, word string) {
	i := strings.LastIndexByte(topic, '/')
	if i < 0 {
		return "", topic
	}
	return topic[:i], topic[i+1:]
}
