package homeassistant

import "strings"

const (
	defaultPrefix = "homeassistant/"
	configSuffix  = "/config"
)

// A place is what the topic of an announcement says.
type place struct {
	component, node, object string
	standard                bool // below Home Assistant's own prefix
}

// placeOf reads PREFIX/COMPONENT/[NODE/]OBJECT/config.
func placeOf(topic string) (place, bool) {
	path, ok := strings.CutSuffix(topic, configSuffix)
	if !ok {
		return place{}, false
	}
	if rest, ok := strings.CutPrefix(path, defaultPrefix); ok {
		return standardPlace(rest), true
	}
	path, object := cutLast(path)
	path, last := cutLast(path)
	prefix, first := cutLast(path)
	at := place{component: first, node: last, object: object}
	if !at.isRead() || prefix == "" { // without a node
		at = place{component: last, object: object}
		prefix = path
	}
	return at, at.isRead() && prefix != ""
}

func standardPlace(path string) place {
	component, rest, _ := strings.Cut(path, "/")
	node, object := cutLast(rest)
	if strings.Contains(node, "/") { // deeper than Home Assistant looks
		return place{standard: true}
	}
	return place{component: component, node: node, object: object, standard: true}
}

// isRead: sensor is one entity, device a device with all its entities.
func (at place) isRead() bool {
	return at.object != "" && (at.component == "sensor" || at.component == "device")
}

func cutLast(path string) (head, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
