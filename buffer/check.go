package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// CheckFile reads a segment's file through, every page and the checksum of every
// block, and returns what is wrong with it. It reads the file by its own means
// before it lets bbolt do so, which dies of some kinds of damage, in a goroutine
// that nobody can recover; should one ever get past that, it is better met in a
// child process.
func CheckFile(path string) error {
	if _, err := checkTree(path); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if err := checkBolt(path); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	return nil
}

// checkBolt asks bbolt for its opinion. When that is bad, the file stays mapped:
// bbolt leaves a goroutine behind that still walks over it (DB.freepages).
func checkBolt(path string) error {
	db, err := openBolt(path, true)
	if err != nil {
		return err
	}
	err = guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error {
			var errs []error
			for err := range tx.Check() {
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		})
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// A tree is what a walk over a segment's file found.
type tree struct {
	head    segmentHead
	hasHead bool
	blocks  int
	records uint64
	first   uint64 // number of the first record; 0: none
	last    uint64
	pages   int64 // the file holds that many
}

// bbolt's file format, version 2. Numbers are in the order of the machine, which
// is little-endian on all that this runs on.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	pageHeadSize   = 16
	elementSize    = 16
	bucketHeadSize = 16
	metaSize       = 64 // its checksum, the last 8, included
	branchPage     = 0x01
	leafPage       = 0x02
	freelistPage   = 0x10
	firstFreelist  = 2 // its page in a new file
	noFreelist     = 1<<64 - 1
	bucketElement  = 0x01
	maxDepth       = 16 // of a tree; ours has three levels
)

// A meta is one of the two pages that a commit writes last, in turn.
type meta struct {
	root     uint64 // page of the root bucket
	freelist uint64 // page of the list of free pages, or noFreelist
	pages    uint64 // high-water mark
	txid     uint64
}

func parseMeta(b []byte) (meta, error) {
	if len(b) < pageHeadSize+metaSize {
		return meta{}, io.ErrUnexpectedEOF
	}
	b = b[pageHeadSize:]
	le := binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8]) // never fails
	switch {
	case le.Uint32(b) != boltMagic || le.Uint32(b[4:]) != boltVersion || le.Uint32(b[8:]) != pageSize:
		return meta{}, errors.New("is not one of a segment")
	case sum.Sum64() != le.Uint64(b[metaSize-8:]):
		return meta{}, errors.New("has a wrong checksum")
	}
	return meta{root: le.Uint64(b[16:]), freelist: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:])}, nil
}

// readMeta returns the newer meta page. Both must be good: bbolt would go on
// with the older one alone, and so lose the last commit without a word.
func readMeta(f io.ReaderAt, size int64) (meta, error) {
	var metas [2]meta
	b := make([]byte, pageSize)
	for i := range metas {
		if _, err := f.ReadAt(b, int64(i)*pageSize); err != nil {
			return meta{}, fmt.Errorf("meta page %d: %w", i, err)
		}
		var err error
		if metas[i], err = parseMeta(b); err != nil {
			return meta{}, fmt.Errorf("meta page %d %w", i, err)
		}
	}
	m := metas[0]
	if metas[1].txid > m.txid {
		m = metas[1]
	}
	if m.pages > uint64(size/pageSize) {
		return m, fmt.Errorf("the file is cut short: %d bytes, want %d pages", size, m.pages)
	}
	return m, checkFreelist(f, m.freelist)
}

// checkFreelist: our commits write no list of free pages. Only a file without
// one has the empty list that it was made with. bbolt follows any other blindly.
func checkFreelist(f io.ReaderAt, id uint64) error {
	if id == noFreelist {
		return nil
	}
	b := make([]byte, pageHeadSize)
	if _, err := f.ReadAt(b, firstFreelist*pageSize); err != nil {
		return fmt.Errorf("list of free pages: %w", err)
	}
	if flags, count := pageHead(b); id != firstFreelist || flags != freelistPage || count != 0 {
		return fmt.Errorf("a list of free pages at page %d, where none should be", id)
	}
	return nil
}

// A walker reads a segment's tree without bbolt, page by page.
type walker struct {
	f    io.ReaderAt
	meta meta
	seen []bool // by page
	tree tree
	page []byte // memory for the pages of single blocks
}

func checkTree(path string) (tree, error) {
	f, err := os.Open(path)
	if err != nil {
		return tree{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return tree{}, err
	}
	m, err := readMeta(f, info.Size())
	if err != nil {
		return tree{}, err
	}
	w := walker{f: f, meta: m, seen: make([]bool, m.pages)}
	w.tree.pages = int64(m.pages)
	return w.tree, w.walkInto(m.root)
}

// walkInto walks the root bucket; the result is in w.tree also after an error.
func (w *walker) walkInto(root uint64) error {
	if err := w.walk(root, 0, keyRange{}); err != nil {
		return err
	}
	if w.tree.blocks > 0 && !w.tree.hasHead {
		return errors.New("no head in the segment")
	}
	return nil
}

// A keyRange is where the keys of a subtree must lie: from least on, and below
// end; nil: no bound.
type keyRange struct{ least, end []byte }

func (r keyRange) holds(key []byte) bool {
	return (r.least == nil || bytes.Compare(key, r.least) >= 0) && (r.end == nil || bytes.Compare(key, r.end) < 0)
}

func (w *walker) walk(id uint64, depth int, keys keyRange) error {
	page, err := w.read(id, nil)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("page %d lies too deep", id)
	}
	if flags, _ := pageHead(page); flags == branchPage {
		return w.branch(page, depth, keys)
	}
	return eachLeaf(page, func(bucket bool, key, value []byte) error {
		if !bucket || !keys.holds(key) {
			return fmt.Errorf("page %d holds what does not belong there", id)
		}
		return w.bucket(key, value)
	})
}

