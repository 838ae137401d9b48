package buffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// dirtiness says what of the positions is not on the card yet.
type dirtiness struct {
	confirmed bool
	noteSince time.Time // zero: the note is on the card
	now       bool      // must not wait
	last      time.Time // of the last write
}

const (
	confirmEvery = time.Second // at most that often while draining
	keepEvery    = time.Minute // how often old segments are looked for
)

// due is when the positions are to be written; false: they need not be.
func (d dirtiness) due(commitEvery time.Duration) (at time.Time, ok bool) {
	if d.now {
		return time.Time{}, true
	}
	if d.confirmed {
		at, ok = d.last.Add(confirmEvery), true
	}
	if note := d.noteSince.Add(commitEvery / 2); !d.noteSince.IsZero() && (!ok || note.Before(at)) {
		at, ok = note, true
	}
	return at, ok
}

// keepLoop does what must not delay a commit: positions, prepared segments,
// limits.
func (b *Buffer) keepLoop(ctx context.Context) error {
	t := time.NewTimer(keepEvery)
	defer t.Stop()
	for {
		if err := b.chores(); err != nil {
			return err
		}
		t.Reset(b.nextChore())
		select {
		case <-ctx.Done():
			return nil // Run writes the positions once more, after the last commit
		case <-b.chore:
		case <-t.C:
		}
	}
}

func (b *Buffer) nextChore() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := keepEvery
	if due, ok := b.dirty.due(b.o.CommitEvery); ok {
		wait = min(wait, max(time.Until(due), time.Millisecond))
	}
	if b.next == "" {
		wait = min(wait, time.Second) // room may come from elsewhere
	}
	return wait
}

// chores does whatever is due. Without room on the card it leaves things as
// they are, to be called again.
func (b *Buffer) chores() error {
	b.keeping.Lock()
	defer b.keeping.Unlock()
	if err := b.writeDuePositions(); err != nil && !isFull(err) {
		return err
	}
	steps := []func() error{b.unlinkOld, b.feedStarved, b.prepare}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	b.watchFilling()
	return nil
}

func (b *Buffer) writeDuePositions() error {
	b.mu.Lock()
	due, ok := b.dirty.due(b.o.CommitEvery)
	b.mu.Unlock()
	if !ok || due.After(time.Now()) {
		return nil
	}
	return b.writePositions()
}

// writePositions makes the present positions durable.
func (b *Buffer) writePositions() error {
	b.positionsMu.Lock()
	defer b.positionsMu.Unlock()
	durable, _, _ := b.q.numbers()
	b.mu.Lock()
	b.positions.seen = max(b.positions.seen, durable)
	b.positions.stream = b.stream
	p := b.positions
	p.gaps = slices.Clone(p.gaps)
	b.dirty = dirtiness{last: time.Now()}
	b.mu.Unlock()
	n, err := b.posFile.write(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.dirty.confirmed = true // a second later, if the card is only full
		return err
	}
	b.count.written.Add(uint64(n))
	if p.confirmed > b.written {
		b.prepareAt = time.Time{} // something may go now
	}
	b.written = p.confirmed
	return nil
}

// prepare makes the file of the next segment, whole, so that a full card shows
// here and not in a commit. Without room it leaves things as they are: there may
// be some when records are confirmed, or others free the disk.
func (b *Buffer) prepare() error {
	b.mu.Lock()
	ready := b.next != "" || time.Now().Before(b.prepareAt)
	b.mu.Unlock()
	if ready {
		return nil
	}
	path := filepath.Join(b.dir, preparedName)
	for freed := int64(0); ; {
		if err := b.makeRoom(freed); err != nil || b.shortage() != "" {
			return err
		}
		err := b.ops.makeSegment(path, b.o.SegmentSize)
		if err == nil {
			b.count.written.Add(4 * pageSize)
			b.setPrepared(path)
			return nil
		}
		if !isNoSpace(err) { // whatever step says so: nothing depends on this file yet
			return fmt.Errorf("prepare segment: %w", err)
		}
		n := int64(0)
		if freed < b.o.SegmentSize { // a quota, which free space says nothing of
			if n, err = b.giveUpOne(err.Error()); err != nil {
				return err
			}
		}
		if n == 0 {
			b.putOff(fmt.Sprintf("the disk has no room for another %d MiB", b.o.SegmentSize>>20))
			return nil
		}
		freed += n
	}
}

// putOff lets some time pass before the next try, more each time: each one writes
// to a card that is full.
func (b *Buffer) putOff(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.short = why
	b.prepareWait = min(max(2*b.prepareWait, time.Second), time.Minute)
	b.prepareAt = time.Now().Add(b.prepareWait)
}

func (b *Buffer) setPrepared(path string) {
	b.mu.Lock()
	b.next, b.prepareWait = path, 0
	b.mu.Unlock()
	select {
	case b.prepared <- struct{}{}:
	default: // nobody has waited for the last one
	}
}

// makeSegment makes an empty bbolt file of size bytes. bbolt writes its first
// pages in the temporary file, because one that was cut while they were written
// can never be opened again.
func (o *fileOps) makeSegment(path string, size int64) error {
	return o.create(path, func(f *os.File) error {
		db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{PageSize: pageSize, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, Timeout: time.Second})
		if err != nil {
			return err
		}
		if err := db.Close(); err != nil {
			return err
		}
		if err := o.allocate(f, size); err != nil {
			return err
		}
		return f.Sync() // with its size
	})
}

// rotate seals the active segment and puts the prepared one in its place.
// errNoRoom: there is none.
func (b *Buffer) rotate(first uint64) (*segment, error) {
	b.mu.Lock()
	old, next := b.active, b.next
	b.mu.Unlock()
	if next == "" {
		return nil, errNoRoom
	}
	now, trusted := b.o.Now()
	s := &segment{
		path: filepath.Join(b.dir, segmentName(first)), first: first, size: b.o.SegmentSize,
		stream: b.stream, begun: now, trusted: trusted, checked: true,
		begin: &segmentHead{stream: b.stream, first: first, begun: now, trusted: trusted},
	}
	if err := b.ops.rename(next, s.path); err != nil {
		return nil, fmt.Errorf("begin segment %d: %w", first, err)
	}
	err := b.ops.syncDir(b.dir)
	if err == nil {
		s.db, err = openBolt(s.path, false)
	}
	if old != nil {
		err = errors.Join(err, old.close())
	}
	if err != nil {
		return nil, fmt.Errorf("begin segment %d: %w", first, err)
	}
	b.mu.Lock()
	b.active, b.next = s, ""
	b.segments = append(b.segments, s)
	b.mu.Unlock()
	b.callKeeper()
	return s, nil
}
