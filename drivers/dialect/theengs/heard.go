package theengs

import (
	"strings"
	"sync"

	"github.com/plantgate/plantgate/reading"
)

const (
	maxSensors  = 1024 // the oldest makes room: its next advertisement may then be read twice
	maxGateways = 16   // of more, all that they say is read
	maxTopic    = 256  // bytes of a gateway's topic that are kept

	// maxOwed is how far one gateway may lag behind another. It is also how
	// many equal values in a row are taken for repeats when the gateway that
	// said them first is gone.
	maxOwed = 3
)

// heard tells an advertisement that a second gateway heard from a new one, with
// no clock and no number in the advertisement to go by. When a gateway says
// something of a sensor, each of the others owes a repeat of it: the same
// values from one that owes them were heard already. Other values, and the
// same values from a gateway that owes nothing, are new and make the others owe
// in their turn.
//
// So what all gateways hear is read once, in whatever order they say it, and
// one that falls silent is replaced after maxOwed repeats. The price is small:
// where two gateways each miss what the other hears, a value that did not
// change is read less often than it was sent; and a gateway that lags behind a
// change says the old value once more.
type heard struct {
	mu       sync.Mutex
	gateways map[string]int // topic up to BTtoMQTT, to its place in said.owed
	sensors  map[string][]said
	order    [maxSensors]string // a ring of the names in sensors
	oldest   int
}

// said is the last that was read of one metric of a sensor.
type said struct {
	channel string
	metric  reading.Metric
	number  float64
	owed    [maxGateways]uint8
}

// meet remembers a gateway and returns its place. It reports false for one too
// many.
func (h *heard) meet(gateway string) (int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.place(gateway)
}

func (h *heard) place(gateway string) (int, bool) {
	if at, ok := h.gateways[gateway]; ok {
		return at, true
	}
	if len(h.gateways) >= maxGateways || len(gateway) > maxTopic {
		return 0, false
	}
	if h.gateways == nil {
		h.gateways = make(map[string]int)
	}
	at := len(h.gateways)
	h.gateways[strings.Clone(gateway)] = at
	return at, true
}

func (h *heard) knows(gateway string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.gateways[gateway]
	return ok
}

// before reports whether the readings of one advertisement were heard from
// another gateway, and remembers them.
func (h *heard) before(gateway string, readings []reading.Reading) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.place(gateway)
	if !ok {
		return false
	}
	sensor := readings[0].Device
	known := h.sensors[sensor]
	if repeats(known, readings, at) {
		return true
	}
	if known == nil {
		sensor = h.makeRoom(sensor)
	}
	for _, r := range readings {
		for _, v := range r.Values {
			known = remember(known, r.Channel, v, at)
		}
	}
	h.sensors[sensor] = known
	return false
}

// repeats settles a debt of the gateway's, if all of the readings are owed.
func repeats(known []said, readings []reading.Reading, at int) bool {
	for _, r := range readings {
		for _, v := range r.Values {
			s := find(known, r.Channel, v.Metric)
			if s == nil || s.number != v.Number || s.owed[at] == 0 {
				return false
			}
		}
	}
	for _, r := range readings {
		for _, v := range r.Values {
			find(known, r.Channel, v.Metric).owed[at]--
		}
	}
	return true
}

// remember notes a value that was read, and that all gateways but the one at
// hand owe it.
func remember(known []said, channel string, v reading.Value, at int) []said {
	s := find(known, channel, v.Metric)
	if s == nil {
		known = append(known, said{channel: channel, metric: v.Metric})
		s = &known[len(known)-1]
	}
	if s.number != v.Number {
		s.number, s.owed = v.Number, [maxGateways]uint8{}
	}
	for i := range s.owed {
		s.owed[i] = min(s.owed[i]+1, maxOwed)
	}
	s.owed[at] = 0
	return known
}

func find(known []said, channel string, metric reading.Metric) *said {
	for i := range known {
		if s := &known[i]; s.metric == metric && s.channel == channel {
			return s
		}
	}
	return nil
}

// makeRoom puts a new sensor in the place of the oldest. It returns the name to
// keep: the one at hand is part of a message's topic.
func (h *heard) makeRoom(sensor string) string {
	if h.sensors == nil {
		h.sensors = make(map[string][]said)
	}
	sensor = strings.Clone(sensor)
	delete(h.sensors, h.order[h.oldest])
	h.order[h.oldest] = sensor
	h.oldest = (h.oldest + 1) % maxSensors
	return sensor
}
