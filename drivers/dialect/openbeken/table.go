package openbeken

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/plantgate/plantgate/drivers/dialect"
)

// maxDevices bounds the table. When it is full newcomers are read without it, so
// that a flood cannot push out those known.
const maxDevices = 1024

// A table is what is remembered of devices, by name.
type table struct {
	mu      sync.RWMutex
	devices map[string]facts
	count   atomic.Int32 // of devices, so that topics of others cost no lock
}

// facts is what is remembered of one device.
type facts struct {
	known bool // it has been recognised
	plain bool // it sends plain values
	kWh   bool // they count in kWh (flag 40)
}

func (t *table) get(device string) facts {
	if t.count.Load() == 0 {
		return facts{}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.devices[device]
}

func (t *table) change(device string, f func(*facts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, known := t.devices[device]
	if !known && len(t.devices) >= maxDevices {
		return
	}
	if t.devices == nil {
		t.devices = map[string]facts{}
	}
	f(&now)
	t.devices[strings.Clone(device)] = now
	t.count.Store(int32(len(t.devices)))
}

// announce learns the unit of a device's counter from what it tells Home
// Assistant: {"~":"DEVICE","stat_t":"~/energycounter/get","unit_of_meas":"kWh"}.
// What is no such message is none of this package's business.
func (t *table) announce(m dialect.Message) {
	if !bytes.Contains(m.Payload, []byte("energycounter")) {
		return
	}
	root, err := dialect.Object(m.Payload)
	if err != nil {
		return
	}
	base := root.Get("~").Str
	topic := strings.Replace(first(root.Get("stat_t").Str, root.Get("state_topic").Str), "~", base, 1)
	device, word := cutLast(strings.TrimSuffix(topic, "/get"))
	unit := first(root.Get("unit_of_meas").Str, root.Get("unit_of_measurement").Str)
	if word != "energycounter" || validName(device) != nil || unit != "Wh" && unit != "kWh" {
		return
	}
	t.change(device, func(f *facts) { f.known, f.kWh = true, unit == "kWh" })
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
