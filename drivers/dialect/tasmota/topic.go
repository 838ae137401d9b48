package tasmota

import (
	"strings"

	"github.com/tidwall/gjson"
)

// A role is what the last word of a topic says about the message.
type role uint8

const (
	foreign    role = iota // not Tasmota's
	silent                 // Tasmota's, measures nothing
	telemetry              // sensors in the object itself
	status                 // sensors wrapped in StatusSNS
	energyOnly             // the energy object alone (firmware before 5.8, #1595)
	zigbeeOnly             // what ZbReceived would hold (SetOption118)
	beacon                 // one Bluetooth sensor (MI32Option6)
	will
)

// A place is where a message comes from.
type place struct {
	role            role
	device          string
	online, offline string // words of the last will
	unsure          bool   // the topic alone does not prove that it is Tasmota
}

const (
	defaultOnline  = "Online"
	defaultOffline = "Offline"

	// beaconPath is fixed in the firmware, whatever FullTopic says.
	beaconPath = "tele/tasmota_ble"
)

// roleOf reads the last word of a topic.
func roleOf(word string) role {
	switch word {
	case "SENSOR", "TELEMETRY": // TELEMETRY: firmware 3 (#471)
		return telemetry
	case "STATUS0", "STATUS8", "STATUS10":
		return status
	case "ENERGY":
		return energyOnly
	case "ZbReceived":
		return zigbeeOnly
	case "LWT":
		return will
	}
	switch strings.TrimRight(word, "0123456789") {
	case "STATE", "RESULT", "POWER", "INFO", "STATUS", "LOGGING", "MARGINS", "UPTIME", "HASS_STATE", "BLE",
		"POWER_LOW", "POWER_HIGH", "VOLTAGE_LOW", "VOLTAGE_HIGH", "CURRENT_LOW", "CURRENT_HIGH",
		"ENERGY_MONITOR", "MAX_POWER_REACHED", "MAX_ENERGY_REACHED":
		return silent
	}
	return foreign
}

// guess reads a topic without knowing the device's FullTopic, which is free
// text. It looks for one of the default prefixes at the places where people put
// it (first, next to last, in between, as %prefix%/%topic%/,
// emoncms/%topic%/%prefix%/ and home/%prefix%/%topic%/ do); what remains is the
// device.
func guess(topic string) place {
	path, word := cutLast(topic)
	if path == beaconPath && word != "" && roleOf(word) == foreign {
		return place{role: beacon, device: word}
	}
	if hasSegment(path, "cmnd") {
		// Numbers there are commands: cmnd/x/EnergyTotal 12345 sets a meter.
		return place{role: silent}
	}
	at := place{role: roleOf(word), online: defaultOnline, offline: defaultOffline}
	var found bool
	for _, prefix := range [...]string{"tele", "stat"} {
		if at.device, found = withoutSegment(path, prefix); found {
			break
		}
	}
	at.unsure = !found
	if at.device == "" || at.unsure && at.role != telemetry && at.role != status {
		return place{}
	}
	return at
}

// looksLikeTelemetry recognises Tasmota in a topic such as kitchen/SENSOR: every
// message of its telemetry starts with the time.
func looksLikeTelemetry(root gjson.Result) bool {
	return root.Get("Time").Exists() || root.Get("StatusSNS.Time").Exists()
}

func cutLast(topic string) (path, word string) {
	i := strings.LastIndexByte(topic, '/')
	if i < 0 {
		return "", topic
	}
	return topic[:i], topic[i+1:]
}

func hasSegment(path, segment string) bool {
	_, ok := withoutSegment(path, segment)
	return ok
}

// withoutSegment takes one segment out of a path: the first one, else the last
// one, else the leftmost in between.
func withoutSegment(path, segment string) (rest string, ok bool) {
	if path == segment {
		return "", true
	}
	if rest, ok = strings.CutPrefix(path, segment); ok && rest[0] == '/' {
		return rest[1:], true
	}
	if rest, ok = strings.CutSuffix(path, segment); ok && rest[len(rest)-1] == '/' {
		return rest[:len(rest)-1], true
	}
	for from := 0; ; {
		i := strings.Index(path[from:], segment)
		if i < 0 {
			return path, false
		}
		start, end := from+i, from+i+len(segment)
		if start > 0 && path[start-1] == '/' && end < len(path) && path[end] == '/' {
			return path[:start] + path[end+1:], true
		}
		from = end
	}
}
