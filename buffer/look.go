package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A Look reads what the buffer holds, confirmed or not, for somebody who wants
// to know. It changes nothing: what is damaged stays where it is. It keeps no
// file open between two calls of Read and stands in nobody's way, so that the
// segments that it reads may be unlinked meanwhile. It is not safe for concurrent
// use.
type Look struct {
	b    *Buffer
	live bool
	last uint64 // durable, when the buffer is not live

	dec    *decoder
	block  block  // the last one decoded
	memory []byte // to read one into
	index  index  // of the segment that was read last
}

// Look returns a Look at b, which goes on meanwhile. The caller closes it.
func (b *Buffer) Look() (*Look, error) {
	dec, err := newDecoder()
	if err != nil {
		return nil, err
	}
	return &Look{b: b, live: true, dec: dec}, nil
}

// LookAt returns a Look at the buffer in dir while no process has it. ErrLocked:
// one has. It does not keep others from opening the buffer; when that happens,
// Read may return an error. The caller closes it.
func LookAt(dir string) (*Look, error) {
	l, err := lookAt(dir)
	if err != nil {
		return nil, fmt.Errorf("look at buffer %s: %w", dir, err)
	}
	return l, nil
}

func lookAt(dir string) (*Look, error) {
	b, err := readState(dir)
	if err != nil {
		return nil, err
	}
	dec, err := newDecoder()
	if err != nil {
		return nil, err
	}
	l := &Look{b: b, dec: dec}
	if l.last, err = l.lastNumber(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// readState returns a Buffer that is good for its list of segments and gaps
// only. Positions that cannot be read are none.
func readState(dir string) (b *Buffer, err error) {
	lock, err := lockForLook(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	files, err := listDir(dir)
	if err != nil {
		return nil, err
	}
	b = &Buffer{dir: dir, segments: files.segments}
	f, err := os.Open(filepath.Join(dir, positionsName))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := readSlots(f)
	if errors.Is(err, errNewer) {
		return nil, err
	}
	if p != nil {
		b.positions, b.stream = *p, p.stream
	}
	return b, nil
}

// lastNumber is the last one in the newest segment that holds any.
func (l *Look) lastNumber() (uint64, error) {
	for _, s := range slices.Backward(l.b.segments) {
		var last uint64
		err := l.open(s, func(f *os.File) (err error) {
			last, err = l.index.last(f)
			return err
		})
		if err != nil || last > 0 {
			return last, err
		}
	}
	return 0, nil
}

// Close gives back what the Look holds.
func (l *Look) Close() { l.dec.close() }

// Oldest returns the lowest number on the card; 0: there is none.
func (l *Look) Oldest() uint64 {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if len(l.b.segments) == 0 {
		return 0
	}
	return l.b.segments[0].first
}

// Durable returns the highest number that Read can return.
func (l *Look) Durable() uint64 {
	if !l.live {
		return l.last
	}
	durable, _, _ := l.b.q.numbers()
	return durable
}

// Confirmed returns the last confirmed number.
func (l *Look) Confirmed() uint64 {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	return l.b.positions.confirmed
}

// Read is Buffer.Read without a hand laid on anything. A Gap says also what a
// damaged file does not give now.
func (l *Look) Read(from uint64, maxRecords, maxBytes int) (Window, error) {
	var gone *segment
	for {
		w := window{from: max(from, 1), maxRecords: maxRecords, maxBytes: maxBytes, durable: l.Durable()}
		if w.from > w.durable || maxRecords <= 0 {
			return Window{}, nil
		}
		s, beside, next := l.b.segmentAt(w.from, w.durable)
		switch {
		case s == nil:
			return Window{Gap: l.b.gapBefore(l.streamOf(beside), w.from, next-1)}, nil
		case l.b.isActive(s):
			return l.b.Read(from, maxRecords, maxBytes) // only its owner can read it
		case s == gone:
			return Window{Gap: &Gap{Stream: streamName(l.b.stream), First: w.from, Last: next - 1, Reason: Damaged, Detail: "its file is gone"}}, nil
		}
		err := l.open(s, func(f *os.File) error { return l.fill(&w, f, next) })
		if errors.Is(err, fs.ErrNotExist) {
			gone = s // unlinked just now, unless it is still in the list
			continue
		}
		if err != nil {
			return Window{}, fmt.Errorf("look at %d: %w", w.from, err)
		}
		return w.Window, nil
	}
}

// streamOf is the stream of a segment; the newest one when that is not known.
func (l *Look) streamOf(s *segment) uint32 {
	if s == nil || l.b.isActive(s) || l.open(s, func(*os.File) error { return nil }) != nil || l.index.stream == 0 {
		return l.b.stream
	}
	return l.index.stream
}

// open calls f with the file of a segment that is no longer written to, once
// l.index is that file's.
func (l *Look) open(s *segment, f func(*os.File) error) error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := l.index.read(file, s); err != nil {
		return err
	}
	return f(file)
}

// fill takes records into w until it is full or a hole comes, which becomes
// w.Gap when it is the first thing. next is where the segment's range ends.
func (l *Look) fill(w *window, f *os.File, next uint64) error {
	for i := l.index.find(w.from); i < len(l.index.refs); i++ {
		at := w.from + uint64(len(w.Records))
		first := l.index.refs[i].first
		if first >= next {
			break
		}
		if first > at {
			next = first
			break
		}
		if err := l.decode(f, i); err != nil {
			return l.spoiled(w, i, next, err)
		}
		if at <= l.block.head.last() && !w.take(&l.block, at) {
			return nil
		}
	}
	if len(w.Records) > 0 {
		return nil
	}
	stream := l.index.stream
	if stream == 0 {
		stream = l.b.stream
	}
	w.Gap = l.b.gap(stream, w.from, next-1)
	if l.index.err != nil && w.Gap.Since.IsZero() {
		w.Gap.Detail = l.index.err.Error()
	}
	return nil
}

// spoiled ends w before block i, which is damaged, or makes a gap of it.
func (l *Look) spoiled(w *window, i int, next uint64, cause error) error {
	l.block.head = blockHead{}
	if errors.Is(cause, errNewer) || isShortage(cause) {
		return cause
	}
	if len(w.Records) > 0 {
		return nil
	}
	if i+1 < len(l.index.refs) {
		next = l.index.refs[i+1].first
	}
	w.Gap = &Gap{Stream: streamName(l.b.stream), First: w.from, Last: next - 1, Reason: Damaged, Detail: cause.Error()}
	return nil
}

func (l *Look) decode(f *os.File, i int) error {
	ref := l.index.refs[i]
	if l.block.head.first == ref.first {
		return nil
	}
	if cap(l.memory) > maxSpare || cap(l.block.raw) > maxSpare {
		l.memory, l.block = nil, block{} // they were made for exceptional blocks
	}
	stored, err := l.index.stored(f, ref, &l.memory)
	if err != nil {
		return err
	}
	if err := l.dec.decode(&l.block, stored); err != nil {
		return err
	}
	if l.block.head.first != ref.first {
		return fmt.Errorf("block %d lies at %d", l.block.head.first, ref.first)
	}
	return nil
}
