// Package tasmota reads what devices with the Tasmota firmware publish: energy
// meters, climate and soil sensors, the Bluetooth and Zigbee bridges and the
// smart-meter reader, from firmware 3 to today.
//
// It guarantees what package dialect asks of every dialect, and beyond that: a
// number is read only under a key whose unit the firmware fixes; null, text,
// booleans and nan are never numbers (text is, for the few keys that firmware 3
// quoted); a date that cannot be read never costs the readings.
//
// It does not know what only the owner of a device can: that the thermistor of
// a relay board measures the board and not the room, or what a user-scaled ADC
// stands for. A mapping says such things.
//
// Sources: the Tasmota documentation (MQTT, ADC, DS18x20, Bluetooth, Zigbee,
// Commands) and the drivers xdrv_03_energy, xsns_02_analog, xsns_06_dht,
// xsns_48_chirp and xsns_81_seesaw_soil. Bare numbers such as #4147 are issues
// of arendst/Tasmota.
package tasmota

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "tasmota"

// A Decoder reads Tasmota messages. It remembers the topics that devices
// announce; everything else it takes from the message at hand.
type Decoder struct {
	announced table
}

// New returns a decoder that has seen no discovery message.
func New() *Decoder { return new(Decoder) }

// Name returns "tasmota".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not
// Tasmota's. Messages that are and measure nothing, such as STATE, RESULT and
// commands, give an empty result; a last will gives an event.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	if rest, ok := strings.CutPrefix(m.Topic, discoveryPrefix); ok {
		return dialect.Result{Err: d.announced.take(rest, m.Payload)}, true
	}
	at, ok := d.announced.find(m.Topic)
	if !ok {
		at = guess(m.Topic)
	}
	switch at.role {
	case foreign:
		return dialect.Result{}, false
	case silent:
		return dialect.Result{}, true
	}
	if err := validName(at.device); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}, true
	}
	if at.role == will {
		return lastWill(at, m), true
	}
	return decode(at, m.Payload)
}

// lastWill tells a device's death from its birth. Other words, and the empty
// payload that clears a retained will, say neither.
func lastWill(at place, m dialect.Message) dialect.Result {
	var kind reading.EventType
	switch string(dialect.Trim(m.Payload)) {
	case at.online:
		kind = reading.DeviceOnline
	case at.offline:
		kind = reading.DeviceOffline
	default:
		return dialect.Result{}
	}
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: at.device,
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: m.Topic}},
	}}}
}

// decode reads a message that carries a JSON object.
func decode(at place, payload []byte) (dialect.Result, bool) {
	root, err := dialect.Object(payload)
	switch {
	case at.unsure && (err != nil || !looksLikeTelemetry(root)):
		// Without a prefix in its topic a message is Tasmota's by its
		// content alone.
		return dialect.Result{}, false
	case err != nil:
		return dialect.Result{Err: err}, true
	}
	m := newMessage(at)
	m.walk(root)
	return m.result(), true
}

// validName says whether a text of the device's may name a device or a channel
// of a record.
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
