package tasmota

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/tidwall/gjson"
)

// Devices announce their topics, retained, on tasmota/discovery/MAC/config
// (SetOption19 0, the default). tasmota/discovery/MAC/sensors beside it holds
// values too, but old ones, from boot: it is never read.
const discoveryPrefix = "tasmota/discovery/"

const (
	// maxDevices bounds the table. When it is full new devices are read by
	// guess, so that a flood of announcements cannot push out those known.
	maxDevices = 1024

	// maxTexts bounds what is kept of one device, in bytes.
	maxTexts = 1024
)

// A table is what discovery messages said.
type table struct {
	mu      sync.RWMutex
	devices map[string]announcement // by MAC
	sharing map[string][]string     // MACs by topic, sorted
	paths   map[string]place        // by topic up to and with the last slash
}

// An announcement is what follows from a discovery message.
type announcement struct {
	topic                string
	home                 string // the device's path without the prefix
	stat, tele, commands string // paths, up to and with the last slash
	online, offline      string
}

// find looks a topic up among the announced ones. All that a device publishes
// under its own topics is its own, whatever the last word.
func (t *table) find(topic string) (place, bool) {
	path, word := cutLast(topic)
	if path == "" {
		return place{}, false
	}
	t.mu.RLock()
	at, ok := t.paths[topic[:len(path)+1]]
	t.mu.RUnlock()
	if ok && at.role != silent { // silent: the path of its commands
		at.role = max(roleOf(word), silent)
	}
	return at, ok
}

// take reads a discovery message; rest is its topic behind the prefix. An empty
// payload takes the device out, as the broker takes out the retained message.
func (t *table) take(rest string, payload []byte) error {
	mac, ok := strings.CutSuffix(rest, "/config")
	if !ok {
		return nil
	}
	if len(dialect.Trim(payload)) == 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.remove(mac)
		return nil
	}
	said, err := parseAnnouncement(mac, payload)
	if err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, known := t.devices[mac]; known && before == said || !known && len(t.devices) >= maxDevices {
		return nil
	}
	t.remove(mac)
	t.add(strings.Clone(mac), said)
	return nil
}

func (t *table) add(mac string, said announcement) {
	if t.devices == nil {
		t.devices, t.sharing, t.paths = map[string]announcement{}, map[string][]string{}, map[string]place{}
	}
	t.devices[mac] = said
	macs := t.sharing[said.topic]
	at, _ := slices.BinarySearch(macs, mac)
	t.sharing[said.topic] = slices.Insert(macs, at, mac)
	t.publish(said.topic)
}

func (t *table) remove(mac string) {
	said, ok := t.devices[mac]
	if !ok {
		return
	}
	delete(t.devices, mac)
	for _, path := range [...]string{said.stat, said.tele, said.commands} {
		delete(t.paths, path)
	}
	macs := slices.DeleteFunc(t.sharing[said.topic], func(other string) bool { return other == mac })
	t.sharing[said.topic] = macs
	if len(macs) == 0 {
		delete(t.sharing, said.topic)
	}
	t.publish(said.topic)
}

// publish lists the paths of the devices that share a topic. The topic is a
// device's name. Where devices with different paths share one, each is named by
// its path instead, or two lamps called "light" would become one; a new device
// in the place of a broken one has the same path and so the same name.
func (t *table) publish(topic string) {
	macs := t.sharing[topic]
	apart := slices.ContainsFunc(macs, func(mac string) bool {
		return t.devices[mac].home != t.devices[macs[0]].home
	})
	for _, mac := range macs {
		said := t.devices[mac]
		at := place{device: said.topic, online: said.online, offline: said.offline}
		if apart && said.home != "" {
			at.device = said.home
		}
		t.paths[said.stat] = at
		t.paths[said.tele] = at
		t.paths[said.commands] = place{role: silent}
	}
}

func parseAnnouncement(mac string, payload []byte) (announcement, error) {
	root, err := dialect.Object(payload)
	if err != nil {
		return announcement{}, err
	}
	topic, fullTopic := text(root.Get("t"), ""), text(root.Get("ft"), "")
	switch {
	case topic == "" || fullTopic == "":
		return announcement{}, errors.New("no topic (t) or no FullTopic (ft)")
	case len(mac) > maxTexts || len(topic) > maxTexts || len(fullTopic) > maxTexts:
		return announcement{}, errTooLong
	}
	tokens := []string{"%topic%", topic, "%hostname%", text(root.Get("hn"), ""), "%id%", mac[max(0, len(mac)-6):]}
	path := func(prefix string) string { return expand(fullTopic, tokens, prefix) }
	a := announcement{
		topic:    topic,
		home:     strings.Trim(path(""), "/"),
		stat:     path(text(root.Get("tp.1"), "stat")),
		tele:     path(text(root.Get("tp.2"), "tele")),
		commands: path(text(root.Get("tp.0"), "cmnd")),
		online:   text(root.Get("onln"), defaultOnline),
		offline:  text(root.Get("ofln"), defaultOffline),
	}
	if !strings.Contains(fullTopic, "%prefix%") {
		// The firmware appends it for commands alone, or the device would
		// take its own telemetry for commands.
		a.commands += text(root.Get("tp.0"), "cmnd") + "/"
	}
	if len(a.home)+len(a.stat)+len(a.tele)+len(a.commands)+len(a.online)+len(a.offline) > maxTexts {
		return announcement{}, errTooLong
	}
	return a, validName(a.topic)
}

var errTooLong = fmt.Errorf("texts are longer than %d bytes", maxTexts)

// text copies, so that the table does not hold on to whole messages.
func text(v gjson.Result, otherwise string) string {
	if v.Type != gjson.String || v.Str == "" {
		return otherwise
	}
	return strings.Clone(v.Str)
}

// expand builds a topic up to its last word, as the firmware does (GetTopic_P).
func expand(fullTopic string, tokens []string, prefix string) string {
	path := strings.NewReplacer(append(tokens, "%prefix%", prefix, "#", "")...).Replace(fullTopic)
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return strings.TrimSuffix(path, "/") + "/"
}
