package buffer_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/plantgate/plantgate/buffer"
)

// sealSlot sets the version of a slot of the positions and makes its checksum
// right again.
func sealSlot(slot []byte, version byte) {
	size := binary.BigEndian.Uint32(slot[5:])
	if size < 21 || int(size) > len(slot) {
		return
	}
	slot[4] = version
	binary.BigEndian.PutUint32(slot[size-4:], crc32.Checksum(slot[:size-4], crc32.MakeTable(crc32.Castagnoli)))
}

// mixed makes records of many sizes: small blocks lie in the index's pages, large
// ones in their own.
func mixed(n uint64) []byte {
	if n%3 == 0 {
		return noise(n)[:(n*97)%6000]
	}
	return record(n)
}

// damagedDirs makes a buffer of a few segments and returns its directory and the
// number of its last record.
func damagedDirs(t *testing.T) (dir string, last uint64) {
	t.Helper()
	dir = tempDir(t)
	b, stop := start(t, dir, buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1})
	last = 300
	putEach(t, b, mixed, 1, last)
	stop()
	if n := len(segments(t, dir)); n < 3 {
		t.Fatalf("only %d segments", n)
	}
	return dir, last
}

// A card gives back something else than was written, anywhere: no start fails,
// no wrong byte is ever sent, and every number is a record or a gap.
func TestFlippedBitIsDetected(t *testing.T) {
	dir, last := damagedDirs(t)
	r := rand.New(rand.NewPCG(3, 4))
	all := segments(t, dir)
	for _, which := range []int{0, len(all) - 1} {
		pages := used(t, all[which])
		for page := range pages {
			at := page*4096 + r.IntN(4096)
			if page%2 == 0 {
				at = page*4096 + r.IntN(64) // the head of the page, and often of a block
			}
			t.Run(fmt.Sprintf("segment %d page %d", which, page), func(t *testing.T) {
				spoiled := crash(t, dir)
				path := filepath.Join(spoiled, filepath.Base(all[which]))
				flip(t, path, int64(at), byte(1<<r.IntN(8)))
				survive(t, spoiled, last, 40)
			})
		}
	}
}

// A file that was cut short raises SIGBUS when its end is touched.
func TestTruncatedFileIsSurvived(t *testing.T) {
	dir, last := damagedDirs(t)
	all := segments(t, dir)
	for _, which := range []int{0, len(all) - 1} {
		pages := used(t, all[which])
		for page := 0; page < pages; page++ {
			size := page*4096 + page%2*1000
			t.Run(fmt.Sprintf("segment %d at %d", which, size), func(t *testing.T) {
				spoiled := crash(t, dir)
				if err := os.Truncate(filepath.Join(spoiled, filepath.Base(all[which])), int64(size)); err != nil {
					t.Fatal(err)
				}
				survive(t, spoiled, last, 160)
			})
		}
	}
}

// survive opens a damaged buffer: at most lost records may be missing.
func survive(t *testing.T, dir string, last uint64, lost int) {
	t.Helper()
	var told notices
	o := buffer.Options{SegmentSize: segment, Limit: 32 * segment, Reserve: -1, Notify: told.add}
	b, stop := start(t, dir, o)
	n, gaps := readAll(t, b, mixed, 1)
	if n < int(last)-lost {
		t.Errorf("only %d of %d records left", n, last)
	}
	if durable, _ := b.Durable(); durable != last {
		t.Errorf("durable %d, want %d", durable, last)
	}
	if len(gaps) > 0 && told.last(buffer.FileSetAside).Err == nil && told.last(buffer.StreamStarted).Stream == "" {
		t.Errorf("gaps without a word: %+v", gaps)
	}
	putEach(t, b, mixed, last+1, last+3)
	stop()
	b, _ = start(t, dir, o)
	if again, _ := readAll(t, b, mixed, 1); again != n+3 {
		t.Errorf("%d records after a restart, want %d", again, n+3)
	}
}

// used is the number of pages that hold something.
func used(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(b) / 4096; n > 0; n-- {
		for _, c := range b[(n-1)*4096 : n*4096] {
			if c != 0 {
				return n
			}
		}
	}
	return 0
}

