package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The positions file holds two slots, written in turn. A slot:
//
//	 0  magic "PGPS", format version (1)
//	 5  bytes of the whole slot, 4 bytes
//	 9  generation, 8 bytes; the higher one counts
//	17  the fields, in the order of positions.encode
//	end CRC-32C over all before it
//
// Slots lie apart by more than the largest block of a card's flash translation
// that is worth considering, and only as many 4 KiB as are used get written.
const (
	positionsName    = "positions"
	positionsMagic   = "PGPS"
	positionsVersion = 1
	slotSize         = 128 << 10 // bytes: blob, note, gaps and room
	maxGaps          = 128
	maxGapDetail     = 120 // bytes
)

// positions are what the buffer knows beside the records.
type positions struct {
	generation uint64
	stream     uint32 // the newest one
	confirmed  uint64
	seen       uint64 // durable when this was written: a number that was given out
	replayed   uint64 // all through here may have been sent before
	clean      bool   // the buffer was closed after all was written
	board      string
	blob       []byte
	note       []byte
	gaps       []gapEntry // by number
}

// A gapEntry explains missing numbers. Where there is none, a hole in the
// segments is explained by where it lies.
type gapEntry struct {
	stream      uint32
	first, last uint64
	reason      byte
	since       time.Time
	detail      string
}

const (
	reasonDamaged = iota
	reasonDropped
	reasonLostTail
)

func (p *positions) encode() []byte {
	b := append([]byte(positionsMagic), positionsVersion)
	b = append(b, 0, 0, 0, 0) // the size, known at the end
	b = binary.BigEndian.AppendUint64(b, p.generation)
	b = binary.BigEndian.AppendUint32(b, p.stream)
	for _, n := range []uint64{p.confirmed, p.seen, p.replayed, boolNumber(p.clean)} {
		b = binary.AppendUvarint(b, n)
	}
	for _, s := range [][]byte{[]byte(p.board), p.blob, p.note} {
		b = appendBytes(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(p.gaps)))
	for _, g := range p.gaps {
		b = binary.BigEndian.AppendUint32(b, g.stream)
		for _, n := range []uint64{g.first, g.last, uint64(g.reason), uint64(g.since.UnixMilli())} {
			b = binary.AppendUvarint(b, n)
		}
		b = appendBytes(b, []byte(g.detail))
	}
	binary.BigEndian.PutUint32(b[5:], uint32(len(b)+4))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func boolNumber(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func appendBytes(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// parsePositions reads one slot.
func parsePositions(b []byte) (*positions, error) {
	if len(b) < 21 || string(b[:4]) != positionsMagic {
		return nil, errors.New("no positions in the slot")
	}
	size := int(binary.BigEndian.Uint32(b[5:]))
	if size < 21 || size > len(b) {
		return nil, errors.New("positions are cut short")
	}
	b = b[:size]
	if crc32.Checksum(b[:size-4], castagnoli) != binary.BigEndian.Uint32(b[size-4:]) {
		return nil, errors.New("positions have a wrong checksum")
	}
	if b[4] != positionsVersion {
		return nil, fmt.Errorf("positions of format %d: %w", b[4], errNewer)
	}
	f := fields{rest: b[9 : size-4]}
	p := &positions{generation: f.uint64(), stream: f.uint32()}
	p.confirmed, p.seen, p.replayed, p.clean = f.uvarint(), f.uvarint(), f.uvarint(), f.uvarint() == 1
	p.board, p.blob, p.note = string(f.bytes()), f.bytes(), f.bytes()
	for range min(f.uvarint(), maxGaps) {
		g := gapEntry{stream: f.uint32(), first: f.uvarint(), last: f.uvarint(), reason: byte(f.uvarint())}
		g.since, g.detail = time.UnixMilli(int64(f.uvarint())), string(f.bytes())
		p.gaps = append(p.gaps, g)
	}
	if f.failed || len(f.rest) > 0 || !p.possible() {
		return nil, errors.New("positions do not add up")
	}
	return p, nil
}

// possible says whether the numbers can be meant.
func (p *positions) possible() bool {
	const most = 1 << 62
	ok := p.confirmed < most && p.seen < most && p.replayed < most
	for _, g := range p.gaps {
		ok = ok && 0 < g.first && g.first <= g.last && g.last < most
	}
	return ok
}

// fields takes values off the front of rest; after a failure it gives zeros, so
// that the caller checks once.
type fields struct {
	rest   []byte
	failed bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.failed, f.rest = true, nil
		return make([]byte, 8)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) uint64() uint64 { return binary.BigEndian.Uint64(f.take(8)) }
func (f *fields) uint32() uint32 { return binary.BigEndian.Uint32(f.take(4)) }

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		n = -1
	}
	f.take(n)
	return v
}

func (f *fields) bytes() []byte {
	n := f.uvarint()
	if n > uint64(len(f.rest)) {
		f.take(-1)
		return nil
	}
	return append([]byte(nil), f.take(int(n))...)
}

// A positionsFile is written by one goroutine at a time.
type positionsFile struct {
	f          *os.File
	ops        *fileOps
	generation uint64
}

// openPositions returns what the newer good slot holds; nil: there is none, for
// the reason that bad gives (nil: there was no file).
func openPositions(dir string, ops *fileOps) (file *positionsFile, p *positions, bad, err error) {
	path := filepath.Join(dir, positionsName)
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err := ops.create(path, func(f *os.File) error { return ops.writeAt(f, make([]byte, 2*slotSize), 0) }); err != nil {
			return nil, nil, nil, fmt.Errorf("create positions: %w", err)
		}
		f, err = os.OpenFile(path, os.O_RDWR, 0o600)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("open positions: %w", err)
		}
		return &positionsFile{f: f, ops: ops}, nil, nil, nil
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open positions: %w", err)
	}
	p, bad = readSlots(f)
	if errors.Is(bad, errNewer) || errors.Is(bad, errUnreadable) {
		return nil, nil, nil, errors.Join(fmt.Errorf("open %s: %w", path, bad), f.Close())
	}
	file = &positionsFile{f: f, ops: ops}
	if p != nil {
		file.generation = p.generation
	}
	return file, p, bad, nil
}

