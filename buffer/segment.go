package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A segment is one bbolt file of the buffer. In its root lies one bucket for
// each block, named by the 8 bytes of the number of its first record, with the
// block as its one value: a block of its own bucket is written once, while of
// plain values bbolt rewrites up to four with every one that is added, and small
// ones are kept inside the root's page all the same. The bucket "segment" holds
// the segment's head.
type segment struct {
	path  string
	first uint64 // number of the first record that it may hold
	size  int64  // bytes on the card

	// These are guarded by reader.mu once the segment is in the list. The first
	// three are from its head.
	stream  uint32    // 0: not read yet
	begun   time.Time // when it was begun, and the one before sealed
	trusted bool      // begun is right
	checked bool      // it was read through since this process started
	doubts  int       // how often it was bad and then good again

	// These are the committer's.
	begin *segmentHead // to be written with the first block; nil: it was
	used  int64        // bytes of the file in use before the last commit; 0: not known
	stuck bool         // bbolt panicked in a commit and holds its lock for ever

	mu   sync.RWMutex
	db   *bbolt.DB // nil: closed
	file *os.File  // for reading blocks; nil: not opened yet
}

var (
	blockKey   = []byte("b")
	headBucket = []byte("segment")
	headKey    = []byte("head")
)

const (
	segmentSuffix = ".seg"
	preparedName  = "next.seg"
	tempSuffix    = ".tmp"
	damagedMark   = ".damaged-"
)

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

// segmentFirst is the number that the name of a segment's file holds.
func segmentFirst(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && first > 0
}

// guard runs f, which touches bbolt's memory. A damaged file makes bbolt panic,
// and a truncated one or a card that does not read raises SIGBUS; both become
// an error here.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", path, r)
		}
	}()
	return f()
}

// openBolt opens a segment's file the only way that fits: pages of 4 KiB on
// every kernel, no list of free pages on the card (it would be written with each
// commit), and no growth, because the file was prepared whole.
func openBolt(path string, readOnly bool) (db *bbolt.DB, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	o := &bbolt.Options{
		Timeout:        time.Second,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		PageSize:       pageSize,
		ReadOnly:       readOnly,
		NoStatistics:   true,
	}
	if !readOnly {
		o.MaxSize = int(info.Size())
	}
	err = guard(path, func() error {
		db, err = bbolt.Open(path, 0o600, o)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", path, err)
	}
	db.AllocSize = max(db.AllocSize, o.MaxSize) // else MaxSize would be reached one AllocSize early
	return db, nil
}

// A segmentHead is what a segment says of itself, written with its first block.
type segmentHead struct {
	stream  uint32
	first   uint64
	begun   time.Time // also when the segment before it was sealed
	trusted bool      // the clock was right then
}

const (
	headVersion = 1
	headSize    = 26 // bytes: version, trusted, stream, first, begun in ms, CRC-32C
)

func (h segmentHead) encode() []byte {
	b := []byte{headVersion, byte(boolNumber(h.trusted))}
	b = binary.BigEndian.AppendUint32(b, h.stream)
	b = binary.BigEndian.AppendUint64(b, h.first)
	b = binary.BigEndian.AppendUint64(b, uint64(h.begun.UnixMilli()))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseSegmentHead(b []byte) (segmentHead, error) {
	if len(b) < headSize {
		return segmentHead{}, errors.New("no head in the segment")
	}
	at := len(b) - 4
	if crc32.Checksum(b[:at], castagnoli) != binary.BigEndian.Uint32(b[at:]) {
		return segmentHead{}, errors.New("the segment's head has a wrong checksum")
	}
	if b[0] > headVersion {
		return segmentHead{}, fmt.Errorf("segment of format %d: %w", b[0], errNewer)
	}
	return segmentHead{
		trusted: b[1] == 1,
		stream:  binary.BigEndian.Uint32(b[2:]),
		first:   binary.BigEndian.Uint64(b[6:]),
		begun:   time.UnixMilli(int64(binary.BigEndian.Uint64(b[14:]))),
	}, nil
}

func numberKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// errNoRoom means that the segment cannot take the block; the next one will.
var errNoRoom = errors.New("segment has no room")

// indexPages are what a commit may need besides the pages of the block: a leaf of
// the root and the branches above it, each split in two, while the old ones are
// not free yet, and the one that bbolt leaves at the end.
const indexPages = 12

// put commits one block, durably, with the segment's head when it is the first.
// It returns the bytes that were written, and how many more of the file are in
// use.
func (s *segment) put(number uint64, stored []byte, commit func(*bbolt.Tx) error) (written, taken int64, err error) {
	s.stuck = true
	err = guard(s.path, func() error {
		written, taken, err = s.commitBlock(number, stored, commit)
		s.stuck = false
		return err
	})
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		err = errNoRoom // indexPages was too few; the file would have grown
	}
	return written, taken, err
}

func (s *segment) commitBlock(number uint64, stored []byte, commit func(*bbolt.Tx) error) (written, taken int64, err error) {
	tx, err := s.db.Begin(true)
	if err != nil {
		return 0, 0, err
	}
	if err := s.fill(tx, number, stored); err != nil {
		return 0, 0, errors.Join(err, tx.Rollback())
	}
	used := tx.Size() // with what the commit before took
	if err := commit(tx); err != nil {
		return 0, 0, err
	}
	if s.used > 0 {
		taken = used - s.used
	}
	s.used, s.begin = used, nil
	stats := tx.Stats()                                // also valid after the end
	return stats.GetPageAlloc() + pageSize, taken, nil // and the meta page
}

func (s *segment) fill(tx *bbolt.Tx, number uint64, stored []byte) error {
	need := int64(len(stored)+pageSize)/pageSize*pageSize + indexPages*pageSize
	if tx.Size()+need > s.size {
		return errNoRoom
	}
	tx.Cursor().Bucket().FillPercent = 1 // numbers only grow
	if s.begin != nil {
		b, err := tx.CreateBucket(headBucket)
		if err != nil {
			return err
		}
		if err := b.Put(headKey, s.begin.encode()); err != nil {
			return err
		}
	}
	b, err := tx.CreateBucket(numberKey(number))
	if err != nil {
		return err
	}
	return b.Put(blockKey, stored)
}

// view reads the segment, which is opened when it is not. What f sees of
// bbolt's memory ends with it.
func (s *segment) view(f func(tx *bbolt.Tx) error) error {
	for {
		if err := s.open(); err != nil {
			return err
		}
		s.mu.RLock()
		if s.db != nil {
			break
		}
		s.mu.RUnlock() // the committer has just sealed it
	}
	defer s.mu.RUnlock()
	return guard(s.path, func() error { return s.db.View(f) })
}

func (s *segment) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.db == nil {
		if s.db, err = openBolt(s.path, true); err != nil {
			return err
		}
	}
	if s.file == nil {
		s.file, err = os.Open(s.path)
	}
	return err
}

