package buffer

import (
	"errors"
	"fmt"
	"os"
)

// bytes that the files take. The caller holds b.mu.
func (b *Buffer) bytes() int64 {
	n := b.damagedBytes
	for _, s := range b.segments {
		n += s.size
	}
	if b.next != "" {
		n += b.o.SegmentSize
	}
	return n
}

// confirmedSegments are the oldest ones, all of whose numbers are confirmed, on
// the card as well. The caller holds b.mu.
func (b *Buffer) confirmedSegments() []*segment {
	n := 0
	for n+1 < len(b.segments) && b.segments[n+1].first-1 <= b.written {
		n++
	}
	return b.segments[:n]
}

// unsentBytes of segments that hold unconfirmed records. The caller holds b.mu.
func (b *Buffer) unsentBytes() int64 {
	var n int64
	for _, s := range b.segments[len(b.confirmedSegments()):] {
		n += s.size
	}
	return n
}

// pinned says whether the forwarder may be sending from segment i: what is in
// flight spans two segments at most. The caller holds b.mu.
func (b *Buffer) pinned(i int) bool {
	if b.pin == 0 {
		return false
	}
	holds := func(i int) bool {
		return i >= 0 && i+1 < len(b.segments) && b.segments[i].first <= b.pin && b.pin < b.segments[i+1].first
	}
	return holds(i) || holds(i-1)
}

// unlinkOld removes confirmed segments that nobody needs for a replay: older
// than Keep, or more than half of Limit. The caller holds b.keeping.
func (b *Buffer) unlinkOld() error {
	for {
		b.mu.Lock()
		var bytes int64
		done := b.confirmedSegments()
		for _, s := range done {
			bytes += s.size
		}
		free := len(done) > 0 && !b.pinned(0)
		b.mu.Unlock()
		if !free || bytes <= b.o.Limit/2 && !b.expired() {
			return nil
		}
		if err := b.unlink(0); err != nil {
			return err
		}
	}
}

// expired says whether the oldest segment was sealed longer than Keep ago, as
// far as clocks can be trusted.
func (b *Buffer) expired() bool {
	if b.o.Keep < 0 {
		return true
	}
	now, trusted := b.o.Now()
	if !trusted {
		return false
	}
	b.reader.mu.Lock()
	defer b.reader.mu.Unlock()
	b.mu.Lock()
	later := append([]*segment(nil), b.segments[1:]...)
	b.mu.Unlock()
	for _, s := range later { // the first one that was begun by a right clock
		if b.readHead(s); s.trusted {
			return now.Sub(s.begun) > b.o.Keep
		}
	}
	return false
}

// unlink removes segment i.
func (b *Buffer) unlink(i int) error {
	b.reader.mu.Lock()
	defer b.reader.mu.Unlock()
	b.mu.Lock()
	s := b.segments[i]
	b.mu.Unlock()
	b.forget(s)
	if err := b.ops.remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unlink segment: %w", err)
	}
	b.drop(s)
	return nil
}

// feedStarved makes room for a commit that found the card full although its file
// was prepared: the file system cannot reserve space. The caller holds b.keeping.
func (b *Buffer) feedStarved() error {
	if !b.starved.Swap(false) {
		return nil
	}
	_, err := b.giveUpOne("the disk is full")
	return err
}

// makeRoom removes what may go until one more segment fits, and notes in
// b.short what stands against it. freed is what was removed for that segment
// already. The caller holds b.keeping.
func (b *Buffer) makeRoom(freed int64) error {
	for {
		short, err := b.lacking(freed)
		if err != nil {
			return err
		}
		if short == "" {
			b.setShortage("")
			return nil
		}
		n, err := b.giveUpOne(short)
		if err != nil {
			return err
		}
		if n == 0 {
			b.setShortage(short)
			return nil
		}
		freed += n
	}
}

// lacking says why another segment cannot be made; "": it can. Once as much was
// freed as it takes, the reserve no longer counts: others fill the disk, and
// giving up more records would not stop them.
func (b *Buffer) lacking(freed int64) (string, error) {
	fs, err := b.ops.space(b.dir)
	if err != nil {
		return "", fmt.Errorf("look for free space: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	reserve := b.o.Reserve
	if freed >= b.o.SegmentSize {
		reserve = 0
	}
	switch {
	case b.bytes()+b.o.SegmentSize > b.o.Limit:
		return fmt.Sprintf("the limit of %d MiB is reached", b.o.Limit>>20), nil
	case fs.total > 0 && fs.free < b.o.SegmentSize+max(reserve, 0):
		return fmt.Sprintf("the disk has only %d MiB left", fs.free>>20), nil
	}
	return "", nil
}

// giveUpOne removes the file that is missed least and returns its bytes; 0: none
// may go.
func (b *Buffer) giveUpOne(why string) (int64, error) {
	if err := b.writeConfirmed(); err != nil {
		return 0, err
	}
	b.mu.Lock()
	confirmed := len(b.confirmedSegments())
	i := b.oldestFree()
	var size int64
	if i >= 0 {
		size = b.segments[i].size
	}
	damaged := len(b.damaged) > 0
	b.mu.Unlock()
	switch {
	case i >= 0 && i < confirmed:
		return size, b.unlink(i)
	case damaged:
		return b.removeDamaged()
	case i < 0 || b.o.WhenFull != DropOldest:
		return 0, nil
	}
	return size, b.dropSegment(i, why)
}

// oldestFree is the oldest sealed segment that is not pinned; -1: none. The
// caller holds b.mu.
func (b *Buffer) oldestFree() int {
	for i, s := range b.segments {
		if s != b.active && i+1 < len(b.segments) && !b.pinned(i) {
			return i
		}
	}
	return -1
}

// writeConfirmed makes the confirmed number durable, if it is not: only then may
// what it covers be unlinked.
func (b *Buffer) writeConfirmed() error {
	b.mu.Lock()
	same := b.written == b.positions.confirmed
	b.mu.Unlock()
	if same {
		return nil
	}
	return b.writePositions()
}

// removeDamaged removes the oldest file that was set aside.
func (b *Buffer) removeDamaged() (int64, error) {
	b.mu.Lock()
	path := b.damaged[0]
	b.mu.Unlock()
	size := fileSize(path)
	if err := b.ops.remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.damaged = b.damaged[1:]
	b.damagedBytes -= min(size, b.damagedBytes)
	return max(size, 1), nil
}

// dropSegment gives up unconfirmed records for newer ones. That is on the card,
// with numbers, time and reason, before the file goes.
func (b *Buffer) dropSegment(i int, why string) error {
	b.reader.mu.Lock()
	b.mu.Lock()
	s, next := b.segments[i], b.segments[i+1].first
	first := max(s.first, b.positions.confirmed+1)
	b.mu.Unlock()
	stream := b.streamOf(s)
	b.reader.mu.Unlock()
	b.addGap(gapEntry{stream: stream, first: first, last: next - 1, reason: reasonDropped, detail: why})
	if err := b.writePositions(); err != nil {
		return err
	}
	b.count.dropped.Add(next - first)
	b.noteFull(why)
	if err := b.unlink(i); err != nil {
		return err
	}
	return b.ops.syncDir(b.dir)
}
