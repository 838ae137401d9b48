package mapping

import (
	"sync"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// maxRepeats bounds what is remembered; a house has some hundred values.
const maxRepeats = 4096

// repeats knows the last values, so that one which comes twice is read once:
// rtl_433 publishes on two trees, and radio sensors send each telegram several
// times.
type repeats struct {
	mu   sync.Mutex
	last map[valueKey]lastValue
}

type valueKey struct {
	source, device, channel string
	metric                  reading.Metric
}

type lastValue struct {
	number float64
	at     time.Duration
}

// drop leaves out the values that were read within the time before.
func (p *repeats) drop(readings []reading.Reading, within, at time.Duration) []reading.Reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := readings[:0]
	for _, r := range readings {
		values := r.Values[:0]
		for _, v := range r.Values {
			if !p.seen(valueKey{r.Source, r.Device, r.Channel, v.Metric}, v.Number, within, at) {
				values = append(values, v)
			}
		}
		if r.Values = values; len(values) > 0 {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// seen remembers a value unless it is a repetition. Many that come at the same
// pace do not prolong each other.
func (p *repeats) seen(k valueKey, number float64, within, at time.Duration) bool {
	before, ok := p.last[k]
	if ok && before.number == number && at-before.at < within {
		return true
	}
	if p.last == nil || !ok && len(p.last) >= maxRepeats {
		p.last = make(map[valueKey]lastValue)
	}
	p.last[k] = lastValue{number, at}
	return false
}
