package shelly

import (
	"math"
	"strings"
	"sync"

	"github.com/plantgate/plantgate/reading"
)

const (
	// Both bounds are far beyond a house. Devices and channels beyond them are
	// read over both ways: twice is better than never.
	maxDevices  = 1024
	maxChannels = 4096

	// patience is how many status messages of a channel are left out before
	// its notifications are taken to be switched off: a device that sends
	// both sends them in turn.
	patience = 4

	// likeness is how far two measurements of one moment lie apart: 0.071 A
	// and 0.073 A (iobroker-community-adapters/ioBroker.shelly#1592).
	likeness = 0.05
)

// A table remembers who was heard, and over which way each channel is read.
//
// A device with status and RPC notifications both switched on says everything
// twice, milliseconds apart and not quite alike. The notification is preferred,
// for it has the time; a channel without notifications is read from its status.
type table struct {
	mu       sync.Mutex
	devices  map[string]struct{}
	channels map[channel]*way
}

type channel struct{ device, name string }

// A way is how a channel is read.
type way struct {
	notified bool            // by notifications
	missed   int             // status messages left out since the last one
	status   []reading.Value // what the last status said, if that is read
}

func (t *table) meet(device string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.devices[device]; known || len(t.devices) >= maxDevices {
		return
	}
	if t.devices == nil {
		t.devices = map[string]struct{}{}
	}
	t.devices[strings.Clone(device)] = struct{}{}
}

func (t *table) met(device string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := t.devices[device]
	return known
}

// admits says whether a reading is news. The first notification of a channel
// that was read from its status is, unless it repeats that status.
func (t *table) admits(notification bool, r *reading.Reading) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.way(r)
	switch {
	case !ok:
		return true
	case notification:
		repeated := !w.notified && repeats(w.status, r.Values)
		*w = way{notified: true}
		return !repeated
	case w.notified && w.missed < patience:
		w.missed++
		return false
	}
	*w = way{status: append(w.status[:0], r.Values...)}
	return true
}

func (t *table) way(r *reading.Reading) (*way, bool) {
	if w, known := t.channels[channel{r.Device, r.Channel}]; known {
		return w, true
	}
	if len(t.channels) >= maxChannels {
		return nil, false
	}
	if t.channels == nil {
		t.channels = map[channel]*way{}
	}
	w := new(way)
	// Copied, so that the table does not hold on to whole messages.
	t.channels[channel{strings.Clone(r.Device), strings.Clone(r.Channel)}] = w
	return w, true
}

// repeats says whether all that a notification says was in the status before.
func repeats(status, values []reading.Value) bool {
	for _, v := range values {
		if !holds(status, v) {
			return false
		}
	}
	return true
}

func holds(status []reading.Value, v reading.Value) bool {
	for _, s := range status {
		if s.Metric == v.Metric {
			return math.Abs(s.Number-v.Number) <= likeness*math.Max(math.Abs(s.Number), math.Abs(v.Number))
		}
	}
	return false
}
