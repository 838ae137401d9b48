package homeassistant

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

const (
	// maxTexts bounds what is kept of one entity, in bytes.
	maxTexts = 1024

	// maxComponents bounds the entities of one announcement.
	maxComponents = 256

	// maxWills bounds the availability topics of one entity. Two are the
	// custom: the bridge's and the device's own.
	maxWills = 4
)

var (
	errTooLong = fmt.Errorf("discovery: texts are longer than %d bytes", maxTexts)
	errTooMany = fmt.Errorf("discovery: more than %d components", maxComponents)
	errNoTopic = errors.New("discovery: no state topic")
)

// An entity is one value that a device announced.
type entity struct {
	device, channel string
	// qualified is the channel where two entities of a device have the same
	// object id, below different nodes.
	qualified  string
	id         string // unique_id, else where it was announced
	topic      string
	metric     reading.Metric
	conversion dialect.Conversion
	value      template
	wills      []will

	name *name // of the table
	twin bool  // another entity of the topic is the same one
}

// members is an object of an announcement by its long keys.
type members map[string]gjson.Result

// longKeys are the abbreviations that matter here.
var longKeys = map[string]string{
	"avty":           "availability",
	"avty_t":         "availability_topic",
	"avty_tpl":       "availability_template",
	"cmps":           "components",
	"cns":            "connections",
	"dev":            "device",
	"dev_cla":        "device_class",
	"ent_cat":        "entity_category",
	"ids":            "identifiers",
	"migr_discvry":   "migrate_discovery",
	"p":              "platform",
	"pl_avail":       "payload_available",
	"pl_not_avail":   "payload_not_available",
	"stat_t":         "state_topic",
	"t":              "topic",
	"uniq_id":        "unique_id",
	"unit_of_meas":   "unit_of_measurement",
	"val_tpl":        "value_template",
	baseAbbreviation: "base",
}

const baseAbbreviation = "~"

func membersOf(object gjson.Result) members {
	ms := members{}
	if !object.IsObject() {
		return ms
	}
	object.ForEach(func(key, value gjson.Result) bool {
		if long, ok := longKeys[key.Str]; ok {
			ms[long] = value
		} else {
			ms[key.Str] = value
		}
		return true
	})
	return ms
}

// text copies, so that the tables do not hold on to whole messages.
func (ms members) text(key, otherwise string) string {
	if v := ms[key]; v.Type == gjson.String && v.Str != "" {
		return strings.Clone(v.Str)
	}
	return otherwise
}

// topicAt replaces the base topic, which stands at either end. As in Home
// Assistant only one end is replaced where it stands at both.
func (ms members) topicAt(key, base string) string {
	topic := ms.text(key, "")
	if head, ok := strings.CutSuffix(topic, baseAbbreviation); ok {
		return head + base
	}
	if rest, ok := strings.CutPrefix(topic, baseAbbreviation); ok {
		return base + rest
	}
	return topic
}

// shared are the keys that a device gives all of its components.
var shared = [...]string{
	"state_topic", "availability", "availability_topic", "availability_template",
	"payload_available", "payload_not_available", "base",
}

// parse reads an announcement. Entities that cannot be read are left out.
func parse(at place, payload []byte) ([]*entity, error) {
	root, err := dialect.Object(payload)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	config := membersOf(root)
	if config["migrate_discovery"].IsBool() {
		return nil, nil // about to be announced as part of a device
	}
	if at.component == "sensor" {
		if config["state_topic"].Str == "" {
			return nil, errNoTopic
		}
		return appendEntity(nil, at, config, config["device"])
	}
	return parseDevice(at, config)
}

// parseDevice reads a device with all its components. One with nothing but its
// platform has been taken away.
func parseDevice(at place, config members) (entities []*entity, err error) {
	count := 0
	config["components"].ForEach(func(key, value gjson.Result) bool {
		if count++; count > maxComponents {
			entities, err = nil, errTooMany
			return false
		}
		part := membersOf(value)
		if part["platform"].Str != "sensor" || len(part) == 1 {
			return true
		}
		for _, k := range shared {
			if _, own := part[k]; !own && config[k].Exists() {
				part[k] = config[k]
			}
		}
		where := place{component: "sensor", node: at.object, object: strings.Clone(key.Str)}
		entities, err = appendEntity(entities, where, part, config["device"])
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	return entities, nil
}

func appendEntity(entities []*entity, at place, config members, device gjson.Result) ([]*entity, error) {
	base := config.text("base", "")
	e := &entity{
		device:    deviceOf(device, at),
		channel:   strings.Clone(at.object),
		qualified: strings.TrimPrefix(at.node+"/"+at.object, "/"),
		topic:     config.topicAt("state_topic", base),
	}
	e.id = config.text("unique_id", e.qualified)
	source := config.text("value_template", "")
	switch {
	case len(e.device)+len(e.qualified)+len(e.topic)+len(e.id)+len(source) > maxTexts:
		return nil, errTooLong
	case !validName(e.device) || !validName(e.qualified):
		return nil, fmt.Errorf("discovery: %q of %q is no name for a record", e.qualified, e.device)
	case e.topic == "":
		return entities, nil
	}
	var readable, known bool
	names := strings.ToLower(at.object + " " + config["name"].Str)
	e.metric, e.conversion, known = metricOf(config["device_class"].Str, config["unit_of_measurement"].Str, names,
		config["entity_category"].Str == "diagnostic")
	if e.value, readable = compile(source); !readable || !known {
		return entities, nil
	}
	var err error
	e.wills, err = willsOf(e.device, config, base)
	return append(entities, e), err
}

// deviceOf returns what stays the same when an owner renames things.
func deviceOf(device gjson.Result, at place) string {
	ms := membersOf(device)
	if ids := ms["identifiers"]; firstText(ids) != "" {
		return strings.Clone(firstText(ids))
	}
	// connections is a list of kind and address.
	if pair := ms["connections"].Get("0"); pair.IsArray() && pair.Get("1").Str != "" {
		return strings.Clone(pair.Get("1").Str)
	}
	if at.node != "" {
		return strings.Clone(at.node)
	}
	return strings.Clone(at.object)
}

func firstText(v gjson.Result) string {
	if v.IsArray() {
		v = v.Get("0")
	}
	if v.Type == gjson.Number {
		return v.Raw
	}
	return v.Str
}

// validName says whether a text of the device's may name a device or a channel
// of a record.
func validName(name string) bool {
	return len(name) <= reading.MaxNameBytes && strings.IndexByte(name, 0) < 0 && utf8.ValidString(name)
}
