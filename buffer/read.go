package buffer

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// A Window is a run of records without a hole, all of one stream. First is the
// number of the first one. When Gap is set there are no records: none of those
// numbers will ever be seen, and reading goes on behind them. Without either,
// nothing is there yet.
type Window struct {
	Stream  string
	First   uint64
	Records [][]byte // the caller's
	Gap     *Gap
}

// A Gap explains missing numbers.
type Gap struct {
	Stream      string
	First, Last uint64
	Reason      string // Damaged, Dropped, LostTail; Expired is no loss
	Detail      string
	Since       time.Time // when the loss was noticed; zero: not known
}

// The reasons of a Gap.
const (
	Damaged  = "damaged"   // the card gave back something else than was written
	Dropped  = "dropped"   // given up for newer records, under the policy DropOldest
	LostTail = "lost_tail" // the end of a stream is gone
	Expired  = "expired"   // confirmed, and no longer kept for a replay
)

// A reader serves Read. Its lock also keeps segments from being unlinked while
// they are read.
type reader struct {
	mu     sync.Mutex
	dec    *decoder
	block  block       // the last one decoded
	memory []byte      // to read one into
	open   [2]*segment // the sealed segments that were read last: a 32-bit board cannot map many
}

func (r *reader) close() { r.dec.close() }

// Read returns durable records from number from on: at most maxRecords, and at
// most maxBytes unless the first one alone is larger. A window never spans two
// segments. Numbers behind the last durable record give an empty window. A
// sealed segment is checked before it is first read; what is damaged is set
// aside and comes back as a Gap.
func (b *Buffer) Read(from uint64, maxRecords, maxBytes int) (Window, error) {
	b.reader.mu.Lock()
	defer b.reader.mu.Unlock()
	for {
		if b.stopped() {
			return Window{}, ErrClosed
		}
		w := window{from: max(from, 1), maxRecords: maxRecords, maxBytes: maxBytes}
		w.durable, _, _ = b.q.numbers()
		if w.from > w.durable || maxRecords <= 0 {
			return Window{}, nil
		}
		s, beside, next := b.segmentAt(w.from, w.durable)
		if s == nil {
			return Window{Gap: b.gapBefore(b.streamOf(beside), w.from, next-1)}, nil
		}
		err := b.readSegment(&w, s, next)
		if errors.Is(err, errRepaired) {
			continue
		}
		if err != nil {
			return Window{}, fmt.Errorf("read %d: %w", w.from, err)
		}
		return w.Window, nil
	}
}

// errRepaired means that the segment was damaged and is another one now.
var errRepaired = errors.New("the segment was repaired")

// segmentAt returns the segment whose range holds number and the first number
// behind that range. Without one it returns a segment beside the hole instead.
func (b *Buffer) segmentAt(number, durable uint64) (s, beside *segment, next uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := slices.BinarySearchFunc(b.segments, number+1, func(s *segment, n uint64) int {
		if s.first < n {
			return -1
		}
		return 1
	}) // the first one that begins behind number
	next = durable + 1
	if i < len(b.segments) {
		next = b.segments[i].first
		beside = b.segments[i]
	}
	if i > 0 {
		return b.segments[i-1], b.segments[i-1], next
	}
	return nil, beside, next
}

// streamOf is the stream of a segment; the newest one for none.
func (b *Buffer) streamOf(s *segment) uint32 {
	if s == nil {
		return b.stream
	}
	b.readHead(s)
	return cmp.Or(s.stream, b.stream)
}

// readHead reads what the head of s says, once. An error is dealt with when the
// segment itself is read. The caller holds reader.mu.
func (b *Buffer) readHead(s *segment) {
	if s.stream != 0 {
		return
	}
	wasOpen := b.isActive(s) || b.reader.open[0] == s || b.reader.open[1] == s
	if h, err := s.head(); err == nil {
		s.stream, s.begun, s.trusted = h.stream, h.begun, h.trusted
	}
	if !wasOpen {
		_ = s.close() // it was only looked at
	}
}

func (b *Buffer) readSegment(w *window, s *segment, next uint64) error {
	if err := b.admit(s); err != nil {
		return b.mend(s, next, err)
	}
	hole := uint64(0)
	err := s.view(func(tx *bbolt.Tx) (err error) {
		hole, err = b.reader.fill(w, s, tx)
		return err
	})
	if err != nil {
		return b.mend(s, next, err)
	}
	if len(w.Records) > 0 {
		return nil
	}
	if hole == 0 {
		hole = next
	}
	w.Gap = b.gap(b.streamOf(s), w.from, min(hole, next)-1)
	return nil
}

