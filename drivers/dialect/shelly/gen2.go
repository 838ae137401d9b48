package shelly

import (
	"bytes"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/tidwall/gjson"
)

const sourceGen2 = "shelly-gen2"

// A Gen2 reads the second, third and fourth generation: JSON objects, one per
// component, whole under PREFIX/status/switch:0 and as changes in
// PREFIX/events/rpc. The device is called by its topic prefix; the src in a
// body is a factory id, and status topics have none. It remembers which of the
// two ways each channel is read.
type Gen2 struct {
	heard table
}

// NewGen2 returns a decoder that has heard no device.
func NewGen2() *Gen2 { return new(Gen2) }

// Name returns "shelly-gen2".
func (d *Gen2) Name() string { return sourceGen2 }

// Decode reads one message. It reports false for topics that are not plainly a
// Shelly's: PREFIX/online is, once the device was heard or if it is called
// shelly-something.
func (d *Gen2) Decode(m dialect.Message) (dialect.Result, bool) {
	at := d.find(m)
	switch at.role {
	case gen2Foreign:
		return dialect.Result{}, false
	case gen2Silent:
		return dialect.Result{}, true
	}
	if err := checkDevice(at.device); err != nil {
		return dialect.Result{Err: err}, true
	}
	if at.role == gen2Will {
		return online(sourceGen2, at.device, m), true
	}
	text := dialect.Trim(m.Payload)
	if len(text) == 0 {
		return dialect.Result{}, true // it clears a retained message
	}
	root, err := dialect.Object(text)
	if err != nil {
		return dialect.Result{Err: err}, true
	}
	d.heard.meet(at.device)
	return d.read(at, root), true
}

// A gen2Role is what a topic says about its message.
type gen2Role uint8

const (
	gen2Foreign gen2Role = iota
	gen2Silent
	gen2Will
	gen2Status
	gen2Notification
)

// A gen2Place is where a message comes from.
type gen2Place struct {
	role      gen2Role
	device    string
	component string // of a status
}

// find reads a topic from the right, for the prefix is free text.
func (d *Gen2) find(m dialect.Message) gen2Place {
	path, word := cutLast(m.Topic)
	switch word {
	case "rpc":
		if prefix, ok := strings.CutSuffix(path, "/events"); ok {
			return gen2Place{role: gen2Notification, device: prefix}.unlessNameless()
		}
		if d.knows(path) || bytes.Contains(m.Payload, []byte(`"src":"shelly`)) {
			return gen2Place{role: gen2Silent} // a call, or the answer to somebody's
		}
		return gen2Place{}
	case "online":
		if d.knows(path) {
			return gen2Place{role: gen2Will, device: path}
		}
		return gen2Place{}
	case "command", "announce":
		return gen2Place{role: d.silentIfKnown(path)}
	}
	if prefix, ok := strings.CutSuffix(path, "/status"); ok {
		if isComponent(word) {
			return componentPlace(prefix, word, m.Payload).unlessNameless()
		}
		return gen2Place{role: d.silentIfKnown(prefix)} // wifi, sys, mqtt, cloud
	}
	if prefix, ok := strings.CutSuffix(path, "/command"); ok && isComponent(word) {
		return gen2Place{role: gen2Silent, device: prefix}.unlessNameless()
	}
	if prefix, ok := strings.CutSuffix(path, "/debug"); ok && word == "log" {
		return gen2Place{role: d.silentIfKnown(prefix)}
	}
	return gen2Place{}
}

// componentPlace: a component that measures must be an object, or the message is
// malformed; others are only looked at, for somebody else may have such a topic.
func componentPlace(prefix, component string, payload []byte) gen2Place {
	kind, _, _ := strings.Cut(component, ":")
	switch text := dialect.Trim(payload); {
	case measures(kind):
		return gen2Place{role: gen2Status, device: prefix, component: component}
	case len(text) > 0 && text[0] == '{':
		return gen2Place{role: gen2Silent, device: prefix}
	}
	return gen2Place{}
}

func (at gen2Place) unlessNameless() gen2Place {
	if at.device == "" {
		return gen2Place{}
	}
	return at
}

func (d *Gen2) silentIfKnown(prefix string) gen2Role {
	if d.knows(prefix) {
		return gen2Silent
	}
	return gen2Foreign
}

// knows says whether a prefix is a Gen2 device's. Under shellies/ the name alone
// proves nothing: the first generation is called shelly-something, too.
func (d *Gen2) knows(prefix string) bool {
	_, name := cutLast(prefix)
	if strings.HasPrefix(name, "shelly") && !strings.HasPrefix(prefix, gen1Root) {
		return true
	}
	return d.heard.met(prefix)
}

// read takes the components out of a message and leaves out those that are read
// over the other way.
func (d *Gen2) read(at gen2Place, root gjson.Result) dialect.Result {
	m := newMessage(sourceGen2, at.device)
	if at.role == gen2Status {
		m.component(at.component, root)
	} else {
		m.notification(root)
	}
	got := m.result()
	kept := got.Readings[:0]
	for i := range got.Readings {
		if d.heard.admits(at.role == gen2Notification, &got.Readings[i]) {
			kept = append(kept, got.Readings[i])
		}
	}
	if got.Readings = kept; len(kept) == 0 {
		got.Readings = nil
	}
	return got
}

// notification reads the parameters of NotifyStatus and NotifyFullStatus.
// NotifyEvent carries buttons, and a meter's history in columns without names.
func (m *message) notification(root gjson.Result) {
	switch root.Get("method").Str {
	case "NotifyStatus", "NotifyFullStatus":
	default:
		return
	}
	root.Get("params").ForEach(func(key, value gjson.Result) bool {
		switch {
		case key.Str == "ts":
			m.time = instant(value)
		case value.IsObject() && isComponent(key.Str):
			m.component(key.Str, value)
		}
		return m.more()
	})
}

// isComponent recognises the name of a component with its number, such as
// switch:0; those of an add-on count from 100.
func isComponent(name string) bool {
	kind, index, ok := strings.Cut(name, ":")
	if !ok || kind == "" || !isIndex(index) {
		return false
	}
	for i := range len(kind) {
		if c := kind[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// isAddOn recognises the number of a component on an add-on.
func isAddOn(index string) bool { return len(index) == len(firstAddOn) && index >= firstAddOn }

const firstAddOn = "100"
