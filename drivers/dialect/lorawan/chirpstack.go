package lorawan

import (
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// chirpStackTopic takes application/ID/device/EUI/EVENT apart.
func chirpStackTopic(topic string) (device, event string, ok bool) {
	rest, ok := below(topic, "application", "/device/")
	if !ok {
		return "", "", false
	}
	device, event, _ = strings.Cut(rest, "/")
	return device, event, strings.HasPrefix(event, "event/") || strings.HasPrefix(event, "command/")
}

func chirpStack(device, event string, payload []byte) dialect.Result {
	if event != "event/up" && event != "event/status" {
		return dialect.Result{}
	}
	root, err := dialect.Object(payload)
	if err != nil {
		return dialect.Result{Err: err}
	}
	m := newMessage(device)
	m.time = instant(root.Get("time"))
	if event == "event/up" {
		m.codec(root.Get("object"))
	} else {
		m.status(root)
	}
	return finish(m)
}

// isRadioGateway recognises the server's talk with its radio gateways, for
// example eu868/gateway/0016c001f153a14c/event/stats. It is binary.
func isRadioGateway(topic string) bool {
	_, rest, ok := strings.Cut(topic, "gateway/")
	const digits = 16
	if !ok || len(rest) <= digits || rest[digits] != '/' || strings.Trim(rest[:digits], "0123456789abcdef") != "" {
		return false
	}
	kind, _, _ := strings.Cut(rest[digits+1:], "/")
	return kind == "event" || kind == "command" || kind == "state"
}

// status reads the battery that the device reports to the server. On external
// power, and where the device cannot measure it, the level is a zero that means
// nothing.
func (m *message) status(root gjson.Result) {
	if root.Get("batteryLevelUnavailable").Type == gjson.True || root.Get("externalPowerSource").Type == gjson.True {
		return
	}
	if number, ok := m.number(root.Get("batteryLevel")); ok {
		m.put(place{metric: reading.Battery}, number)
	}
}
