package ingest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
)

// MaxPayload bounds the payload that is looked at, in bytes. Devices send a few
// hundred.
const MaxPayload = 64 << 10

var errTooLong = fmt.Errorf("payload is larger than %d KiB", MaxPayload>>10)

// A verdict is what reading a message came to.
type verdict struct {
	dialect.Result
	source  string // the dialect that read it; "" for none
	ignored bool   // turned away before a dialect saw it
	unread  bool   // nobody's
}

// read finds the dialect whose message it is and lets it read. The cheap tests
// come first: a broker relays much that measures nothing.
func read(dialects []Dialect, own []string, m dialect.Message) verdict {
	switch {
	case isIgnored(m.Topic, own):
		return verdict{ignored: true}
	case len(m.Payload) > MaxPayload && !isDictionary(m.Topic):
		return verdict{unread: true}
	}
	for _, d := range dialects {
		if result, mine := decode(d, m); mine {
			return verdict{Result: result, source: d.Name()}
		}
	}
	return verdict{unread: true}
}

// isDictionary knows the messages in which a bridge describes all its devices at
// once. They carry no reading, and a home of a hundred needs more than MaxPayload;
// the broker's own limit holds for them.
func isDictionary(topic string) bool {
	return strings.HasSuffix(topic, "/bridge/devices") || strings.HasSuffix(topic, "/bridge/info")
}

// decode contains a decoder that panics: the message of one client must not
// end the others, and its payload is what the mistake can be found with.
func decode(d Dialect, m dialect.Message) (result dialect.Result, mine bool) {
	defer func() {
		if cause := recover(); cause != nil {
			result, mine = dialect.Result{Err: fmt.Errorf("decoder %s panicked: %v", d.Name(), cause)}, true
		}
	}()
	return d.Decode(m)
}

// reason says in words why a message gave no reading; "" when it gave some.
func (v verdict) reason(err error) string {
	switch err = errors.Join(v.Err, err); {
	case err != nil:
		return err.Error()
	case v.ignored:
		return "the topic is a command, a system topic or the gateway's own"
	case v.unread:
		return "no dialect reads this topic"
	case len(v.Readings) > 0:
		return ""
	case len(v.Events) > 0:
		return "it says that the device came or went"
	case v.Dropped > 0:
		return "its values stand for \"none\""
	default:
		return "it measures nothing"
	}
}

// isIgnored knows the topics on which a number is no measurement whatever the
// dialect: system topics, the gateway's own (a bridge may send them back), and
// commands to devices.
func isIgnored(topic string, own []string) bool {
	if strings.HasPrefix(topic, "$") {
		return true
	}
	for _, prefix := range own {
		if strings.HasPrefix(topic, prefix) {
			return true
		}
	}
	return isCommand(topic)
}

// isCommand: cmnd is Tasmota's, cmd OpenDTU's, W Victron's, the endings are
// those of Zigbee2MQTT, Homie, Shelly and Home Assistant.
func isCommand(topic string) bool {
	switch first, _, _ := strings.Cut(topic, "/"); first {
	case "cmnd", "cmd", "W":
		return true
	}
	return strings.HasSuffix(topic, "/set") || strings.HasSuffix(topic, "/command") ||
		strings.Contains(topic, "/cmnd/") || strings.Contains(topic, "/cmd/")
}