// readSlots returns the newer good slot. When there is none, or one of them
// comes from a newer program, bad says so.
func readSlots(f *os.File) (p *positions, bad error) {
	var errs [2]error
	for i := range errs {
		slot, err := readSlot(f, i)
		errs[i] = err
		if err == nil && (p == nil || slot.generation > p.generation) {
			p = slot
		}
	}
	for _, err := range errs {
		if errors.Is(err, errNewer) {
			return nil, err
		}
	}
	bad = errors.Join(errs[0], errs[1])
	if p == nil {
		return nil, bad
	}
	if bad != nil && p.generation > 1 {
		p.clean = false // both were written once: the newer one may have said so
	}
	return p, nil
}

// readSlot reads a slot, and again when the card does not read it at once.
func readSlot(f *os.File, i int) (p *positions, err error) {
	b := make([]byte, slotSize)
	for range 3 {
		n, readErr := f.ReadAt(b, int64(i)*slotSize)
		p, err = parsePositions(b[:n])
		if err == nil || readErr == nil || errors.Is(readErr, io.EOF) {
			return p, err
		}
		err = fmt.Errorf("%w: %w", errUnreadable, readErr)
	}
	return nil, err
}

// write makes p durable in the slot that does not hold the last one.
func (pf *positionsFile) write(p positions) (written int64, err error) {
	p.generation = pf.generation + 1
	b := p.encode()
	b = append(b, make([]byte, -len(b)&(pageSize-1))...) // whole pages: nothing must be read to write them
	if len(b) > slotSize {
		return 0, fmt.Errorf("write positions: %d bytes do not fit into a slot", len(b))
	}
	if err := pf.ops.writeAt(pf.f, b, int64(p.generation%2)*slotSize); err != nil {
		return 0, fmt.Errorf("write positions: %w", err)
	}
	if err := pf.ops.sync(pf.f); err != nil {
		return 0, fmt.Errorf("sync positions: %w", err)
	}
	pf.generation = p.generation
	return int64(len(b)), nil
}

func (pf *positionsFile) close() error { return pf.f.Close() }
