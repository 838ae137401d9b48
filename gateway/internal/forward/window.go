package forward

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/clock"
)

// A window is what is sent at once: contiguous numbers of one stream, as
// records ready for Kafka. It is filled again and again, so that the main path
// allocates nothing that grows with the number of records.
type window struct {
	stream      string
	first, last uint64 // the numbers that are settled once all items are
	oldest      clock.Instant

	items   []item
	arena   []byte // keys, values and headers of the items lie in here
	headers []kgo.RecordHeader
}

// An item is one number of a window on its way to Kafka. kgo holds its record
// until the record's promise has been called.
type item struct {
	number   uint64
	record   kgo.Record
	stage    stage
	replayed bool
	done     bool

	refused int // how often Kafka turned it down while it stood alone
}

// A stage is how far an item that Kafka refuses for good has come down.
type stage uint8

const (
	asStored   stage = iota
	deadLetter       // whole, in the dead-letter topic
	truncated        // its first bytes there
	explained        // a gap event says that it is lost
)

func (w *window) reset(stream string, first uint64) {
	w.stream, w.first, w.last = stream, first, first-1
	w.oldest = clock.Instant{}
	// A window without records must not keep those of the last one alive.
	clear(w.items)
	w.items, w.arena, w.headers = w.items[:0], w.arena[:0], w.headers[:0]
}

// append adds the record for s, which settles the numbers through the given
// one. The slices of earlier records stay valid when the arena moves: they keep
// the old one alive.
func (w *window) append(s stamp, through uint64, r kgo.Record) {
	w.items = append(w.items, item{number: through, record: r, replayed: s.replayed})
	w.last = through
}

// text and bytes copy into the arena.
func (w *window) text(s string) []byte {
	start := len(w.arena)
	w.arena = append(w.arena, s...)
	return w.arena[start:len(w.arena):len(w.arena)]
}

func (w *window) bytes(b []byte) []byte {
	start := len(w.arena)
	w.arena = append(w.arena, b...)
	return w.arena[start:len(w.arena):len(w.arena)]
}

// settled returns the highest number through which every item is done. A gap is
// one item for many numbers, of which its own is the last.
func (w *window) settled() uint64 {
	through := w.first - 1
	for i := range w.items {
		if !w.items[i].done {
			return through
		}
		through = w.items[i].number
	}
	return w.last
}

// itemsTo returns the items up to number.
func (w *window) itemsTo(number uint64) []item {
	n := len(w.items)
	for n > 0 && w.items[n-1].number > number {
		n--
	}
	return w.items[:n]
}
