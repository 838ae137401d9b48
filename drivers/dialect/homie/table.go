package homie

import (
	"fmt"
	"strings"
	"sync"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/tidwall/gjson"
)

const (
	// maxDevices and maxProperties bound the tables. When one is full, newcomers
	// are not read: a flood of descriptions cannot push out what is known.
	maxDevices    = 512
	maxProperties = 8192

	// maxPerDevice bounds the properties of one device.
	maxPerDevice = 256

	// maxText bounds each text that is kept of a property, in bytes; a longer one
	// counts as not said.
	maxText = 128

	// maxPath bounds the topic of a property, in bytes.
	maxPath = 512
)

// A table is what devices said about themselves.
type table struct {
	mu         sync.RWMutex
	devices    map[string][]string  // topics of properties, by the device's path
	properties map[string]*property // by topic; replaced, never changed
}

// find looks a topic up among the described properties.
func (t *table) find(topic string) (*property, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p, ok := t.properties[topic]
	return p, ok
}

// knows says whether a path is that of a device.
func (t *table) knows(path string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.devices[path]
	return ok
}

// owner finds the device to which a node or a property belongs. It returns the
// path two levels up, where the device of a property is, when none is known.
func (t *table) owner(path string) (device string, ok bool) {
	node, _ := cutLast(path)
	device, _ = cutLast(node)
	if t.knows(device) {
		return device, true
	}
	if t.knows(node) {
		return node, true
	}
	return device, t.knows(path)
}

// announce takes in a device of version 3 or 4; an empty version takes it away.
func (t *table) announce(path, version string) error {
	if version == "" {
		t.forget(path)
		return nil
	}
	if err := validDevice(path); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(path)
	return nil
}

func validDevice(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("path of the device is longer than %d bytes", maxPath)
	}
	_, device := cutLast(path)
	if err := validName(device); err != nil {
		return fmt.Errorf("device in topic: %w", err)
	}
	return nil
}

// add makes room for a device, if there is any.
func (t *table) add(path string) bool {
	if _, known := t.devices[path]; known {
		return true
	}
	if len(t.devices) >= maxDevices {
		return false
	}
	if t.devices == nil {
		t.devices, t.properties = map[string][]string{}, map[string]*property{}
	}
	t.devices[strings.Clone(path)] = nil
	return true
}

// forget takes a device out with all its properties.
func (t *table) forget(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(path)
}

func (t *table) remove(path string) {
	for _, topic := range t.devices[path] {
		delete(t.properties, topic)
	}
	delete(t.devices, path)
}

// put keeps a property, if there is room.
func (t *table) put(path, topic string, p *property) {
	if _, known := t.properties[topic]; !known {
		if !t.hasRoom(path) {
			return
		}
		topic = strings.Clone(topic)
		t.devices[path] = append(t.devices[path], topic)
	}
	t.properties[topic] = p
}

func (t *table) hasRoom(path string) bool {
	return len(t.properties) < maxProperties && len(t.devices[path]) < maxPerDevice
}

// tell takes in one attribute of a property (version 3 and 4). Attributes of the
// device and of its nodes are shorter topics, and say nothing.
func (t *table) tell(path, topic, attribute, text string) error {
	rest, ok := strings.CutPrefix(topic, path+"/")
	if !ok || strings.Count(rest, "/") != 1 || path+"/" == defaultBase {
		return nil
	}
	if err := validDevice(path); err != nil {
		return err
	}
	if err := validName(rest); err != nil {
		return fmt.Errorf("property in topic: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.add(path) {
		return nil
	}
	known := t.properties[topic]
	now := said{device: path, channel: rest}
	if known != nil {
		now = known.said
	}
	now.set(attribute, text)
	if known == nil || known.said != now {
		t.put(path, topic, newProperty(now))
	}
	return nil
}

// describe takes in the description of a device (version 5), which replaces the
// one before; an empty one takes the device away.
func (t *table) describe(path, text string) error {
	if text == "" {
		t.forget(path)
		return nil
	}
	if err := validDevice(path); err != nil {
		return err
	}
	root, err := dialect.Object([]byte(text))
	if err != nil {
		return fmt.Errorf("$description: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(path)
	if !t.add(path) {
		return nil
	}
	root.Get("nodes").ForEach(func(node, value gjson.Result) bool {
		value.Get("properties").ForEach(func(id, value gjson.Result) bool {
			t.take(path, node.Str, id.Str, value)
			return t.hasRoom(path)
		})
		return t.hasRoom(path)
	})
	return nil
}

// take takes in one property of a description.
func (t *table) take(path, node, id string, value gjson.Result) {
	channel := node + "/" + id
	topic := path + "/" + channel
	if strings.Count(channel, "/") != 1 || node == "" || id == "" || validName(channel) != nil || len(topic) > maxPath {
		return
	}
	s := said{device: path, channel: channel}
	for _, attribute := range [...]string{"unit", "datatype", "name", "format", "settable"} {
		s.set("$"+attribute, value.Get(attribute).String())
	}
	t.put(path, topic, newProperty(s))
}