func flip(t *testing.T, path string, at int64, mask byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= mask
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// The last commit's meta page is damaged: bbolt would go on with the one before
// and lose what was acknowledged.
func TestLastCommitSurvivesItsMetaPage(t *testing.T) {
	for page := range int64(2) {
		dir := tempDir(t)
		b, stop := start(t, dir, small())
		putEach(t, b, mixed, 1, 20)
		stop()
		flip(t, segments(t, dir)[0], page*4096+60, 4)
		var told notices
		o := small()
		o.Notify = told.add
		b, _ = start(t, dir, o)
		if n, gaps := readAll(t, b, mixed, 1); n != 20 || gaps != nil {
			t.Errorf("page %d: %d records, gaps %v", page, n, gaps)
		}
		if n := told.last(buffer.FileSetAside); n.Salvaged != 20 || n.Err == nil || told.last(buffer.StreamStarted).First != 21 {
			t.Errorf("page %d: told %q: %+v", page, told.kinds(), n)
		}
	}
}

// Damage in the middle costs one block; the gap keeps its reason over restarts.
func TestDamagedBlockIsAGap(t *testing.T) {
	dir, last := damagedDirs(t)
	path := segments(t, dir)[0]
	spoilBlock(t, path, 9)
	o := buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1}
	b, stop := start(t, dir, o)
	n, gaps := readAll(t, b, mixed, 1)
	if n != int(last)-1 {
		t.Errorf("%d records, want %d", n, last-1)
	}
	if len(gaps) != 1 || gaps[0].Since.IsZero() || gaps[0].Detail == "" {
		t.Fatalf("gaps: %+v", gaps)
	}
	stop()
	b, _ = start(t, dir, o)
	_, again := readAll(t, b, mixed, 1)
	wantGaps(t, again, buffer.Gap{First: 9, Last: 9, Reason: buffer.Damaged})
	if aside, _ := filepath.Glob(filepath.Join(dir, "*.damaged-*")); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
}

// spoilBlock flips a bit in the payload of the block of one number.
func spoilBlock(t *testing.T, path string, number uint64) {
	t.Helper()
	spoilBlocks(t, path, func(n uint64) bool { return n == number })
}

func spoilBlocks(t *testing.T, path string, which func(uint64) bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at+41 < len(b); at++ {
		if string(b[at:at+4]) == "PGB\x01" && which(binary.BigEndian.Uint64(b[at+9:])) {
			if _, err := f.WriteAt([]byte{b[at+40] ^ 1}, int64(at+40)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A child process that dies of a file says that it is damaged.
func TestFailedCheckSetsAside(t *testing.T) {
	dir, last := damagedDirs(t)
	var told notices
	calls := 0
	o := buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1, Notify: told.add}
	o.Check = func(path string) error {
		if calls++; calls >= 2 && calls <= 4 { // it is asked again before it is believed
			return fmt.Errorf("killed by signal 11")
		}
		return buffer.CheckFile(path)
	}
	b, _ := start(t, dir, o)
	if calls != 1 {
		t.Errorf("%d files checked at start, want the newest alone", calls)
	}
	if n, gaps := readAll(t, b, mixed, 1); n != int(last) || gaps != nil {
		t.Errorf("%d records, gaps %v", n, gaps)
	}
	if n := told.last(buffer.FileSetAside); n.Salvaged == 0 || n.Err == nil || n.File == "" {
		t.Errorf("told %q: %+v", told.kinds(), n)
	}
}

// Files set aside are for whoever wants to look; they go before any reading does.
func TestDamagedFilesGiveWayFirst(t *testing.T) {
	dir, last := damagedDirs(t)
	for _, path := range segments(t, dir) {
		spoilBlock(t, path, 1)
		flip(t, path, 8192+5, 1)
	}
	o := buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1, WhenFull: buffer.Refuse}
	b, _ := start(t, dir, o)
	readAll(t, b, mixed, 1)
	count := func() int {
		aside, _ := filepath.Glob(filepath.Join(dir, "*.damaged-*"))
		return len(aside)
	}
	before := count()
	if before == 0 {
		t.Fatal("nothing was set aside")
	}
	for n := last + 1; count() == before && n < last+400; n++ {
		put(t, b, noise, n, n)
	}
	if s := b.Stats(); count() >= before || s.Bytes > o.Limit || s.Dropped > 0 {
		t.Errorf("%d files set aside before, %d now; %+v", before, count(), s)
	}
}

// A file that somebody deleted is a gap, and the rest goes on.
func TestDeletedFileIsAGap(t *testing.T) {
	dir, last := damagedDirs(t)
	all := segments(t, dir)
	if err := os.Remove(all[1]); err != nil {
		t.Fatal(err)
	}
	b, _ := start(t, dir, buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1})
	n, gaps := readAll(t, b, mixed, 1)
	if len(gaps) != 1 || gaps[0].Reason != buffer.Damaged || n+int(gaps[0].Last-gaps[0].First)+1 != int(last) {
		t.Errorf("%d records, gaps %+v", n, gaps)
	}
}

// A card that rots everywhere makes more holes than the positions can explain;
// each of them is still a gap.
func TestMoreHolesThanCanBeExplained(t *testing.T) {
	dir := tempDir(t)
	o := buffer.Options{SegmentSize: 1 << 20, Limit: 16 << 20, Reserve: -1}
	b, stop := start(t, dir, o)
	const last = 400
	putEach(t, b, record, 1, last)
	stop()
	spoilBlocks(t, segments(t, dir)[0], func(n uint64) bool { return n%2 == 0 && n < last })
	for range 2 {
		b, stop = start(t, dir, o)
		n, gaps := readAll(t, b, record, 1)
		if n != last/2+1 || len(gaps) != last/2-1 {
			t.Errorf("%d records, %d gaps", n, len(gaps))
		}
		for _, g := range gaps {
			if g.Reason != buffer.Damaged || g.Detail == "" {
				t.Errorf("gap %+v", g)
			}
		}
		stop()
	}
}

// A process that is short of descriptors must not set good files aside.
func TestShortageIsNoDamage(t *testing.T) {
	dir, last := damagedDirs(t)
	short := false
	o := buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1}
	o.Check = func(path string) error {
		if short {
			return &os.PathError{Op: "open", Path: path, Err: syscall.EMFILE}
		}
		return buffer.CheckFile(path)
	}
	b, stop := start(t, dir, o)
	short = true
	if _, err := b.Read(1, 10, 1000); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("got %v", err)
	}
	short = false
	if n, gaps := readAll(t, b, mixed, 1); n != int(last) || gaps != nil {
		t.Errorf("%d records, gaps %v", n, gaps)
	}
	stop()
	short = true
	if b, err := buffer.Open(dir, o); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("got %v", err)
		if err == nil {
			b.Close()
		}
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, "*.damaged-*")); len(aside) > 0 {
		t.Errorf("set aside: %v", aside)
	}
}

