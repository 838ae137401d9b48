package zigbee2mqtt

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxNetworks bounds the bases, maxDevices what is kept below each. When a
	// table is full newcomers are read without it, so that a flood cannot push
	// out those known.
	maxNetworks = 16
	maxDevices  = 1024
)

// networks is what bridges have said of themselves, by base.
type networks struct {
	mu     sync.RWMutex
	byBase map[string]*network
	count  atomic.Int32 // of byBase, so that topics of others cost no lock
}

// A network is one bridge with its devices.
type network struct {
	listed  map[string]*device // the dictionary, by friendly name
	sights  map[string]sight
	output  string // the form of output, where bridge/info told
	phase   phase
	started uint32 // how often the bridge was seen to start
}

// A phase is where a bridge stands between two starts. A start is told from a
// reconnect by bridge/info, which only a start publishes right behind the state.
type phase uint8

const (
	running phase = iota
	down
	connected // online again, after a start or not
	starting  // sends its whole cache
)

// A sight is what is remembered of a device.
type sight struct {
	lastSeen time.Time
	started  uint32 // of the network, when the device was last heard
	known    bool
}

// A stamp is a last_seen.
type stamp struct {
	time  time.Time
	exact bool // to the millisecond, so that two messages do not share one
}

func (n *networks) get(base string) *network {
	if n.count.Load() == 0 {
		return nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byBase[base]
}

func (n *networks) knows(base string) bool { return n.get(base) != nil }

// cutKnown splits a topic behind the longest base that is known.
func (n *networks) cutKnown(topic string) (base, rest string, ok bool) {
	if n.count.Load() == 0 {
		return "", "", false
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for i := len(topic) - 1; i > 0; i-- {
		if topic[i] == '/' && i+1 < len(topic) && n.byBase[topic[:i]] != nil {
			return topic[:i], topic[i+1:], true
		}
	}
	return "", "", false
}

// lists says whether a dictionary names the device of a place.
func (n *networks) lists(base string, at place) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	net := n.byBase[base]
	if net == nil {
		return false
	}
	if at.role == silent {
		path, _ := cutLast(at.name)
		above, _ := cutLast(path)
		return net.listed[path] != nil || net.listed[above] != nil
	}
	return net.listed[at.name] != nil || at.property != "" && net.listed[at.object] != nil
}

// device returns what the dictionary says of a device; nil if it says nothing.
// Devices are replaced and never changed.
func (n *networks) device(base, name string) *device {
	if n.count.Load() == 0 {
		return nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	if net := n.byBase[base]; net != nil {
		return net.listed[name]
	}
	return nil
}

// change runs f on the network of a base, and makes it if there is room.
func (n *networks) change(base string, f func(*network)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	net := n.byBase[base]
	if net == nil {
		if len(n.byBase) >= maxNetworks {
			return
		}
		if n.byBase == nil {
			n.byBase = map[string]*network{}
		}
		net = &network{sights: map[string]sight{}}
		n.byBase[strings.Clone(base)] = net
		n.count.Store(int32(len(n.byBase)))
	}
	f(net)
}

// sendsObjects says whether a device's attributes come as an object, too, so
// that its plain ones are doubles.
func (n *networks) sendsObjects(base, name string) bool {
	if n.count.Load() == 0 {
		return false
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	net := n.byBase[base]
	switch {
	case net == nil, net.output == "attribute":
		return false
	case net.output != "":
		return true
	}
	return net.sights[name].known
}

// repeated notes that a device sent an object, and says whether the bridge only
// repeats what it had stored: the first object behind a start of the bridge, and
// one whose last_seen is that of an earlier one. A last_seen that has moved on
// proves a fresh value even during a start.
func (n *networks) repeated(base, name string, seen stamp) (cached bool) {
	n.change(base, func(net *network) { cached = net.note(name, seen) })
	return cached
}

func (n *network) note(name string, seen stamp) bool {
	if n.phase == connected {
		n.phase = running // no start: that would have sent bridge/info first
	}
	before := n.sights[name]
	cached := false
	switch {
	case !seen.time.IsZero() && before.known && seen.time.After(before.lastSeen) && !before.lastSeen.IsZero():
	case seen.exact && before.known && !before.lastSeen.IsZero():
		cached = true
	default:
		cached = n.phase == starting && before.started != n.started
	}
	if !before.known {
		if len(n.sights) >= maxDevices {
			return cached
		}
		name = strings.Clone(name)
	}
	now := sight{lastSeen: before.lastSeen, started: n.started, known: true}
	if seen.time.After(now.lastSeen) {
		now.lastSeen = seen.time
	}
	n.sights[name] = now
	return cached
}
