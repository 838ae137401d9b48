package buffer_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	"github.com/plantgate/plantgate/buffer"
)

// sealBlock makes the lengths and the checksum of a block right, so that what
// lies behind them is reached.
func sealBlock(b []byte, raw uint32) {
	copy(b, "PGB\x01")
	binary.BigEndian.PutUint32(b[21:], raw)
	binary.BigEndian.PutUint32(b[25:], uint32(len(b)-buffer.BlockHeadSize))
	binary.BigEndian.PutUint32(b[29:], sumOf(b))
}

func sumOf(block []byte) uint32 {
	c := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(block[:29], c), c, block[buffer.BlockHeadSize:])
}

func lying(records ...string) (raw []byte) {
	for _, r := range records {
		raw = append(binary.AppendUvarint(raw, uint64(len(r))), r...)
	}
	return raw
}

// FuzzBlock: a block whose checksum is right may still hold anything, because
// another program wrote it or the memory of the board is bad. It gives as many
// records as it says, within its bounds, or an error.
func FuzzBlock(f *testing.F) {
	for _, raw := range [][]byte{lying("record 1 of a socket", "record 2 of a socket", ""), lying(string(bytes.Repeat([]byte("watt"), 5000)))} {
		b, err := buffer.EncodeBlock(7, 1, 3, raw)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[4:buffer.BlockHeadSize], b[buffer.BlockHeadSize:], uint32(len(raw)), true)
		f.Add(b[4:buffer.BlockHeadSize], raw, uint32(len(raw)), true)
		f.Add(b[4:buffer.BlockHeadSize], b[buffer.BlockHeadSize:], uint32(len(raw)), false)
	}
	plain := []byte{0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1} // codec, stream, number, count
	for _, raw := range [][]byte{{200, 1, 'w'}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, {0, 0}, {0x80}, {}} {
		f.Add(plain, raw, uint32(len(raw)), true)
	}
	b := append(make([]byte, buffer.BlockHeadSize), lying("7 watts")...)
	copy(b[4:], plain)
	sealBlock(b, 8)
	f.Add(b[4:buffer.BlockHeadSize], lying("9 watts"), uint32(8), false) // a flipped bit
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}, []byte("\x28\xb5\x2f\xfd\xa4\x00\x00\x10\x00"), uint32(1<<20), true)
	f.Fuzz(func(t *testing.T, head, payload []byte, raw uint32, seal bool) {
		b := make([]byte, buffer.BlockHeadSize, buffer.BlockHeadSize+len(payload))
		copy(b, "PGB\x01")
		copy(b[4:], head)
		b = append(b, payload...)
		if seal {
			sealBlock(b, raw)
		}
		first, records, err := buffer.DecodeBlock(b)
		if err != nil {
			return
		}
		if sum := binary.BigEndian.Uint32(b[29:]); sumOf(b[:buffer.BlockHeadSize+int(binary.BigEndian.Uint32(b[25:]))]) != sum {
			t.Fatalf("a block with a wrong checksum gives %q", records)
		}
		if count := binary.BigEndian.Uint32(b[17:]); first == 0 || first+uint64(count)-1 < first || len(records) != int(count) {
			t.Fatalf("%d records from %d, want %d", len(records), first, count)
		}
		size := 0
		for _, r := range records {
			size += len(r)
		}
		if size > buffer.MaxRecord {
			t.Fatalf("%d bytes of records", size)
		}
		again(t, first, records)
	})
}

// again stores what was read and reads it.
func again(t *testing.T, first uint64, records [][]byte) {
	t.Helper()
	var raw []byte
	for _, r := range records {
		raw = append(binary.AppendUvarint(raw, uint64(len(r))), r...)
	}
	b, err := buffer.EncodeBlock(7, first, len(records), raw)
	if err != nil {
		t.Fatal(err)
	}
	number, second, err := buffer.DecodeBlock(b)
	if err != nil || number != first || len(second) != len(records) {
		t.Fatalf("stored again: %d records from %d, %v; want %d from %d", len(second), number, err, len(records), first)
	}
	for i := range records {
		if !bytes.Equal(records[i], second[i]) {
			t.Fatalf("record %d of %d became another one", i, len(records))
		}
	}
}

