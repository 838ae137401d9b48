// Package openbeken reads what devices with the OpenBeken firmware publish: plugs
// and meters with BL09xx, CSE7766 and similar chips, and battery-powered sensors.
//
// Topics:
//
//   - DEVICE/KEY/get holds one plain value: voltage, current, power,
//     power_apparent, power_reactive, power_factor, frequency (138),
//     energycounter, energycounter_today, energycounter_yesterday, battery; the
//     second channel of a meter appends _b. Without a payload it is a question.
//   - DEVICE/KEY is the same with flag 50. Such a topic may be anybody's, so it
//     is read only of devices that were recognised before.
//   - DEVICE/N/get is the value of channel N, a relay or a dimmer, whose meaning
//     only its owner knows: not read.
//   - DEVICE/connected, the last will, gives events.
//   - tele/DEVICE/SENSOR (flag 30) and stat/DEVICE/STATUS8 look like Tasmota's,
//     but count in Wh. They are taken by their content, which Tasmota does not
//     have, so this dialect must be asked before Tasmota's.
//
// Energy is in Wh. Flag 40 makes it kWh, in the plain values alone, and no
// message says so; the announcement for Home Assistant (which is left to others)
// does, and is remembered. Without it flag 40 must stay off.
//
// Besides what package dialect asks of every dialect it guarantees that a device
// which sends both forms is read once: plain values, which come on each change,
// win over ENERGY. It remembers names, and these two facts, for a bounded number
// of devices.
//
// It does not know the time of a value: the clock of a device without NTP says
// 1970, and local time otherwise.
//
// Not read: DEVICE/KEY of a device that has not been recognised.
//
// Sources: docs/mqttTopics.md, docs/flags.md, src/driver/drv_bl_shared.c,
// drv_bl0939.c, drv_battery.c, src/httpserver/json_interface.c and hass.c of
// openshwprojects/OpenBK7231T_App.
package openbeken

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "openbeken"

// A Decoder reads OpenBeken messages.
type Decoder struct {
	devices table
}

// New returns a decoder that has recognised no device.
func New() *Decoder { return new(Decoder) }

// Name returns "openbeken".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message that is not
// OpenBeken's, and for announcements, which are for others to read.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	path, word := cutLast(m.Topic)
	switch word {
	case "":
		return dialect.Result{}, false
	case "get":
		return d.get(path, m.Payload)
	case "connected":
		return d.will(path, m)
	case "SENSOR", "STATUS8", "STATUS10":
		return d.lookalike(path, m.Payload)
	case "config":
		d.devices.announce(m)
		return dialect.Result{}, false
	}
	if !d.devices.get(path).known {
		return dialect.Result{}, false
	}
	return d.value(path, word, m.Payload)
}

// get reads DEVICE/KEY/get. A key of the firmware's own makes the device known.
func (d *Decoder) get(path string, payload []byte) (dialect.Result, bool) {
	device, key := cutLast(path)
	if device == "" || !isKey(key) {
		return dialect.Result{}, false
	}
	if len(dialect.Trim(payload)) == 0 {
		return dialect.Result{}, true // a question
	}
	return d.value(device, key, payload)
}

// value reads one plain value.
func (d *Decoder) value(device, key string, payload []byte) (dialect.Result, bool) {
	k, measures := keys[key]
	text := dialect.Trim(payload)
	switch {
	case !measures:
		return dialect.Result{}, isKey(key)
	case len(text) == 0, isNaN(text):
		return dialect.Result{}, true
	}
	if err := validName(device); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}, true
	}
	number, err := dialect.Number(string(text))
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("%s: %w", key, err)}, true
	}
	f := d.devices.get(device)
	if f.kWh && k.unit == "Wh" {
		k.unit = "kWh"
	}
	if !f.plain {
		d.devices.change(device, func(f *facts) { f.known, f.plain = true, true })
	}
	return plain(device, k, number), true
}

// plain makes the reading of one value.
func plain(device string, k key, number float64) dialect.Result {
	m := message{device: device}
	m.put(k, number)
	return m.result()
}

// isNaN knows what printf makes of a measurement that there is none of yet.
func isNaN(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("-"))
	return bytes.EqualFold(text, []byte("nan"))
}

// will tells a device's death from its birth. Other programs have a topic of this
// name too; only these words are the firmware's.
func (d *Decoder) will(device string, m dialect.Message) (dialect.Result, bool) {
	var kind reading.EventType
	switch string(dialect.Trim(m.Payload)) {
	case "online":
		kind = reading.DeviceOnline
	case "offline":
		kind = reading.DeviceOffline
	default:
		return dialect.Result{}, d.devices.get(device).known
	}
	if device == "" || strings.IndexByte(device, '/') >= 0 && !d.devices.get(device).known {
		return dialect.Result{}, false
	}
	if err := validName(device); err != nil {
		return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}, true
	}
	d.devices.change(device, func(f *facts) { f.known = true })
	return dialect.Result{Events: []reading.Event{{
		Type:   kind,
		Device: device,
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: m.Topic}},
	}}}, true
}

// validName says whether a text may name a device or a channel of a record.
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