// stored reads the block of a bucket, into memory, which may grow. Only the index
// is read through bbolt's map of the file: pages of the map that were touched
// stay resident, and reading through a backlog would make that all of each file.
func (s *segment) stored(b *bbolt.Bucket, memory *[]byte) (found []byte, err error) {
	if b == nil {
		return nil, errors.New("no bucket where a block should be")
	}
	if b.Root() == 0 { // the block lies in the index
		*memory = append((*memory)[:0], b.Get(blockKey)...)
		return *memory, nil
	}
	page, err := readPage(s.file, uint64(b.Root()), uint64(s.size/pageSize), *memory)
	if err != nil {
		return nil, err
	}
	*memory = page
	err = eachLeaf(page, func(_ bool, key, value []byte) error {
		if bytes.Equal(key, blockKey) {
			found = value
		}
		return nil
	})
	return found, err
}

// close waits for readers.
func (s *segment) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.db != nil && !s.stuck {
		errs = append(errs, guard(s.path, s.db.Close))
	}
	if s.file != nil {
		errs = append(errs, s.file.Close())
	}
	s.db, s.file = nil, nil
	return errors.Join(errs...)
}

// head reads the segment's head.
func (s *segment) head() (h segmentHead, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(headBucket)
		if b == nil {
			return errors.New("no head in the segment")
		}
		h, err = parseSegmentHead(b.Get(headKey))
		return err
	})
	if err != nil {
		return h, fmt.Errorf("read head of %s: %w", s.path, err)
	}
	return h, nil
}

// dirFiles are the files in a buffer's directory.
type dirFiles struct {
	segments     []*segment // by number
	damaged      []string   // paths of files set aside, oldest first
	leftover     []string   // paths of files that were being made
	prepared     int64      // bytes of the prepared segment; 0: none
	preparedPath string
}

// listDir reads what a buffer's directory holds.
func listDir(dir string) (dirFiles, error) {
	entries, err := os.ReadDir(dir) // sorted by name, and so by number
	if err != nil {
		return dirFiles{}, err
	}
	var d dirFiles
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		first, ok := segmentFirst(e.Name())
		switch {
		case strings.HasSuffix(e.Name(), tempSuffix):
			d.leftover = append(d.leftover, path)
		case strings.Contains(e.Name(), damagedMark):
			d.damaged = append(d.damaged, path)
		case ok:
			d.segments = append(d.segments, &segment{path: path, first: first, size: fileSize(path)})
		case e.Name() == preparedName:
			d.prepared, d.preparedPath = fileSize(path), path
		}
	}
	return d, nil
}

// fileSize is 0 for what is not there.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
