package homeassistant

import (
	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// A will is a topic on which a device says, or the broker for it, whether it is
// there.
type will struct {
	device, topic   string
	online, offline string
	source          string // of the template
	value           template
	entities        int // that name it
}

// willsOf reads the availability topics of an entity, which stand in a list, in
// one object, or in the entity itself.
func willsOf(device string, config members, base string) ([]will, error) {
	var wills []will
	add := func(ms members, topic, template string) {
		w := will{
			device: device, topic: ms.topicAt(topic, base), source: ms.text(template, ""),
			online: ms.text("payload_available", "online"), offline: ms.text("payload_not_available", "offline"),
		}
		var ok bool
		if w.value, ok = compile(w.source); ok && len(w.value.steps) == 0 && w.topic != "" && len(wills) < maxWills {
			wills = append(wills, w)
		}
	}
	add(config, "availability_topic", "availability_template")
	switch list := config["availability"]; {
	case list.IsObject():
		add(membersOf(list), "topic", "value_template")
	case list.IsArray():
		list.ForEach(func(_, one gjson.Result) bool {
			add(membersOf(one), "topic", "value_template")
			return len(wills) < maxWills
		})
	}
	length := 0
	for _, w := range wills {
		length += len(w.topic) + len(w.source) + len(w.online) + len(w.offline)
	}
	if length > maxTexts {
		return nil, errTooLong
	}
	return wills, nil
}

// same: two entities of a device mostly name the same will.
func (w *will) same(other *will) bool {
	return w.device == other.device && w.topic == other.topic && w.online == other.online &&
		w.offline == other.offline && w.source == other.source
}

func (w *will) judge(payload []byte) (reading.EventType, bool) {
	switch said, ok := w.said(payload); {
	case ok && said == w.online:
		return reading.DeviceOnline, true
	case ok && said == w.offline:
		return reading.DeviceOffline, true
	}
	return "", false
}

// said is the text that the template gives. Templates write booleans as Python
// does.
func (w *will) said(payload []byte) (string, bool) {
	if !w.value.isJSON {
		return string(dialect.Trim(payload)), true
	}
	root, err := document(payload)
	if err != nil {
		return "", false
	}
	switch v := w.value.find(root); v.Type {
	case gjson.True:
		return "True", true
	case gjson.False:
		return "False", true
	case gjson.String:
		return v.Str, true
	case gjson.Number:
		return v.Raw, true
	}
	return "", false
}
