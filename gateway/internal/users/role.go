package users

import (
	"fmt"
	"strings"
)

// A Role says what a user may do. The zero value is Device.
type Role uint8

// The roles.
const (
	Device Role = iota // publishes what it measures, never commands; subscribes
	Home               // publishes and subscribes to everything: home automation
	Reader             // subscribes only: dashboards
)

var roleNames = [...]string{Device: "device", Home: "home", Reader: "reader"}

// String is the role's name in the file and on the command line.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// ParseRole is the inverse of String.
func ParseRole(name string) (Role, error) {
	for r, n := range roleNames {
		if n == name {
			return Role(r), nil
		}
	}
	return 0, fmt.Errorf("role %q is none of %s", name, strings.Join(roleNames[:], ", "))
}

// A rule allows or denies the topics that match pattern: + is one level, # all
// that follow, and **/ at the beginning any number of levels, none included.
type rule struct {
	allow   bool
	pattern string
}

// publishRules and subscribeRules are gone through in order; the first that
// matches decides, and where none does the answer is no.
//
// Commands are known by their topics alone. A device that could publish them
// would switch every other socket in the house. Shelly Gen2 tells its
// measurements on events/rpc but takes commands, and gives its answers, on
// rpc, so answers of devices to a rpc topic do not pass either. OpenBeken tells
// its measurements on /get, so that word is no command here.
var publishRules = [...][]rule{
	Device: {
		{true, "**/events/rpc"},         // Shelly Gen2 and later
		{false, "**/rpc"},               //
		{false, "**/cmnd/#"},            // Tasmota, with the prefix in any place
		{false, "**/command/#"},         // Shelly, ESPHome, Home Assistant
		{false, "**/cmd/#"},             // OpenDTU, AhoyDTU
		{false, "**/set/#"},             // Zigbee2MQTT, Homie, OpenBeken, openWB, evcc
		{false, "**/bridge/request/#"},  // Zigbee2MQTT
		{false, "W/#"},                  // Victron
		{false, "homeassistant/status"}, // would make every device announce itself
		{true, "#"},
	},
	Home:   {{true, "#"}},
	Reader: {},
}

var subscribeRules = [...][]rule{
	Device: {
		{false, "$SYS/#"}, // how the gateway is doing is no business of a socket
		{true, "#"},
	},
	Home:   {{true, "#"}},
	Reader: {{true, "#"}},
}

// MayPublish reports whether the role may publish to topic.
func (r Role) MayPublish(topic string) bool { return decide(publishRules[:], r, topic) }

// MaySubscribe reports whether the role may subscribe to filter, and get what
// is published to a topic. A shared subscription ($share/GROUP/FILTER, MQTT
// 5.0 section 4.8.2) is judged by its filter.
func (r Role) MaySubscribe(filter string) bool {
	if shared, ok := cutShare(filter); ok {
		filter = shared
	}
	return decide(subscribeRules[:], r, filter)
}

func cutShare(filter string) (rest string, ok bool) {
	first, rest, ok := strings.Cut(filter, "/")
	if !ok || !strings.EqualFold(first, "$share") {
		return "", false
	}
	_, rest, ok = strings.Cut(rest, "/")
	return rest, ok
}

func decide(rules [][]rule, r Role, topic string) bool {
	if int(r) >= len(rules) {
		return false
	}
	for _, x := range rules[r] {
		if matches(x.pattern, topic) {
			return x.allow
		}
	}
	return false
}

func matches(pattern, topic string) bool {
	rest, anywhere := strings.CutPrefix(pattern, "**/")
	if !anywhere {
		return matchesHere(pattern, topic)
	}
	for more := true; more; {
		if matchesHere(rest, topic) {
			return true
		}
		_, topic, more = strings.Cut(topic, "/")
	}
	return false
}

// matchesHere compares level by level. "a/#" matches "a" too (MQTT 5.0 section
// 4.7.1.2).
func matchesHere(pattern, topic string) bool {
	more := true
	for pattern != "#" {
		if !more {
			return false
		}
		var want, level string
		var wantMore bool
		want, pattern, wantMore = strings.Cut(pattern, "/")
		level, topic, more = strings.Cut(topic, "/")
		if want != "+" && want != level {
			return false
		}
		if !wantMore {
			return !more
		}
	}
	return true
}
