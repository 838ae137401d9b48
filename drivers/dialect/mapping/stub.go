package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/plantgate/plantgate/drivers/dialect"
)

// maxStubItems bounds what is proposed for one message.
const maxStubItems = 32

var errNothingToMap = errors.New("the payload is no JSON object and no number, or it is cut short")

// Stub proposes a mapping for a message that nobody reads. It is a beginning:
// the quantities are guessed from names, and what cannot be guessed is left as a
// comment. What it proposes loads.
func Stub(m dialect.Message) (string, error) {
	if strings.ContainsAny(m.Topic, `{}"\`) || !printable(m.Topic) {
		return "", errors.New("the topic has characters that a pattern cannot hold as they are")
	}
	text := dialect.Trim(m.Payload)
	var items []string
	format := "json"
	switch object, err := dialect.Object(text); {
	case err == nil:
		items = stubItems(object, "", nil)
	default:
		if _, err := dialect.Number(string(text)); err != nil {
			return "", errNothingToMap
		}
		format = "number"
		items = []string{stubItem("@this", lastWord(m.Topic))}
	}
	if !slices.ContainsFunc(items, func(i string) bool { return i[0] == '-' }) {
		items = append(items, "- {path: \"@this\", quantity: power} # nothing could be guessed: name what is measured")
	}
	pattern, device := stubPattern(m.Topic)
	stub := fmt.Sprintf("version: 1\nname: %s\nmatch: %q\nformat: %s\ndevice: %q\nread:\n  %s\n", stubName(m.Topic), pattern, format, device, strings.Join(items, "\n  "))
	f := &file{name: "mapping"}
	if f.rules([]byte(stub), nil); len(f.problems) > 0 { // of a topic or a key beyond what was thought of
		return "", fmt.Errorf("no mapping holds this topic and payload: %w", f.problems[0])
	}
	return stub, nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}

// stubItems walks the object's numbers.
func stubItems(object gjson.Result, path string, items []string) []string {
	object.ForEach(func(key, value gjson.Result) bool {
		switch name := key.Str; {
		case len(items) >= maxStubItems || name == "" || !plainKey(name):
		case value.IsObject():
			items = stubItems(value, path+name+".", items)
		case value.Type == gjson.Number:
			items = append(items, stubItem(path+name, name))
		}
		return len(items) < maxStubItems
	})
	return items
}

// plainKey reports whether a key can stand in a path as it is.
func plainKey(key string) bool {
	return !strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func stubItem(path, name string) string {
	for _, g := range guesses {
		if slices.ContainsFunc(g.words, func(word string) bool { return strings.Contains(strings.ToLower(name), word) }) {
			return fmt.Sprintf("- {path: %q, quantity: %s}", path, g.quantity)
		}
	}
	return fmt.Sprintf("# - {path: %q, quantity: ...}", path)
}

// guesses are what parts of names stand for, the surest first.
var guesses = []struct {
	quantity string
	words    []string
}{
	{"soil_moisture", []string{"moist", "soil"}},
	{"humidity", []string{"humid", "hum"}},
	{"temperature", []string{"temp"}},
	{"energy", []string{"energy", "kwh"}},
	{"power_factor", []string{"factor", "cosphi"}},
	{"battery_voltage", []string{"vbat", "battery_v", "batt_v"}},
	{"battery", []string{"batt"}},
	{"power", []string{"power", "watt"}},
	{"voltage", []string{"volt"}},
	{"current", []string{"current", "amp"}},
	{"frequency", []string{"freq"}},
	{"illuminance", []string{"lux", "illum"}},
	{"pressure", []string{"press", "baro"}},
	{"conductivity", []string{"conduct", "ec"}},
	{"co2", []string{"co2"}},
}

// stubPattern makes the part of the topic that names the device a capture: the
// last one that is no general word.
func stubPattern(topic string) (pattern, device string) {
	parts := strings.Split(topic, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i] != "" && !slices.Contains(general, strings.ToLower(parts[i])) {
			parts[i] = "{device}"
			return strings.Join(parts, "/"), "{device}"
		}
	}
	return topic, lastWord(topic)
}

var general = []string{"sensor", "sensors", "state", "status", "data", "value", "json", "events", "event", "up", "out", "get", "attributes", "telemetry"}

func lastWord(topic string) string { return topic[strings.LastIndexByte(topic, '/')+1:] }

// stubName makes a name of the topic's letters and digits.
func stubName(topic string) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(topic)), "-")
	if name == "" {
		return "unnamed"
	}
	return name[:min(len(name), 40)]
}
