package zigbee2mqtt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// startedText is the log line that ends a start, behind the cached states.
const startedText = "Zigbee2MQTT started!"

// bridge reads a message of the bridge itself. From a topic that only looks like
// one of its own it is taken by its content.
func (d *Decoder) bridge(at place, m dialect.Message) (dialect.Result, bool) {
	if len(dialect.Trim(m.Payload)) == 0 {
		return dialect.Result{}, !at.guessed // a retained message is taken back
	}
	var err error
	switch at.word {
	case "state":
		return d.announce(at, m), true
	case "devices":
		err = d.devices(at, m.Payload)
	case "info":
		err = d.info(at, m.Payload)
	case "logging":
		d.logging(at, m.Payload)
	}
	if err != nil && at.guessed {
		return dialect.Result{}, false
	}
	return dialect.Result{Err: err}, true
}

// announce notes that the bridge came or went.
func (d *Decoder) announce(at place, m dialect.Message) dialect.Result {
	result := presence(at.name, m)
	for _, e := range result.Events {
		online := e.Type == reading.DeviceOnline
		d.networks.change(at.base, func(n *network) { n.turn(online) })
	}
	return result
}

func (n *network) turn(online bool) {
	switch {
	case !online:
		n.phase = down
	case n.phase == down:
		n.phase = connected
	}
}

// info tells the form of output.
func (d *Decoder) info(at place, payload []byte) error {
	root, err := dialect.Object(payload)
	if err != nil {
		return err
	}
	if at.guessed && (!root.Get("coordinator").IsObject() || !root.Get("version").Exists()) {
		return errors.New("not the bridge's info")
	}
	output := root.Get("config.advanced.output").Str
	switch output {
	case "json", "attribute", "attribute_and_json":
	default:
		output = ""
	}
	d.networks.change(at.base, func(n *network) {
		n.output = output
		if n.phase == connected {
			n.phase = starting
			n.started++
		}
	})
	return nil
}

func (d *Decoder) logging(at place, payload []byte) {
	if !strings.Contains(string(payload), startedText) {
		return
	}
	d.networks.change(at.base, func(n *network) {
		if n.phase == starting {
			n.phase = running
		}
	})
}

// devices reads the dictionary. It is complete each time and takes the place of
// the one before.
func (d *Decoder) devices(at place, payload []byte) error {
	list, err := array(payload)
	if err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	listed, found := map[string]*device{}, false
	list.ForEach(func(_, entry gjson.Result) bool {
		if !entry.Get("ieee_address").Exists() {
			return true
		}
		found = true
		name := entry.Get("friendly_name").Str
		if validName(name) == nil && entry.Get("type").Str != "Coordinator" {
			listed[strings.Clone(name)] = newDevice(entry)
		}
		return len(listed) < maxDevices
	})
	if at.guessed && !found {
		return errors.New("dictionary: no device in it")
	}
	d.networks.change(at.base, func(n *network) { n.listed = listed })
	return nil
}

// array reads a payload that must be one JSON array. It borrows the checks of
// objects; the dictionary comes once in a while.
func array(payload []byte) (gjson.Result, error) {
	const open, end = `{"a":`, `}`
	wrapped := make([]byte, 0, len(open)+len(payload)+len(end))
	wrapped = append(append(append(wrapped, open...), dialect.Trim(payload)...), end...)
	root, err := dialect.Object(wrapped)
	if err != nil {
		return gjson.Result{}, err
	}
	list := root.Get("a")
	if !list.IsArray() || len(list.Raw)+len(open)+len(end) != len(wrapped) {
		return gjson.Result{}, errors.New("an array is wanted")
	}
	return list, nil
}
