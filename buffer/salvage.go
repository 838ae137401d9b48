package buffer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// A foundBlock is a good block somewhere in a damaged file.
type foundBlock struct {
	at   int64 // offset in the file
	head blockHead
}

func (f foundBlock) size() int { return blockHeadSize + int(f.head.stored) }

// scan finds all good blocks of a file, whatever became of its structure, also
// those of a last commit whose meta page is gone: they may have been reported
// durable. limit is the first number of the next segment, 0: there is none.
//
// No block in there can be a stale one that was given up: after an unclean stop
// a file is never written to again.
//
// A file of which the card reads less than half is none of which anything can be
// said: the card fails, and what is on it may be read another time. scan returns
// errUnreadable then.
//
// claimed is the highest number that the file shows to have been given: that of
// a block behind the last good one may be gone while its head still names it.
func scan(path string, first, limit uint64) (found []foundBlock, claimed uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	inRange := func(h blockHead) bool { return h.first >= first && (limit == 0 || h.last() < limit) }
	var spoiled []foundBlock
	forgetCached(path)
	r := tolerantReader{f: f, size: info.Size()}
	err = eachBlock(&r, func(at int64, h blockHead, good bool) {
		switch {
		case !inRange(h):
		case good:
			found = append(found, foundBlock{at, h})
		default:
			spoiled = append(spoiled, foundBlock{at, h})
		}
	})
	if err == nil && r.unread > r.size/2 {
		err = fmt.Errorf("%s: %w: %w", path, errUnreadable, r.err)
	}
	found = inOrder(found)
	return found, claimedBehind(found, inOrder(spoiled), first), err
}

// errUnreadable is no damage: nothing may be set aside for it.
var errUnreadable = errors.New("the card does not read the file")

// claimedBehind follows the heads of spoiled blocks from the last good number
// on. A head that does not join on is itself damaged and proves nothing.
func claimedBehind(found, spoiled []foundBlock, first uint64) uint64 {
	last := first - 1
	if n := len(found); n > 0 {
		last = found[n-1].head.last()
	}
	for _, s := range spoiled {
		if s.head.first == last+1 && s.head.count <= s.head.raw {
			last = s.head.last()
		}
	}
	return last
}

// inOrder sorts blocks and leaves out copies, which bbolt leaves behind when it
// moves a small one with its page.
func inOrder(found []foundBlock) []foundBlock {
	slices.SortStableFunc(found, func(a, b foundBlock) int {
		switch {
		case a.head.first != b.head.first:
			return map[bool]int{true: -1, false: 1}[a.head.first < b.head.first]
		default:
			return int(b.head.count) - int(a.head.count)
		}
	})
	var last uint64
	return slices.DeleteFunc(found, func(b foundBlock) bool {
		if b.head.first <= last {
			return true
		}
		last = b.head.last()
		return false
	})
}

// eachBlock calls f with every block that it meets, good or with a plausible
// head and a wrong checksum.
func eachBlock(in io.Reader, f func(at int64, h blockHead, good bool)) error {
	const view = 64 << 10
	r := bufio.NewReaderSize(in, blockHeadSize+maxBlock+maxRecordOverhead+view)
	at := int64(0)
	skip := func(n int) {
		n, _ = r.Discard(n) // what was peeked at is there
		at += int64(n)
	}
	for {
		b, err := r.Peek(view)
		if i := nextMagic(b); i >= 0 {
			skip(i)
			skip(blockAt(r, func(h blockHead, good bool) { f(at, h, good) }))
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		skip(len(b) - len(blockMagic) + 1) // a magic may begin at the end
	}
}

// blockAt returns how far to go on: behind the good block that r stands at, or
// behind the first byte of what only looked like one.
func blockAt(r *bufio.Reader, found func(h blockHead, good bool)) int {
	b, _ := r.Peek(blockHeadSize) // a short one is no block
	h, err := parseBlockHead(b)
	if err != nil {
		return 1
	}
	b, _ = r.Peek(blockHeadSize + int(h.stored))
	if _, _, err := parseBlock(b); err != nil {
		found(h, false)
		return 1
	}
	found(h, true)
	return len(b)
}

// A tolerantReader gives zeros for what the card does not read any more.
type tolerantReader struct {
	f      io.ReaderAt
	size   int64
	off    int64
	unread int64 // bytes for which it gave zeros
	err    error // the last one
}

func (r *tolerantReader) Read(b []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.size-r.off)]
	n, err := r.f.ReadAt(b, r.off)
	if n == 0 && err != nil {
		n = int(min(int64(len(b)), pageSize-r.off%pageSize))
		clear(b[:n])
		r.unread, r.err = r.unread+int64(n), err
	}
	r.off += int64(n)
	return n, nil
}