// branch walks the pages below a branch page. A wrong key in there would hide
// what lies below it.
func (w *walker) branch(page []byte, depth int, keys keyRange) error {
	le := binary.LittleEndian
	_, count := pageHead(page)
	all := make([][]byte, count)
	for i := range all {
		at := pageHeadSize + i*elementSize
		start := uint64(at) + uint64(le.Uint32(page[at:]))
		end := start + uint64(le.Uint32(page[at+4:]))
		if end > uint64(len(page)) || start == end {
			return errors.New("an element lies outside its page")
		}
		all[i] = page[start:end]
		if !keys.holds(all[i]) || i > 0 && bytes.Compare(all[i-1], all[i]) >= 0 {
			return errors.New("keys are out of order")
		}
	}
	for i, key := range all {
		below := keyRange{key, keys.end}
		if i+1 < count {
			below.end = all[i+1]
		}
		if err := w.walk(le.Uint64(page[pageHeadSize+i*elementSize+8:]), depth+1, below); err != nil {
			return err
		}
	}
	return nil
}

// read is readPage for one that must not have been seen before.
func (w *walker) read(id uint64, memory []byte) ([]byte, error) {
	b, err := readPage(w.f, id, w.meta.pages, memory)
	if err != nil {
		return nil, err
	}
	for i := id; i < id+uint64(len(b)/pageSize); i++ {
		if w.seen[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	return b, nil
}

// readPage returns page id of a file of so many pages, with those that it
// overflows into, after a look at its head. It uses memory if that is enough.
func readPage(f io.ReaderAt, id, pages uint64, memory []byte) ([]byte, error) {
	if id < 2 || id >= pages {
		return nil, fmt.Errorf("page %d does not exist", id)
	}
	b := slices.Grow(memory[:0], pageSize)[:pageSize]
	if _, err := f.ReadAt(b, int64(id)*pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	le := binary.LittleEndian
	overflow := uint64(le.Uint32(b[12:]))
	flags, count := pageHead(b)
	if le.Uint64(b) != id || flags != leafPage && flags != branchPage || overflow > pages-id-1 || count*elementSize > pageSize-pageHeadSize {
		return nil, fmt.Errorf("page %d has a wrong head", id)
	}
	if overflow == 0 {
		return b, nil
	}
	b = slices.Grow(b, int(overflow)*pageSize)[:(overflow+1)*pageSize]
	if _, err := f.ReadAt(b[pageSize:], int64(id+1)*pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

func pageHead(page []byte) (flags, count int) {
	le := binary.LittleEndian
	return int(le.Uint16(page[8:])), int(le.Uint16(page[10:]))
}

// eachLeaf calls f with the elements of a leaf page, which may be an inline one.
func eachLeaf(page []byte, f func(bucket bool, key, value []byte) error) error {
	if len(page) < pageHeadSize {
		return io.ErrUnexpectedEOF
	}
	le := binary.LittleEndian
	flags, count := pageHead(page)
	if flags != leafPage || count*elementSize > len(page)-pageHeadSize {
		return errors.New("a leaf page has a wrong head")
	}
	var before []byte
	for i := range count {
		at := pageHeadSize + i*elementSize
		e := page[at:]
		start := uint64(at) + uint64(le.Uint32(e[4:]))
		middle := start + uint64(le.Uint32(e[8:]))
		end := middle + uint64(le.Uint32(e[12:]))
		if end > uint64(len(page)) || middle == start {
			return errors.New("an element lies outside its page")
		}
		key := page[start:middle]
		if before != nil && bytes.Compare(before, key) >= 0 {
			return errors.New("keys are out of order")
		}
		if err := f(le.Uint32(e)&bucketElement != 0, key, page[middle:end]); err != nil {
			return err
		}
		before = key
	}
	return nil
}

// bucket looks into one bucket of the root: a block's or the segment's head.
func (w *walker) bucket(key, value []byte) error {
	if len(value) < bucketHeadSize {
		return errors.New("a bucket is cut short")
	}
	page := value[bucketHeadSize:]
	if id := binary.LittleEndian.Uint64(value); id != 0 { // else the page is inline
		var err error
		if page, err = w.read(id, w.page); err != nil {
			return err
		}
		w.page = page
	}
	if len(page) < pageHeadSize {
		return io.ErrUnexpectedEOF
	}
	if _, count := pageHead(page); count != 1 {
		return fmt.Errorf("bucket %x holds %d values, want one", key, count)
	}
	return eachLeaf(page, func(bucket bool, k, v []byte) error {
		switch {
		case bucket:
			return errors.New("a bucket where a value should be")
		case bytes.Equal(key, headBucket) && bytes.Equal(k, headKey):
			h, err := parseSegmentHead(v)
			w.tree.head, w.tree.hasHead = h, err == nil
			return err
		case len(key) == 8 && bytes.Equal(k, blockKey):
			return w.block(binary.BigEndian.Uint64(key), v)
		}
		return fmt.Errorf("unknown key %q", key)
	})
}

func (w *walker) block(number uint64, stored []byte) error {
	h, _, err := parseBlock(stored)
	if err != nil {
		return err
	}
	if h.first != number || number <= w.tree.last {
		return fmt.Errorf("block %d lies at %d, behind %d", h.first, number, w.tree.last)
	}
	if w.tree.blocks == 0 {
		w.tree.first = h.first
	}
	w.tree.blocks++
	w.tree.records += uint64(h.count)
	w.tree.last = h.last()
	return nil
}
