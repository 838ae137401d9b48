package ingest

import (
	"sync"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// A batch is the records of one message, one behind the other in memory that is
// used again: a hundred thousand messages a second must not make garbage.
type batch struct {
	raw     []byte
	ends    []int // of the records in raw
	body    []byte
	records [][]byte // of slices
	devices []string
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// maxSpare bounds the memory that a batch keeps; a larger one is left to the
// garbage collector.
const maxSpare = 64 << 10

func takeBatch() *batch { return batches.Get().(*batch) }

func (b *batch) release() {
	if cap(b.raw) > maxSpare {
		return
	}
	clear(b.devices) // they hold on to names
	b.raw, b.ends, b.devices = b.raw[:0], b.ends[:0], b.devices[:0]
	batches.Put(b)
}

func (b *batch) len() int { return len(b.ends) }

// add appends an envelope for the device.
func (b *batch) add(e envelope.Envelope) {
	b.raw = e.Append(b.raw)
	b.ends = append(b.ends, len(b.raw))
	b.devices = append(b.devices, e.Key)
}

// slices returns the records. They are valid until add or release.
func (b *batch) slices() [][]byte {
	b.records = b.records[:0]
	start := 0
	for _, end := range b.ends {
		b.records = append(b.records, b.raw[start:end:end])
		start = end
	}
	return b.records
}

// encode gives a reading its name and its time and adds its record. A reading
// that cannot become a record is the error.
func (i *Ingest) encode(b *batch, r *reading.Reading, now clock.Instant) error {
	if r.Device == "" {
		return reading.ErrNoDevice // before it takes a name
	}
	r.Device = i.nameOf(r.Device, r.Source, now)
	taken := i.stamps.next(r.Device, r.Channel, i.takenAt(r.Time, now))
	body, err := reading.AppendBody(b.body[:0], i.o.Place, *r)
	if err != nil {
		return err
	}
	b.body = body
	b.add(envelope.Envelope{Kind: envelope.Reading, Quality: r.Quality(), Taken: taken, Key: r.Device, Body: body})
	return nil
}

// maxDeviceSkew is how far a device's own clock may be off from ours and still
// be believed.
const maxDeviceSkew = 5 * time.Minute

// takenAt prefers the instant that the device stated. The message may have
// waited for the network; but a clock that is further off than any wait is
// wrong, and without a right clock here nothing can be told apart.
func (i *Ingest) takenAt(stated time.Time, now clock.Instant) clock.Instant {
	if stated.IsZero() || !now.Synced {
		return now
	}
	wall, trusted := i.o.Trusted()
	if !trusted || wall.Sub(stated).Abs() > maxDeviceSkew {
		return now
	}
	return shift(now, stated.UnixMilli()-now.Wall)
}

// shift moves both clocks of an instant: which of them tells the time in the
// end is known only when the record leaves.
func shift(at clock.Instant, millis int64) clock.Instant {
	at.Wall += millis
	at.Boottime += millis
	return at
}
