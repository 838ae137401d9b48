package buffer

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// Open opens the buffer in dir, which it makes if need be. It reads and checks
// the newest file only. Nothing becomes durable until Run runs. ErrLocked:
// another process has it.
func Open(dir string, o Options) (*Buffer, error) {
	ops := realOps()
	return open(dir, o, &ops)
}

func open(dir string, o Options, ops *fileOps) (*Buffer, error) {
	b, err := openLocked(dir, o, ops)
	if err != nil {
		return nil, fmt.Errorf("open buffer: %w", explain(dir, err))
	}
	return b, nil
}

func openLocked(dir string, o Options, ops *fileOps) (*Buffer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	fs, err := ops.space(dir)
	if err != nil {
		return nil, fmt.Errorf("look for free space: %w", err)
	}
	if o, err = o.withDefaults(fs); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	b, err := load(dir, o, ops, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return b, nil
}

func load(dir string, o Options, ops *fileOps, lock *os.File) (*Buffer, error) {
	enc, err := newEncoder()
	if err != nil {
		return nil, err
	}
	dec, err := newDecoder()
	if err != nil {
		return nil, err
	}
	b := &Buffer{
		dir: dir, o: o, ops: ops, lock: lock, enc: enc,
		chore: make(chan struct{}, 1), prepared: make(chan struct{}, 1), running: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	b.reader.dec = dec
	if err := b.restore(); err != nil {
		return nil, errors.Join(err, b.abandon())
	}
	return b, nil
}

// abandon closes what restore had opened.
func (b *Buffer) abandon() error {
	b.reader.close()
	var errs []error
	for _, s := range b.segments {
		errs = append(errs, s.close())
	}
	if b.posFile != nil {
		errs = append(errs, b.posFile.close())
	}
	return errors.Join(errs...)
}

// A start is what restore finds out about the last stop.
type start struct {
	known     *positions // nil: there are none
	bad       error      // why there are none; nil: there was no file
	last      uint64     // highest number that is on the card
	claimed   uint64     // highest number that a damaged file shows to have been given
	stream    uint32     // of the newest segment; 0: not known
	fresh     bool       // nothing is there at all
	newStream string     // why numbers go on in a new stream; "": they do not
}

// restore finds out where the last process stopped and goes on from there.
func (b *Buffer) restore() error {
	var st start
	var err error
	if err = b.listFiles(); err != nil {
		return err
	}
	if b.posFile, st.known, st.bad, err = openPositions(b.dir, b.ops); err != nil {
		return err
	}
	if st.known != nil {
		b.positions, b.stream = *st.known, st.known.stream
	}
	if err := b.removeDropped(); err != nil {
		return err
	}
	st.fresh = st.known == nil && len(b.segments) == 0
	if err := b.examineNewest(&st); err != nil {
		return err
	}
	b.judge(&st)
	if err := b.resume(&st); err != nil {
		return err
	}
	b.announce(&st)
	return b.writeStart()
}

// listFiles reads the directory and clears away what a dead process was making.
func (b *Buffer) listFiles() error {
	files, err := listDir(b.dir)
	if err != nil {
		return err
	}
	for _, path := range files.leftover {
		if err := b.ops.remove(path); err != nil {
			return err
		}
	}
	b.segments, b.damaged = files.segments, files.damaged
	for _, path := range b.damaged {
		b.damagedBytes += fileSize(path)
	}
	if files.prepared == 0 {
		return nil
	}
	if files.prepared == b.o.SegmentSize && isUnused(files.preparedPath) {
		b.next = files.preparedPath
		return nil
	}
	return b.ops.remove(files.preparedPath) // of another size, or damaged
}

// isUnused says whether the file at path is a prepared segment: as bbolt made it,
// with its list of free pages in page 2, which bbolt must be able to read once.
func isUnused(path string) bool {
	t, err := checkTree(path)
	if err != nil || t.blocks > 0 || t.pages != 4 {
		return false
	}
	db, err := openBolt(path, false)
	return err == nil && db.Close() == nil
}

// removeDropped removes files whose drop was recorded just before a power cut.
func (b *Buffer) removeDropped() error {
	for i := 0; i+1 < len(b.segments); {
		first, last := b.segments[i].first, b.segments[i+1].first-1
		if !b.positions.dropped(first, last) {
			i++
			continue
		}
		if err := b.unlink(i); err != nil {
			return err
		}
	}
	return nil
}

// dropped says whether the records first..last were given up.
func (p *positions) dropped(first, last uint64) bool {
	for _, g := range p.gaps {
		if g.reason == reasonDropped && g.first <= max(first, p.confirmed+1) && last <= g.last && last > p.confirmed {
			return true
		}
	}
	return false
}

// examineNewest checks the newest segment and finds its last number.
func (b *Buffer) examineNewest(st *start) error {
	for len(b.segments) > 0 {
		s := b.segments[len(b.segments)-1]
		st.last = s.first - 1
		if err := b.settle(s.path); err != nil {
			return err
		}
		t, cause := b.readThrough(s.path)
		if errors.Is(cause, errNewer) || isShortage(cause) {
			return cause
		}
		switch {
		case cause == nil && t.blocks == 0:
			// It stopped between beginning the file and its first commit, of which
			// pages may be there: never use it again.
			if err := b.unlink(len(b.segments) - 1); err != nil {
				return err
			}
			continue
		case cause == nil:
			st.last, st.stream = t.last, t.head.stream
			s.stream, s.begun, s.trusted, s.checked = t.head.stream, t.head.begun, t.head.trusted, true
			return nil
		}
		return b.salvageNewest(s, st, cause)
	}
	return nil
}

// settle makes sure that what is read of a file after an unclean stop is on the
// card. The kernel may still have to write what a killed process left in its
// memory, and after a failed sync it shows bytes there that it will never write.
func (b *Buffer) settle(path string) error {
	if b.positions.clean {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(b.ops.sync(f), f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	forgetCached(path)
	return nil
}

// readThrough checks a file, and once more from the card itself if it fails: a
// bad contact gives something else each time, and that is no damage.
func (b *Buffer) readThrough(path string) (t tree, err error) {
	for range 2 {
		cause := b.o.Check(path)
		t, err = checkTree(path)
		if cause == nil && err == nil || errors.Is(err, errNewer) || isShortage(cause) {
			return t, errors.Join(cause, err)
		}
		err = cmp.Or(cause, err)
		forgetCached(path)
	}
	return t, err
}

func (b *Buffer) salvageNewest(s *segment, st *start, cause error) error {
	st.newStream = "the newest file was damaged"
	found, claimed, err := scan(s.path, s.first, 0)
	if err != nil {
		return err
	}
	st.claimed = claimed
	if n := len(found); n > 0 {
		st.last, st.stream = found[n-1].head.last(), found[n-1].head.stream
	}
	err = b.repair(s, 0, cause)
	if isShortage(err) {
		return nil // it is tried again when it is read
	}
	return err
}

// judge decides whether the numbers can go on in the same stream.
func (b *Buffer) judge(st *start) {
	p := &b.positions
	seen := max(p.confirmed, p.seen, st.claimed)
	switch {
	case st.fresh:
		st.newStream = "nothing was there"
	case st.newStream != "":
	case seen > st.last:
		st.newStream = "records at the end are gone"
	case st.known != nil && p.board != b.o.Board && p.board != "" && b.o.Board != "":
		st.newStream = "the board is another one"
	}
	if seen > st.last && !st.fresh {
		b.addGap(gapEntry{stream: cmp.Or(p.stream, st.stream), first: max(st.last, p.confirmed) + 1, last: seen, reason: reasonLostTail, detail: st.newStream})
		st.last = seen
	}
	b.stream = p.stream
	if st.known == nil {
		b.stream = st.stream
	}
	if st.newStream != "" || b.stream == 0 {
		b.stream = newStream()
	}
}

// resume makes the newest segment take blocks again, or seals it.
func (b *Buffer) resume(st *start) error {
	b.q = newQueue(b.o, st.last+1)
	if len(b.segments) == 0 {
		return nil
	}
	s := b.segments[len(b.segments)-1]
	if !b.positions.clean || s.stream != b.stream || !s.checked {
		return b.seal(s)
	}
	db, err := openBolt(s.path, false)
	if err != nil {
		return err
	}
	s.db, b.active = db, s
	return nil
}

// seal cuts the unused rest off a segment that will never be written to again.
// After an unclean stop its free pages may hold blocks that were given up, whose
// numbers are used by others now.
func (b *Buffer) seal(s *segment) error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	m, err := readMeta(f, s.size)
	if err != nil { // it waits for its repair
		return f.Close()
	}
	err = f.Truncate(int64(m.pages) * pageSize)
	s.size = int64(m.pages) * pageSize
	return errors.Join(err, f.Close())
}

// announce tells what a person must know of this start.
func (b *Buffer) announce(st *start) {
	p := &b.positions
	first := st.last + 1
	if st.known == nil && len(b.segments) > 0 {
		p.replayed, p.confirmed = st.last, b.segments[0].first-1
		cause := st.bad
		if cause == nil {
			cause = errors.New("the file is gone")
		}
		b.o.Notify(Notice{Kind: PositionsLost, Stream: streamName(b.stream), First: p.confirmed + 1, Last: st.last, Err: cause})
	}
	if !st.fresh && !p.clean {
		b.o.Notify(Notice{Kind: UncleanStart, Stream: streamName(b.stream), Last: st.last, CommitEvery: b.o.CommitEvery,
			Detail: "the program or the board was stopped without notice; records that nobody waited for may be missing"})
	}
	if st.newStream == "" {
		return
	}
	n := Notice{Kind: StreamStarted, Stream: streamName(b.stream), First: first, Reason: st.newStream}
	if previous := cmp.Or(p.stream, st.stream); previous != 0 {
		n.Previous = streamName(previous)
	}
	b.o.Notify(n)
}

// writeStart makes the positions durable before anything is taken: they say that
// the buffer is in use. It is also the probe of a card that may have failed.
func (b *Buffer) writeStart() error {
	b.positions.clean = false
	if b.o.Board != "" {
		b.positions.board = b.o.Board
	}
	if err := b.writePositions(); err != nil && !isFull(err) { // a full one can still be read
		return err
	}
	// The first confirmation is written at once: a process that does not live
	// for a second would otherwise send all that is on the card again each time.
	b.dirty.last = time.Time{}
	return nil
}

// newStream makes the name of a stream. It is never 0.
func newStream() uint32 {
	var b [4]byte
	for {
		rand.Read(b[:]) // never fails
		if s := binary.BigEndian.Uint32(b[:]); s != 0 {
			return s
		}
	}
}