// FuzzTree lets the pages of a segment's file be anything behind checksums that
// are right. Whatever the walk over them lets pass must not hurt bbolt, which
// dies of some kinds of damage, and holds no more than what the card shows.
func FuzzTree(f *testing.F) {
	dir := tempDir(f)
	b, stop := start(f, dir, small())
	putEach(f, b, record, 1, 30)
	putEach(f, b, noise, 31, 36)
	stop()
	whole, err := os.ReadFile(segments(f, dir)[0])
	if err != nil {
		f.Fatal(err)
	}
	for page := range 8 {
		f.Add(uint32(page*4096+8), []byte{3, 0, 1})           // flags, count
		f.Add(uint32(page*4096+16), []byte{1, 0, 0, 0, 8})    // first element
		f.Add(uint32(page*4096+32), []byte{0xff, 0, 0x10})    // root of a meta page, second element
		f.Add(uint32(page*4096+52), []byte{0xff, 0xff, 0xff}) // list of free pages of a meta page
		f.Add(uint32(page*4096+56), []byte{0, 0, 0, 0, 20})   // its high-water mark
	}
	const most = 200 // files in which bbolt finds fault: they stay mapped
	faults := 0
	f.Fuzz(func(t *testing.T, at uint32, xor []byte) {
		path := filepath.Join(dir, fmt.Sprintf("fuzz-%d.seg", faults)) // never one that is mapped
		content := bytes.Clone(whole)
		for i, x := range xor {
			content[(int(at%uint32(len(content)))+i)%len(content)] ^= x
		}
		sealMeta(content[16:])
		sealMeta(content[4096+16:])
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		records, err := buffer.CheckTree(path)
		found, scanErr := buffer.Scan(path)
		if scanErr != nil {
			t.Fatal(scanErr)
		}
		if err != nil {
			return
		}
		if records > found {
			t.Errorf("the tree holds %d records, the file %d", records, found)
		}
		if faults < most && buffer.CheckFile(path) != nil { // bbolt may find fault, and must live
			faults++
		}
	})
}

// sealMeta makes the checksum of one of bbolt's meta pages right.
func sealMeta(meta []byte) {
	h := fnv.New64a()
	h.Write(meta[:buffer.MetaSize-8]) // never fails
	binary.LittleEndian.PutUint64(meta[buffer.MetaSize-8:], h.Sum64())
}

// FuzzSlot lets the fields of the positions be anything behind a checksum that
// is right. What is understood comes back the same when it is written.
func FuzzSlot(f *testing.F) {
	dir := tempDir(f)
	b, stop := start(f, dir, small())
	put(f, b, record, 1, 5)
	if err := b.Confirm(3, []byte(`{"v":1}`)); err != nil {
		f.Fatal(err)
	}
	stop()
	content, err := os.ReadFile(filepath.Join(dir, "positions"))
	if err != nil {
		f.Fatal(err)
	}
	for i := range 2 {
		slot := content[i*(128<<10):]
		f.Add(slot[9 : binary.BigEndian.Uint32(slot[5:])-4])
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		slot := append([]byte("PGPS\x01\x00\x00\x00\x00"), fields...)
		slot = append(slot, 0, 0, 0, 0)
		binary.BigEndian.PutUint32(slot[5:], uint32(len(slot)))
		sealSlot(slot, 1)
		once, err := buffer.ParsePositions(slot)
		if err != nil {
			return
		}
		twice, err := buffer.ParsePositions(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%x is written as %x and then, %v, as %x", slot, once, err, twice)
		}
	})
}
