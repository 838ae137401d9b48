package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt's file format, version 2; numbers are little-endian on all that this
// runs on.
const (
	boltPage     = 4096
	boltHead     = 16 // bytes in front of a page, an element and an inline bucket
	boltMagic    = 0xED0CDAED
	boltMetaSum  = 56 // where the checksum of a meta page begins, behind its head
	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	boltDepth    = 16 // a tree of ours has three levels
)

// checkPages looks whether the pages of a bbolt file form a tree. One flipped
// bit can make a branch its own child: bbolt would follow it round and round,
// taking memory, until the system ends the process, at every start. What bbolt
// finds by itself is left to it.
func checkPages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	root, freelist, pages, ok := newestMeta(f)
	if !ok {
		return nil // bbolt says so
	}
	if pages > uint64(info.Size()/boltPage) {
		return errors.New("the file is cut short")
	}
	w := pageWalk{f: f, seen: make([]bool, pages)}
	return errors.Join(w.freelist(freelist), w.tree(root, 0))
}

// newestMeta returns what the meta page says that bbolt will use.
func newestMeta(f io.ReaderAt) (root, freelist, pages uint64, ok bool) {
	le, newest := binary.LittleEndian, uint64(0)
	for i := range int64(2) {
		b := make([]byte, boltMetaSum+8)
		if _, err := f.ReadAt(b, i*boltPage+boltHead); err != nil {
			continue
		}
		sum := fnv.New64a()
		sum.Write(b[:boltMetaSum]) // never fails
		txid := le.Uint64(b[48:])
		if le.Uint32(b) != boltMagic || le.Uint32(b[8:]) != boltPage || sum.Sum64() != le.Uint64(b[boltMetaSum:]) || ok && txid < newest {
			continue
		}
		root, freelist, pages, newest, ok = le.Uint64(b[16:]), le.Uint64(b[32:]), le.Uint64(b[40:]), txid, true
	}
	return root, freelist, pages, ok
}

// A pageWalk meets each page once.
type pageWalk struct {
	f    io.ReaderAt
	seen []bool
}

// read returns a page with those that it overflows into.
func (w *pageWalk) read(id uint64) (page []byte, flags, count int, err error) {
	le, last := binary.LittleEndian, uint64(len(w.seen))
	if id < 2 || id >= last {
		return nil, 0, 0, fmt.Errorf("page %d does not exist", id)
	}
	var head [boltHead]byte
	if _, err := w.f.ReadAt(head[:], int64(id)*boltPage); err != nil {
		return nil, 0, 0, err
	}
	more := uint64(le.Uint32(head[12:]))
	if le.Uint64(head[:]) != id || more >= last-id {
		return nil, 0, 0, fmt.Errorf("page %d has a wrong head", id)
	}
	page = make([]byte, (more+1)*boltPage)
	if _, err := w.f.ReadAt(page, int64(id)*boltPage); err != nil {
		return nil, 0, 0, err
	}
	for i := id; i <= id+more; i++ {
		if err := w.use(i); err != nil {
			return nil, 0, 0, err
		}
	}
	return page, int(le.Uint16(page[8:])), int(le.Uint16(page[10:])), nil
}

func (w *pageWalk) use(id uint64) error {
	if id < 2 || id >= uint64(len(w.seen)) || w.seen[id] {
		return fmt.Errorf("page %d is used twice, or is none", id)
	}
	w.seen[id] = true
	return nil
}

// freelist: a page in it would be written over.
func (w *pageWalk) freelist(id uint64) error {
	page, flags, count, err := w.read(id)
	if err != nil {
		return err
	}
	const inFirst = 0xffff // then the count stands in front of the numbers
	if flags != freelistFlag || count == inFirst || boltHead+8*count > len(page) {
		return errors.New("the list of free pages is none")
	}
	for i := range count {
		if err := w.use(binary.LittleEndian.Uint64(page[boltHead+8*i:])); err != nil {
			return err
		}
	}
	return nil
}

func (w *pageWalk) tree(id uint64, depth int) error {
	page, flags, count, err := w.read(id)
	switch {
	case err != nil:
		return err
	case depth > boltDepth:
		return fmt.Errorf("page %d lies too deep", id)
	case flags == leafFlag:
		return w.leaf(page, count, depth)
	case flags != branchFlag || count == 0 || boltHead*(1+count) > len(page):
		return fmt.Errorf("page %d has a wrong head", id)
	}
	for i := range count {
		element := page[boltHead*(1+i):]
		if pos, size := binary.LittleEndian.Uint32(element), binary.LittleEndian.Uint32(element[4:]); uint64(pos)+uint64(size) > uint64(len(element)) {
			return fmt.Errorf("page %d: an element lies outside", id)
		}
		if err := w.tree(binary.LittleEndian.Uint64(element[8:]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf follows the buckets in a leaf page.
func (w *pageWalk) leaf(page []byte, count, depth int) error {
	le := binary.LittleEndian
	if boltHead*(1+count) > len(page) {
		return errors.New("a leaf page has a wrong head")
	}
	for i := range count {
		e := page[boltHead*(1+i):]
		key := uint64(le.Uint32(e[4:]))
		value := key + uint64(le.Uint32(e[8:]))
		end := value + uint64(le.Uint32(e[12:]))
		if end > uint64(len(e)) {
			return errors.New("an element lies outside its page")
		}
		if le.Uint32(e)&1 == 0 { // no bucket
			continue
		}
		if err := w.bucket(e[value:end], depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *pageWalk) bucket(value []byte, depth int) error {
	le := binary.LittleEndian
	if len(value) < boltHead || depth > boltDepth {
		return errors.New("a bucket is cut short, or lies too deep")
	}
	if root := le.Uint64(value); root != 0 {
		return w.tree(root, depth+1)
	}
	page := value[boltHead:] // the bucket's only page lies in here
	if len(page) < boltHead || le.Uint16(page[8:]) != leafFlag {
		return errors.New("a bucket is cut short")
	}
	return w.leaf(page, int(le.Uint16(page[10:])), depth+1)
}