// The file that is being written to goes bad under the process: it must not go
// on writing to it, and the next start saves what is good.
func TestDamageInTheNewestFileEndsTheProcess(t *testing.T) {
	dir := tempDir(t)
	b, err := buffer.Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	putEach(t, b, noise, 1, 10)
	spoilBlock(t, segments(t, dir)[0], 4)
	if w, err := b.Read(1, 3, 1<<20); err != nil || len(w.Records) != 3 {
		t.Errorf("read: %d records, %v", len(w.Records), err)
	}
	if _, err := b.Read(4, 10, 1<<20); !errors.Is(err, buffer.ErrBroken) {
		t.Errorf("read: got %v", err)
	}
	if err := end(); !errors.Is(err, buffer.ErrBroken) {
		t.Errorf("run: got %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	b, _ = start(t, dir, small())
	n, gaps := readAll(t, b, noise, 1)
	if n != 9 {
		t.Errorf("%d records, want 9", n)
	}
	wantGaps(t, gaps, buffer.Gap{First: 4, Last: 4, Reason: buffer.Damaged})
}

// Damaged and full at once: there is no room to save the good blocks, but the
// start must not fail, and they are saved later.
func TestSalvageWaitsForRoom(t *testing.T) {
	dir, last := damagedDirs(t)
	all := segments(t, dir)
	newest := all[len(all)-1]
	flip(t, newest, 4096+30, 1)
	full := true
	o := buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1}
	b, _ := startFaulty(t, dir, o, buffer.Faults{Rename: func(to string) error {
		if full && to == newest {
			return &os.LinkError{Op: "rename", Old: "temp", New: to, Err: syscall.ENOSPC}
		}
		return nil
	}})
	if durable, _ := b.Durable(); durable != last {
		t.Errorf("durable %d, want %d", durable, last)
	}
	first, _ := firstOf(newest)
	if _, err := b.Read(first, 10, 1<<20); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("read: got %v", err)
	}
	full = false
	if n, gaps := readAll(t, b, mixed, 1); n != int(last) || gaps != nil {
		t.Errorf("%d records, gaps %v", n, gaps)
	}
}

func firstOf(path string) (first uint64, err error) {
	_, err = fmt.Sscanf(filepath.Base(path), "%d.seg", &first)
	return first, err
}
