package victron

import (
	"strings"

	"github.com/plantgate/plantgate/reading"
)

// A place is a topic taken apart.
type place struct {
	device  string // PORTAL/SERVICE/INSTANCE, a part of the topic
	channel string
	metric  reading.Metric // "" where nothing is measured
}

// split reads a notification. It reports false for one that is not of a GX
// device: N/ may be the start of anybody's topic.
func split(topic string) (place, bool) {
	rest := topic[len("N/"):]
	portal, rest, _ := strings.Cut(rest, "/")
	service, rest, _ := strings.Cut(rest, "/")
	instance, path, ok := strings.Cut(rest, "/")
	if !ok || !isNumber(instance) {
		return place{}, isPortal(portal) // full_publish_completed, heartbeat, keepalive
	}
	if !isPortal(portal) && !isService(service) {
		return place{}, false
	}
	at := place{device: topic[len("N/") : len(topic)-len(path)-1]}
	at.metric, at.channel = measured(service, path)
	return at, true
}

// isPortal recognises the VRM portal id, which is the MAC address of the device.
func isPortal(text string) bool {
	if len(text) != 12 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isNumber(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// isService knows the services that have measured values. A virtual GX device
// may have any portal id.
func isService(service string) bool {
	switch service {
	case "acload", "acsystem", "alternator", "battery", "charger", "dcdc", "dcload", "dcsource", "dcsystem", "evcharger", "fuelcell",
		"genset", "grid", "heatpump", "inverter", "meteo", "multi", "pvinverter", "solarcharger", "system", "temperature", "vebus":
		return true
	}
	return false
}
