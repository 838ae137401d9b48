package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// An index says where the blocks of a segment's file lie. It is read without
// bbolt, which dies of some kinds of damage, and without the blocks, so that one
// record of a file costs a few pages.
type index struct {
	path   string      // of the file that it is of
	info   os.FileInfo // the same file's
	pages  uint64
	stream uint32 // 0: not known
	refs   []blockRef
	err    error // why the blocks were looked for in the whole file; nil: they were not
	visits int   // of pages; more than there are means that they lie in a ring
}

// A blockRef is where one block lies: in a page of its own, in the leaf of the
// root, or, in a file whose structure is damaged, anywhere.
type blockRef struct {
	first  uint64
	page   uint64 // 0: at says it
	inLeaf bool
	at     int64 // offset in the file
}

// read makes x the index of file, unless it is that already. A file that was
// repaired meanwhile is another one.
func (x *index) read(file *os.File, s *segment) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if x.path == s.path && os.SameFile(x.info, info) {
		return nil
	}
	*x = index{path: s.path, info: info, refs: x.refs[:0]}
	m, err := readMeta(file, info.Size())
	if err == nil {
		x.pages = m.pages
		err = x.walk(file, m.root, 0)
	}
	if err == nil {
		return nil
	}
	x.refs, x.err = x.refs[:0], err
	found, _, err := scan(s.path, s.first, 0)
	for _, f := range found {
		x.stream = f.head.stream
		x.refs = append(x.refs, blockRef{first: f.head.first, at: f.at})
	}
	if err != nil {
		x.path = ""
	}
	return err
}

func (x *index) walk(f io.ReaderAt, id uint64, depth int) error {
	page, err := readPage(f, id, x.pages, nil)
	if err != nil {
		return err
	}
	if x.visits++; depth > maxDepth || uint64(x.visits) > x.pages {
		return fmt.Errorf("page %d lies too deep", id)
	}
	flags, count := pageHead(page)
	if flags != branchPage {
		return eachLeaf(page, func(_ bool, key, value []byte) error { return x.add(id, key, value) })
	}
	for i := range count {
		at := pageHeadSize + i*elementSize
		if err := x.walk(f, binary.LittleEndian.Uint64(page[at+8:]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// add takes one bucket of the root.
func (x *index) add(leaf uint64, key, value []byte) error {
	if len(value) < bucketHeadSize {
		return errors.New("a bucket is cut short")
	}
	if bytes.Equal(key, headBucket) {
		return eachLeaf(value[bucketHeadSize:], func(_ bool, _, v []byte) error {
			h, err := parseSegmentHead(v)
			x.stream = h.stream
			return err
		})
	}
	if len(key) != 8 {
		return fmt.Errorf("unknown key %q", key)
	}
	ref := blockRef{first: binary.BigEndian.Uint64(key), page: binary.LittleEndian.Uint64(value)}
	if ref.page == 0 {
		ref.page, ref.inLeaf = leaf, true
	}
	if n := len(x.refs); n > 0 && x.refs[n-1].first >= ref.first {
		return errors.New("keys are out of order")
	}
	x.refs = append(x.refs, ref)
	return nil
}

// find returns the block that may hold number, or the first one behind it.
func (x *index) find(number uint64) int {
	i, found := slices.BinarySearchFunc(x.refs, number, func(r blockRef, n uint64) int {
		switch {
		case r.first < n:
			return -1
		case r.first > n:
			return 1
		}
		return 0
	})
	if found || i == 0 {
		return i
	}
	return i - 1
}

// last returns the last number; 0: there is none.
func (x *index) last(f io.ReaderAt) (uint64, error) {
	var memory []byte
	for _, ref := range slices.Backward(x.refs) {
		stored, err := x.stored(f, ref, &memory)
		if err != nil {
			return 0, err
		}
		if h, _, err := parseBlock(stored); err == nil {
			return h.last(), nil
		} else if errors.Is(err, errNewer) {
			return 0, err
		}
	}
	return 0, nil
}

// stored reads a block, into memory, which may grow.
func (x *index) stored(f io.ReaderAt, ref blockRef, memory *[]byte) ([]byte, error) {
	if ref.page == 0 {
		return storedAt(f, ref.at, memory)
	}
	page, err := readPage(f, ref.page, x.pages, *memory)
	if err != nil {
		return nil, err
	}
	*memory = page
	if ref.inLeaf {
		bucket, err := valueOf(page, numberKey(ref.first))
		if err != nil || len(bucket) < bucketHeadSize {
			return nil, errors.Join(errors.New("no bucket where a block should be"), err)
		}
		page = bucket[bucketHeadSize:]
	}
	return valueOf(page, blockKey)
}

func valueOf(page, key []byte) (found []byte, err error) {
	err = eachLeaf(page, func(_ bool, k, v []byte) error {
		if bytes.Equal(k, key) {
			found = v
		}
		return nil
	})
	return found, err
}

func storedAt(f io.ReaderAt, at int64, memory *[]byte) ([]byte, error) {
	b := slices.Grow((*memory)[:0], blockHeadSize)[:blockHeadSize]
	if _, err := f.ReadAt(b, at); err != nil {
		return nil, err
	}
	h, err := parseBlockHead(b)
	if err != nil {
		return nil, err
	}
	b = slices.Grow(b, int(h.stored))[:blockHeadSize+int(h.stored)]
	*memory = b
	_, err = f.ReadAt(b[blockHeadSize:], at+blockHeadSize)
	return b, err
}
