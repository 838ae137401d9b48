package ahoydtu

import "strings"

// defaultBase is the base topic of a new box.
const defaultBase = "inverter"

// A role is what a topic says about its message.
type role uint8

const (
	foreign   role = iota // not AhoyDTU's
	silent                // AhoyDTU's, measures nothing
	value                 // one number
	object                // one channel as a JSON object
	available             // whether the inverter is heard
	will
)

// A place is a topic taken apart. The texts are parts of the topic.
type place struct {
	role    role
	base    string // without the last slash
	path    string // of the inverter, base included
	device  string // the inverter's name, or the base topic for totals
	channel string // ch0 is the AC side, ch1 and up the DC inputs; or "total"
	word    string
	sure    bool // no other device would publish this topic
}

// split reads a topic from its end, for the base topic is free.
func split(topic string) place {
	head, word := cutLast(topic)
	if head == "" {
		return place{}
	}
	home, group := cutLast(head)
	switch {
	case isChannel(word): // base/name/ch0
		return place{role: object, base: home, path: head, device: group, channel: word}.checked()
	case isChannel(group): // base/name/ch0/U_AC
		base, name := cutLast(home)
		return place{role: value, base: base, path: home, device: name, channel: group, word: word, sure: isDistinct(word)}.checked()
	case word == total: // base/total
		return place{role: object, base: head, path: topic, device: head, channel: total}.checked()
	case group == total: // base/total/P_AC
		return place{role: value, base: home, path: head, device: home, channel: total, word: word, sure: isDistinct(word)}.checked()
	}
	return state(topic, head, home, group, word)
}

const total = "total"

// checked refuses a topic that has no name or no base in it.
func (p place) checked() place {
	if p.base == "" || p.device == "" {
		return place{}
	}
	return p
}

// state reads topics that hold no measured value.
func state(topic, head, home, group, word string) place {
	switch word {
	case "available":
		return place{role: available, base: home, path: head, device: group}.checked()
	case "last_success", "radio_stat", "ack_pwr_limit", "firmware", "hardware", "alarm":
		return place{role: silent, base: home, path: head, device: group}.checked()
	case "mqtt":
		return place{role: will, base: head, path: topic, device: head}
	case "status", "version", "device", "ip_addr", "uptime", "wifi_rssi", "free_heap", "heap_frag", "sunrise", "sunset",
		"comm_start", "comm_stop", "comm_disabled", "comm_dis_ts", "dis_night_comm":
		return place{role: silent, base: head, path: topic, device: head}
	}
	if base, ok := strings.CutSuffix(home, "/alarm"); ok { // base/name/alarm/0/...
		base, name := cutLast(base)
		return place{role: silent, base: base, path: home, device: name}.checked()
	}
	if group == "alarm" { // base/name/alarm/0
		base, name := cutLast(home)
		return place{role: silent, base: base, path: home, device: name}.checked()
	}
	switch _, last := cutLast(home); {
	case group == "ctrl" || group == "setup" || group == "devcontrol":
		return place{role: silent, base: home, path: head, device: home}
	case last == "ctrl" || last == "devcontrol": // inverter/ctrl/limit/0
		base, _ := cutLast(home)
		return place{role: silent, base: base, path: head, device: base}
	}
	return place{}
}

// isChannel: no inverter has more than six inputs.
func isChannel(text string) bool {
	return len(text) == 3 && text[0] == 'c' && text[1] == 'h' && '0' <= text[2] && text[2] <= '9'
}

// isDistinct says whether a word proves by itself that the topic is AhoyDTU's:
// ch1/Temp may be anybody's.
func isDistinct(word string) bool {
	switch word {
	case "", "Temp", "Efficiency", "Irradiation":
		return false
	}
	return fieldOf("ch0", word).metric != ""
}

func cutLast(topic string) (path, word string) {
	i := strings.LastIndexByte(topic, '/')
	if i < 0 {
		return "", topic
	}
	return topic[:i], topic[i+1:]
}
