package zigbee2mqtt

import (
	"strings"

	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

const (
	// maxProperties bounds what is kept of one device, maxText a word of it.
	maxProperties = 64
	maxText       = 64
)

// A device is what the dictionary says of one. It never changes.
type device struct {
	properties map[string]property // those with a meaning of their own
	soil       bool                // it stands in a pot
	moisture   bool                // and says soil_moisture
	battery    bool                // its voltage is the battery's
}

// newDevice reads an entry of the dictionary.
func newDevice(entry gjson.Result) *device {
	d := &device{
		properties: map[string]property{},
		soil:       isSoil(entry.Get("definition.model").Str) || isSoil(entry.Get("definition.description").Str),
		battery:    entry.Get("power_source").Str == "Battery",
	}
	d.expose(entry.Get("definition.exposes"))
	return d
}

// isSoil recognises a soil sensor by its model, as in TS0601_soil.
func isSoil(model string) bool {
	return len(model) >= len("soil") && strings.Contains(strings.ToLower(model[:min(len(model), 256)]), "soil")
}

// expose reads what the device exposes; a switch or a light holds its attributes
// as features.
func (d *device) expose(list gjson.Result) {
	list.ForEach(func(_, e gjson.Result) bool {
		if features := e.Get("features"); features.IsArray() && e.Get("type").Str != "composite" {
			d.expose(features)
		}
		if e.Get("type").Str == "numeric" {
			d.numeric(e)
		}
		return len(d.properties) < maxProperties
	})
}

func (d *device) numeric(e gjson.Result) {
	name, key, unit := e.Get("name").Str, e.Get("property").Str, e.Get("unit").Str
	endpoint := e.Get("endpoint").Str
	if key == "" || len(key) > maxText || len(unit) > maxText || len(endpoint) > maxText || validChannel(endpoint) != nil {
		return
	}
	p := guess(name)
	if p.metric == "" {
		return
	}
	if endpoint != "" {
		p.channel = strings.Clone(endpoint)
	}
	switch p.metric {
	case reading.SoilMoisture:
		d.soil, d.moisture = true, true
	case reading.Battery:
		d.battery = true
	}
	d.properties[strings.Clone(key)] = p.in(unit)
}

// property returns what an attribute means; a nil device is one that no
// dictionary lists.
func (d *device) property(key string) property {
	if d != nil {
		if p, ok := d.properties[key]; ok {
			return p
		}
	}
	return guess(key)
}

func validChannel(name string) error {
	if name == "" {
		return nil
	}
	return validName(name)
}