// repair sets the damaged file of s aside and puts a file with its good blocks
// in its place, or nothing when there are none. cause is what is wrong. The
// numbers stay what they were; what is missing between them has become a gap.
// The caller holds reader.mu, or nobody knows b yet.
func (b *Buffer) repair(s *segment, limit uint64, cause error) error {
	if errors.Is(cause, errNewer) {
		return cause
	}
	if err := s.close(); err != nil {
		return err
	}
	found, _, err := scan(s.path, s.first, limit)
	if err != nil {
		return fmt.Errorf("salvage %s: %w", s.path, err)
	}
	aside, err := b.replace(s, found)
	if err != nil {
		return fmt.Errorf("salvage %s: %w", s.path, err)
	}
	var saved uint64
	for _, f := range found {
		saved += uint64(f.head.count)
	}
	b.o.Notify(Notice{Kind: FileSetAside, File: aside, Err: cause, Salvaged: saved})
	b.addDamage(s, found, limit, cause)
	return nil
}

// replace puts a file with the found blocks in the place of s's, which goes
// aside. After a power cut in between the damaged one is still there, or the
// new one is.
func (b *Buffer) replace(s *segment, found []foundBlock) (aside string, err error) {
	aside = s.path + damagedMark + time.Now().UTC().Format("20060102T150405.000")
	if len(found) == 0 {
		err = errors.Join(b.ops.rename(s.path, aside), b.ops.syncDir(b.dir))
		b.mu.Lock()
		b.segments = slices.DeleteFunc(b.segments, func(o *segment) bool { return o == s })
		b.damaged, b.damagedBytes = append(b.damaged, aside), b.damagedBytes+s.size
		b.mu.Unlock()
		return aside, err
	}
	temp := s.path + tempSuffix
	if err := errors.Join(b.removeAll(temp), b.ops.copyBlocks(temp, s, found)); err != nil {
		return "", errors.Join(err, b.removeAll(temp))
	}
	if err := os.Link(s.path, aside); err != nil {
		aside = "" // a file system without links: the damaged file cannot be kept
	}
	if err := b.ops.rename(temp, s.path); err != nil {
		return "", errors.Join(err, b.removeAll(temp, aside))
	}
	if err := b.ops.syncDir(b.dir); err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := s.size
	s.size, s.checked = fileSize(s.path), true
	if aside == "" {
		return s.path + " (not kept)", nil
	}
	b.damaged, b.damagedBytes = append(b.damaged, aside), b.damagedBytes+before
	return aside, nil
}

// removeAll removes files, which need not be there.
func (b *Buffer) removeAll(paths ...string) error {
	var errs []error
	for _, path := range paths {
		if path == "" {
			continue
		}
		if err := b.ops.remove(path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// copyBlocks makes a sealed segment from blocks of another file.
func (o *fileOps) copyBlocks(path string, s *segment, found []foundBlock) error {
	in, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer in.Close()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		PageSize: pageSize, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, Timeout: time.Second,
		NoSync: true, // nobody relies on the file before the one sync at its end
	})
	if err != nil {
		return err
	}
	db.AllocSize = 1 << 20
	head := segmentHead{stream: found[0].head.stream, first: s.first}
	if h, err := s.head(); err == nil {
		head = h
	}
	err = errors.Join(s.close(), fillSegment(db, head, in, found))
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

// fillSegment writes the blocks, several in each transaction: one for each would
// leave behind as many copies of the index.
func fillSegment(db *bbolt.DB, head segmentHead, in io.ReaderAt, found []foundBlock) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(headBucket)
		if err != nil {
			return err
		}
		return b.Put(headKey, head.encode())
	})
	for len(found) > 0 && err == nil {
		err = db.Update(func(tx *bbolt.Tx) error {
			found, err = copySome(tx, in, found)
			return err
		})
	}
	return err
}

// copySome copies blocks of about 1 MiB and returns what is left.
func copySome(tx *bbolt.Tx, in io.ReaderAt, found []foundBlock) ([]foundBlock, error) {
	tx.Cursor().Bucket().FillPercent = 1
	for n := 0; n < 1<<20 && len(found) > 0; found = found[1:] {
		f := found[0]
		stored := make([]byte, f.size()) // bbolt keeps it until the transaction ends
		if _, err := in.ReadAt(stored, f.at); err != nil {
			return nil, err
		}
		if _, _, err := parseBlock(stored); err != nil {
			return nil, fmt.Errorf("read again: %w", err)
		}
		b, err := tx.CreateBucket(numberKey(f.head.first))
		if err != nil {
			return nil, err
		}
		if err := b.Put(blockKey, stored); err != nil {
			return nil, err
		}
		n += len(stored)
	}
	return found, nil
}
