package ingest

import (
	"errors"
	"slices"
	"sync"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// A queue takes what comes from those who cannot wait: polled readings and
// events. Run puts it into the buffer.
type queue struct {
	wake chan struct{} // one slot: there is something to store

	mu     sync.Mutex
	items  []item
	polled int // bytes of readings in items
	events int // bytes of events in items
}

// An item is the records of one Put, or one event.
type item struct {
	records [][]byte
	size    int
	event   bool
	source  string
	devices []string
}

// maxPolled and maxEvents bound the queue in bytes: an hour of a dozen sensors,
// and more events than a home has in a month. They are apart, so that readings
// do not crowd out the event that explains their loss.
const (
	maxPolled = 1 << 20
	maxEvents = 256 << 10

	// maxFlush bounds what goes to the buffer at once, in bytes.
	maxFlush = 32 << 10
)

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// push reports false when there is no room.
func (q *queue) push(it item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	used, limit := &q.polled, maxPolled
	if it.event {
		used, limit = &q.events, maxEvents
	}
	if *used+it.size > limit {
		return false
	}
	*used += it.size
	q.items = append(q.items, it)
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // Run has not yet looked at the last signal
	}
}

// take returns the oldest items, as many as go to the buffer at once.
func (q *queue) take() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.items) && (n == 0 || size+q.items[n].size <= maxFlush) {
		size += q.items[n].size
		q.release(q.items[n])
		n++
	}
	taken := q.items[:n:n]
	q.items = q.items[n:]
	if len(q.items) == 0 {
		q.items = nil
	}
	return taken
}

func (q *queue) release(it item) {
	if it.event {
		q.events -= it.size
	} else {
		q.polled -= it.size
	}
}

// putBack returns events to the head of the queue: they can wait for a buffer,
// or for room in it.
func (q *queue) putBack(events []item) {
	if len(events) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range events {
		q.events += it.size
	}
	q.items = append(events, q.items...)
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Put takes polled readings. It never waits; they are stored together. Those
// that are invalid are named in the error, the others are stored; when they come
// faster than that can be done they are counted as refused.
func (i *Ingest) Put(rs ...reading.Reading) error {
	b := takeBatch()
	defer b.release()
	rs = slices.Clone(rs) // the caller's keep their names
	now := i.o.Now()
	var errs []error
	for n := range rs {
		if err := i.encode(b, &rs[n], now); err != nil {
			errs = append(errs, err)
		}
	}
	if b.len() == 0 {
		return errors.Join(errs...)
	}
	it := item{source: rs[0].Source, size: len(b.raw), devices: append([]string(nil), b.devices...)}
	raw := append([]byte(nil), b.raw...)
	start := 0
	for _, end := range b.ends {
		it.records = append(it.records, raw[start:end:end])
		start = end
	}
	s := i.sources.of(it.source)
	s.received.Add(uint64(len(rs)))
	if !i.queue.push(it) {
		s.refused.Add(uint64(len(it.records)))
		i.refused.add(overload, len(it.records), it.devices, now)
		errs = append(errs, ErrOverload)
	}
	if i.taps.listening() {
		i.taps.tell(Heard{Time: wallOf(now), Source: it.source, Readings: rs})
	}
	return errors.Join(errs...)
}

// Event takes what the gateway has to say of itself or a device. It never
// waits. An event that the table of events does not know is a mistake in the
// program and is logged.
func (i *Ingest) Event(e reading.Event) {
	body, err := reading.AppendEventBody(nil, i.o.Place, e)
	if err != nil {
		i.o.Log.Error("an event cannot be told", "event", string(e.Type), "error", err)
		return
	}
	record := envelope.Envelope{Kind: envelope.Event, Taken: i.o.Now(), Key: e.Device, Body: body}.Append(nil)
	if !i.queue.push(item{records: [][]byte{record}, size: len(record), event: true}) {
		i.counts.eventsLost.Add(1)
	}
}