// admit opens a sealed segment for reading, after a check when it is the first
// time, and closes the one that was not read for longest.
func (b *Buffer) admit(s *segment) error {
	if b.isActive(s) {
		return nil
	}
	if !s.checked {
		if err := b.o.Check(s.path); err != nil {
			return err
		}
		s.checked = true
	}
	r := &b.reader
	if r.open[0] == s {
		return nil
	}
	if r.open[1] != s && r.open[1] != nil {
		_ = r.open[1].close() // it was only read
	}
	r.open[0], r.open[1] = s, r.open[0]
	return nil
}

func (b *Buffer) isActive(s *segment) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active == s
}

// mend deals with a segment that cannot be read. A sealed one that is damaged when
// it is read again is repaired; with the active one the process has to end, because it would go on
// writing to it.
func (b *Buffer) mend(s *segment, next uint64, cause error) error {
	switch {
	case errors.Is(cause, errNewer), isShortage(cause):
		return cause
	case b.isActive(s):
		return b.fail(cause)
	}
	b.forget(s)
	if errors.Is(cause, os.ErrNotExist) {
		b.drop(s) // somebody deleted it
		return errRepaired
	}
	if s.doubts++; s.doubts <= maxDoubts {
		_, again := b.readThrough(s.path)
		if again == nil {
			s.checked = true
			return errRepaired
		}
		cause = again
	}
	if err := b.repair(s, next, cause); err != nil {
		return err
	}
	return errRepaired
}

// maxDoubts is how often a file is read anew because it was good the second time,
// before it is repaired all the same.
const maxDoubts = 3

// drop takes a segment out of the list.
func (b *Buffer) drop(s *segment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.segments = slices.DeleteFunc(b.segments, func(o *segment) bool { return o == s })
}

// forget closes a segment that will be replaced or unlinked.
func (b *Buffer) forget(s *segment) {
	for i, o := range b.reader.open {
		if o == s {
			b.reader.open[i] = nil
		}
	}
	b.reader.block.head = blockHead{}
	s.checked = false
	_ = s.close() // the file is given up anyway
}

// A window is a Window being filled.
type window struct {
	Window
	from       uint64
	maxRecords int
	maxBytes   int
	durable    uint64
	bytes      int
}

// fill takes records into w until it is full or a hole comes. When from itself
// is in a hole it returns where that ends; 0: not in this segment.
func (r *reader) fill(w *window, s *segment, tx *bbolt.Tx) (hole uint64, err error) {
	c := tx.Cursor()
	k, _ := c.Seek(numberKey(w.from))
	if len(k) != 8 || binary.BigEndian.Uint64(k) != w.from {
		if k, _ = c.Prev(); k == nil {
			k, _ = c.First()
		}
	}
	for ; len(k) == 8; k, _ = c.Next() {
		first := binary.BigEndian.Uint64(k)
		at := w.from + uint64(len(w.Records))
		if first > at || first > w.durable {
			return first, nil
		}
		if r.block.head.first != first {
			if err := r.decode(s, tx.Bucket(k)); err != nil {
				return 0, err
			}
		}
		if at <= r.block.head.last() && !w.take(&r.block, at) {
			return 0, nil
		}
	}
	return 0, nil
}

func (r *reader) decode(s *segment, b *bbolt.Bucket) error {
	if cap(r.memory) > maxSpare || cap(r.block.raw) > maxSpare {
		r.memory, r.block = nil, block{} // they were made for exceptional blocks
	}
	stored, err := s.stored(b, &r.memory)
	if err != nil {
		return err
	}
	return r.dec.decode(&r.block, stored)
}

// take copies records of a block from number at on, in one piece of memory;
// false: the window is full.
func (w *window) take(b *block, at uint64) bool {
	if len(w.Records) == 0 {
		w.Stream, w.First = streamName(b.head.stream), at
	}
	from := int(at - b.head.first)
	to := from
	for to < len(b.ends) && len(w.Records)+to-from < w.maxRecords {
		start, end := b.bounds(to)
		size := int(end - start)
		if w.bytes+size > w.maxBytes && len(w.Records)+to > from {
			w.bytes = w.maxBytes
			break
		}
		w.bytes += size
		to++
	}
	w.copy(b, from, to)
	return to == len(b.ends) && len(w.Records) < w.maxRecords && w.bytes < w.maxBytes
}

func (w *window) copy(b *block, from, to int) {
	if from == to {
		return
	}
	start, _ := b.bounds(from)
	_, end := b.bounds(to - 1)
	mem := append([]byte(nil), b.raw[start:end]...)
	w.Records = slices.Grow(w.Records, to-from)
	for i := from; i < to; i++ {
		s, e := b.bounds(i)
		w.Records = append(w.Records, mem[s-start:e-start:e-start])
	}
}
