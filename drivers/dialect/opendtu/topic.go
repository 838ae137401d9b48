package opendtu

import "strings"

// A role is what a topic says about its message.
type role uint8

const (
	foreign role = iota // not OpenDTU's
	silent              // OpenDTU's, measures nothing
	channel             // SERIAL/0 is the AC side, SERIAL/1 and up the DC inputs
	sum                 // ac and dc: over all inverters
	box                 // dtu: the device that speaks
	status              // how far the values are to be trusted
	will
)

// A place is a topic taken apart. The texts are parts of the topic.
type place struct {
	role   role
	base   string // without the last slash
	serial string // "" for sums and the box
	path   string // up to the serial number or the group, with it: a state's key
	group  string // channel, or "ac", "dc", "dtu", "status"
	word   string
	sure   bool // no other device would publish this topic
}

// nameless names the box where its base topic is empty.
const nameless = source

// device is the serial number of an inverter, or the base topic for what belongs
// to the box.
func (p place) device() string {
	switch {
	case p.serial != "":
		return p.serial
	case p.base == "":
		return nameless
	default:
		return p.base
	}
}

// split looks for the serial number, else for the groups that have none.
func split(topic string) place {
	head, word := cutLast(topic)
	home, group := cutLast(head)
	if base, serial := cutLast(home); isSerial(serial) {
		return place{role: roleOf(group, word), base: base, serial: serial, path: home, group: group, word: word, sure: true}
	}
	if isSerial(group) && word == "name" {
		return place{role: silent, base: home, serial: group, path: head, word: word}
	}
	at := place{base: home, path: head, group: group, word: word}
	switch group {
	case "ac":
		at.role, at.sure = sumRole(word, "power", "yieldday", "yieldtotal"), word != "power"
	case "dc":
		at.role = sumRole(word, "power", "irradiation", "")
	case "dtu":
		at.role = boxRole(word)
	case "heap":
		if base, box := cutLast(home); box == "dtu" {
			return place{role: silent, base: base, path: head, group: box, word: word}
		}
	}
	return at
}

// roleOf reads what follows a serial number.
func roleOf(group, word string) role {
	switch group {
	case "status":
		if word == "reachable" || word == "last_update" {
			return status
		}
		return silent
	case "device", "radio", "cmd":
		return silent
	}
	if len(group) == 1 && '0' <= group[0] && group[0] <= '9' {
		return channel
	}
	return foreign
}

func sumRole(word string, words ...string) role {
	if word == "is_valid" {
		return status
	}
	for _, w := range words {
		if w == word && w != "" {
			return sum
		}
	}
	return foreign
}

func boxRole(word string) role {
	switch word {
	case "status":
		return will
	case "temperature":
		return box
	case "ip", "hostname", "rssi", "bssid", "uptime":
		return silent
	}
	return foreign
}

// isSerial recognises the serial numbers of Hoymiles: twelve digits, of which
// the first four are the model and the others may be hexadecimal. OpenDTU writes
// them in lower case. A MAC address of twelve such digits would have to begin
// with four decimal ones, and to be followed by a channel.
func isSerial(text string) bool {
	if len(text) != 12 || text[0] != '1' && text[0] != '2' {
		return false
	}
	for i := range len(text) {
		c := text[i]
		decimal := '0' <= c && c <= '9'
		if !decimal && (i < 4 || c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func cutLast(topic string) (path, word string) {
	i := strings.LastIndexByte(topic, '/')
	if i < 0 {
		return "", topic
	}
	return topic[:i], topic[i+1:]
}
