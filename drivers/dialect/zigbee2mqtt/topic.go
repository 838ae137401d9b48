package zigbee2mqtt

import "strings"

// A role is what a topic says about the message.
type role uint8

const (
	foreign      role = iota // not Zigbee2MQTT's
	silent                   // a command
	bridge                   // of the bridge itself
	availability             // whether a device is there
	entity                   // of a device or a group
)

// A place is where a message comes from.
type place struct {
	role     role
	base     string
	object   string // the device, if the payload is an object: all behind the base
	name     string // the device, if the last word is a property
	property string // the last word; "" if the name has one word only
	word     string // of a message of the bridge: what follows bridge/
	guessed  bool   // the base follows from the topic's look alone
}

const (
	defaultBase = "zigbee2mqtt"
	bridgePath  = "/bridge/"
)

// find reads a topic. Nothing but comparisons happens to those of others.
func (n *networks) find(topic string) place {
	if base, word, ok := strings.Cut(topic, bridgePath); ok && isBridgeWord(word) {
		switch {
		case looksLikeBase(base), n.knows(base):
			return place{role: bridge, base: base, word: word, name: base}
		case word == "devices", word == "info":
			return place{role: bridge, base: base, word: word, name: base, guessed: true}
		}
	}
	if base, rest, ok := n.cutKnown(topic); ok {
		at := read(base, rest)
		if !looksLikeBase(base) && !n.lists(base, at) {
			return place{}
		}
		return at
	}
	base, rest, ok := cutDefault(topic)
	if !ok {
		return place{}
	}
	return read(base, rest)
}

// read tells what a topic below a base stands for.
func read(base, rest string) place {
	at := place{role: entity, base: base, object: rest, name: rest}
	path, word := cutLast(rest)
	if path == "" {
		return at
	}
	_, above := cutLast(path)
	switch {
	case word == "set", word == "get", above == "set", above == "get":
		at.role = silent
	case word == "availability":
		at.role, at.name = availability, path
	default:
		at.name, at.property = path, word
	}
	return at
}

// looksLikeBase: people who run several bridges append to the default, and
// those with a tree of topics hang the default into it.
func looksLikeBase(base string) bool {
	_, last := cutLast(base)
	return strings.HasPrefix(base, defaultBase) || last == defaultBase
}

// cutDefault splits a topic behind its first word, if that begins as the default
// base does, or else behind a word that is the default. Home Assistant's tree
// names devices in such words and is another dialect's.
func cutDefault(topic string) (base, rest string, ok bool) {
	first, rest, ok := strings.Cut(topic, "/")
	if strings.HasPrefix(first, defaultBase) {
		return first, rest, ok && rest != ""
	}
	const inside = "/" + defaultBase + "/"
	i := strings.Index(topic, inside)
	if i < 0 || first == "homeassistant" {
		return "", "", false
	}
	i += len(inside)
	return topic[:i-1], topic[i:], i < len(topic)
}

// isBridgeWord knows the bridge's own topics, so that a device whose name holds
// "bridge" is not taken for one.
func isBridgeWord(rest string) bool {
	word, _, _ := strings.Cut(rest, "/")
	switch word {
	case "state", "info", "devices", "groups", "definitions", "event", "logging", "log", "config", "converters",
		"converter", "extensions", "extension", "request", "response", "health", "networkmap", "group", "device":
		return true
	}
	return false
}

func cutLast(topic string) (path, word string) {
	i := strings.LastIndexByte(topic, '/')
	if i < 0 {
		return "", topic
	}
	return topic[:i], topic[i+1:]
}
