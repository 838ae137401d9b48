package esphome

import (
	"bytes"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/tidwall/gjson"
)

const (
	configSuffix = "/config"

	// maxTexts bounds what is kept of one entity, in bytes.
	maxTexts = 1024
)

// parse reads PREFIX/COMPONENT/NODE/OBJECT/config. It reports false for what is
// not ESPHome's; whether that is malformed is for Home Assistant's dialect.
func parse(m dialect.Message) (*entity, bool) {
	path, object := cutLast(strings.TrimSuffix(m.Topic, configSuffix))
	path, name := cutLast(path)
	prefix, component := cutLast(path)
	if prefix == "" || name == "" || object == "" || !bytes.Contains(m.Payload, []byte(`"stat`)) {
		return nil, false
	}
	root, err := dialect.Object(m.Payload)
	if err != nil {
		return nil, false
	}
	c := config{root: root}
	e := &entity{topic: c.text("stat_t", "state_topic")}
	e.object = strings.Clone(object)
	e.node = c.node(name, component, object, e.topic)
	if e.node == "" || !validName(e.node) || !validName(object) {
		return nil, false
	}
	e.status = c.text("avty_t", "availability_topic")
	if !strings.HasPrefix(e.status, e.node+"/") {
		e.status = e.node + "/status"
	}
	e.online = c.textOr("pl_avail", "payload_available", "online")
	e.offline = c.textOr("pl_not_avail", "payload_not_available", "offline")
	if component == "sensor" {
		unit := c.text("unit_of_meas", "unit_of_measurement")
		diagnostic := c.text("ent_cat", "entity_category") == "diagnostic"
		e.metric, e.conversion, _ = metricOf(c.text("dev_cla", "device_class"), unit, object, diagnostic)
	}
	return e, len(e.topic)+len(e.node)+len(e.object)+len(e.status)+len(e.online)+len(e.offline) <= maxTexts
}

// A config is the object of an announcement. The owner chooses between long and
// short keys (use_abbreviations).
type config struct{ root gjson.Result }

func (c config) get(short, long string) gjson.Result {
	if v := c.root.Get(short); v.Exists() {
		return v
	}
	return c.root.Get(long)
}

// text copies, so that the table does not hold on to whole messages.
func (c config) text(short, long string) string { return c.textOr(short, long, "") }

func (c config) textOr(short, long, otherwise string) string {
	if v := c.get(short, long); v.Type == gjson.String && v.Str != "" {
		return strings.Clone(v.Str)
	}
	return otherwise
}

// node recognises ESPHome and returns the node's topic prefix, "" for anything
// else. The default topic has a form of its own, and ESPHome never sends a
// template. Where the owner chose another topic, the firmware's marks decide.
func (c config) node(name, component, object, topic string) string {
	if topic == "" || c.get("val_tpl", "value_template").Exists() || c.root.Get(`\~`).Exists() {
		return ""
	}
	node, isDefault := strings.CutSuffix(topic, "/"+component+"/"+object+"/state")
	if isDefault && node != "" && !isRepublished(node) {
		return strings.Clone(node)
	}
	if !c.isMarked(component) {
		return ""
	}
	if node, ok := strings.CutSuffix(c.text("avty_t", "availability_topic"), "/status"); ok && node != "" {
		return node
	}
	return strings.Clone(name)
}

// isMarked looks for the name of the firmware, the maker of its boards, and the
// form of its ids.
func (c config) isMarked(component string) bool {
	device := config{root: c.get("dev", "device")}
	version := strings.ToLower(device.text("sw", "sw_version"))
	return strings.Contains(version, "esphome") || strings.Contains(version, "(config hash ") ||
		strings.EqualFold(device.text("mf", "manufacturer"), "espressif") ||
		strings.HasPrefix(c.text("uniq_id", "unique_id"), "ESP"+component)
}
