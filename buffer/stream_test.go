package buffer_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/plantgate/plantgate/buffer"
)

// A cloned card would give the same numbers away twice.
func TestOtherBoardStartsANewStream(t *testing.T) {
	dir := tempDir(t)
	o := small()
	o.Board = "serial 1"
	b, stop := start(t, dir, o)
	put(t, b, record, 1, 10)
	first := b.Stats().Stream
	stop()
	var told notices
	o.Board, o.Notify = "serial 2", told.add
	b, stop = start(t, dir, o)
	put(t, b, record, 11, 20)
	second := b.Stats().Stream
	n := told.last(buffer.StreamStarted)
	if first == second || n.Stream != second || n.Previous != first || n.First != 11 || n.Reason == "" {
		t.Errorf("streams %s, %s, notice %+v", first, second, n)
	}
	if w, err := b.Read(1, 100, 1<<20); err != nil || len(w.Records) != 10 || w.Stream != first {
		t.Errorf("first window: %d records of %s, %v", len(w.Records), w.Stream, err)
	}
	if w, err := b.Read(11, 100, 1<<20); err != nil || len(w.Records) != 10 || w.Stream != second {
		t.Errorf("second window: %d records of %s, %v", len(w.Records), w.Stream, err)
	}
	stop()
	o.Board = ""
	b, _ = start(t, dir, o)
	if got := b.Stats().Stream; got != second {
		t.Errorf("a board that cannot be told started stream %s", got)
	}
}

// Unacknowledged records of the last seconds may be gone after a power cut, and
// nobody can count them: it is said.
func TestUncleanStopIsTold(t *testing.T) {
	dir := tempDir(t)
	var told notices
	o := small()
	o.Notify = told.add
	b, _ := start(t, dir, o)
	put(t, b, record, 1, 10)
	crashed := crash(t, dir)
	put(t, b, record, 11, 12)
	b2, _ := start(t, crashed, o)
	n := told.last(buffer.UncleanStart)
	if n.Last != 10 || n.Stream != b.Stats().Stream || n.CommitEvery <= 0 {
		t.Errorf("notice %+v", n)
	}
	// The same numbers as in the other copy, in the same stream: only because
	// that one never left the card.
	putEach(t, b2, record, 11, 15)
	if got := b2.Stats().Stream; got != b.Stats().Stream {
		t.Errorf("stream %s, want %s", got, b.Stats().Stream)
	}
	readAll(t, b2, record, 1)
	if got := len(segments(t, crashed)); got != 2 {
		t.Errorf("%d segments: a file that may hold given up blocks was written to", got)
	}
}

// The card lost what it had said it kept. The numbers were sent: they must not
// be given to other records.
func TestLostTailIsAGapAndANewStream(t *testing.T) {
	dir := tempDir(t)
	o := buffer.Options{SegmentSize: segment, Limit: 32 * segment, Reserve: -1}
	b, stop := start(t, dir, o)
	putEach(t, b, noise, 1, 60)
	if err := b.Confirm(10, nil); err != nil {
		t.Fatal(err)
	}
	before := b.Stats().Stream
	stop()
	all := segments(t, dir)
	if len(all) < 3 {
		t.Fatalf("only %d segments", len(all))
	}
	for _, path := range all[len(all)-1:] {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	var told notices
	o.Notify = told.add
	b, stop = start(t, dir, o)
	if got := told.kinds(); got != "stream_started" || told.last("stream_started").First != 61 {
		t.Errorf("told %q: %+v", got, told.last("stream_started"))
	}
	_, gaps := readAll(t, b, noise, 1)
	if len(gaps) != 1 || gaps[0].Last != 60 || gaps[0].Reason != buffer.LostTail || gaps[0].Stream != before {
		t.Errorf("gaps: %+v", gaps)
	}
	putEach(t, b, noise, 61, 70)
	stop()
	b, _ = start(t, dir, o)
	if _, again := readAll(t, b, noise, 1); !cmp.Equal(again, gaps, cmpopts.EquateApproxTime(time.Millisecond)) {
		t.Errorf("after a restart: %+v, want %+v", again, gaps)
	}
}

// A power cut and a bad sector in the last blocks: they were acknowledged, and
// nothing but their heads says so. They must not vanish without a word.
func TestSpoiledTailIsAGap(t *testing.T) {
	dir := tempDir(t)
	b, _ := start(t, dir, buffer.Options{SegmentSize: segment, Limit: 32 * segment, Reserve: -1})
	putEach(t, b, noise, 1, 10)
	dir = crash(t, dir)
	all := segments(t, dir)
	newest := all[len(all)-1]
	file, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	const blockHead = 33
	for number := uint64(9); number <= 10; number++ { // each is a block of its own
		i := bytes.Index(file, noise(number)[:16])
		if i < blockHead {
			t.Fatalf("record %d is not in the file as it is", number)
		}
		file[i] ^= 1
	}
	if err := os.WriteFile(newest, file, 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ = start(t, dir, buffer.Options{SegmentSize: segment, Limit: 32 * segment, Reserve: -1})
	records, gaps := readAll(t, b, noise, 1)
	if records != 8 || len(gaps) != 1 || gaps[0].First != 9 || gaps[0].Last != 10 || gaps[0].Reason != buffer.LostTail {
		t.Errorf("%d records, gaps %+v, want 8 and one of 9 to 10", records, gaps)
	}
	if next := b.Stats().Next; next != 11 {
		t.Errorf("next number is %d, want 11", next)
	}
}

// All files but the positions are gone: the numbers still count on.
func TestNumbersGoOnWithoutSegments(t *testing.T) {
	dir := tempDir(t)
	b, stop := start(t, dir, small())
	put(t, b, record, 1, 10)
	if err := b.Confirm(10, nil); err != nil {
		t.Fatal(err)
	}
	stream := b.Stats().Stream
	stop()
	for _, path := range segments(t, dir) {
		os.Remove(path)
	}
	b, _ = start(t, dir, small())
	if s := b.Stats(); s.Next != 11 || s.Stream == stream {
		t.Errorf("stats: %+v", s)
	}
	put(t, b, record, 11, 12)
	if _, gaps := readAll(t, b, record, 11); gaps != nil {
		t.Errorf("gaps: %v", gaps)
	}
}

// Both slots are unreadable: all is sent again, and whoever sends it knows.
func TestLostPositionsResendAll(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"zeros":   func(path string) error { return os.WriteFile(path, make([]byte, 256<<10), 0o600) },
		"gone":    os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 10) },
		"garbage": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("PGPS\x01", 60000)), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := tempDir(t)
			b, stop := start(t, dir, small())
			put(t, b, record, 1, 10)
			if err := b.Confirm(7, nil); err != nil {
				t.Fatal(err)
			}
			stop()
			if err := spoil(filepath.Join(dir, "positions")); err != nil {
				t.Fatal(err)
			}
			var told notices
			o := small()
			o.Notify = told.add
			b, stop = start(t, dir, o)
			confirmed, blob := b.Confirmed()
			n := told.last(buffer.PositionsLost)
			if confirmed != 0 || len(blob) > 0 || b.Replayed() != 10 || n.First != 1 || n.Last != 10 || n.Err == nil {
				t.Errorf("confirmed %d, replayed %d, notice %+v", confirmed, b.Replayed(), n)
			}
			readAll(t, b, record, 1)
			if err := b.Confirm(5, nil); err != nil {
				t.Fatal(err)
			}
			put(t, b, record, 11, 12)
			stop()
			b, _ = start(t, dir, small())
			if confirmed, _ := b.Confirmed(); confirmed != 5 || b.Replayed() != 10 {
				t.Errorf("after a restart: confirmed %d, replayed %d", confirmed, b.Replayed())
			}
		})
	}
}

// One torn slot is what a power cut leaves: the other one counts.
func TestOneSlotIsEnough(t *testing.T) {
	for slot := range int64(2) {
		dir := tempDir(t)
		b, stop := start(t, dir, small())
		put(t, b, record, 1, 10)
		if err := b.Confirm(7, []byte("blob")); err != nil {
			t.Fatal(err)
		}
		stop()
		_, stop = start(t, dir, small())
		stop() // both slots hold 7 now
		f, err := os.OpenFile(filepath.Join(dir, "positions"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff}, slot*(128<<10)+20); err != nil {
			t.Fatal(err)
		}
		f.Close()
		b, _ = start(t, dir, small())
		if n, blob := b.Confirmed(); n != 7 || string(blob) != "blob" || b.Replayed() != 0 {
			t.Errorf("slot %d: confirmed %d, %q", slot, n, blob)
		}
	}
}

// After a downgrade the user must hear of it; setting the files aside as damaged
// would lose them.
func TestNewerFormatIsNotTouched(t *testing.T) {
	dir := tempDir(t)
	b, stop := start(t, dir, small())
	put(t, b, record, 1, 10)
	if err := b.Confirm(7, nil); err != nil {
		t.Fatal(err)
	}
	stop()
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"positions": func(t *testing.T, dir string) { rewritePositions(t, filepath.Join(dir, "positions")) },
		"block":     func(t *testing.T, dir string) { rewriteBlocks(t, segments(t, dir)[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := crash(t, dir)
			spoil(t, dir)
			before := names(t, dir)
			if b, err := buffer.Open(dir, small()); err == nil || !strings.Contains(err.Error(), "newer version") {
				t.Errorf("got %v", err)
				if err == nil {
					b.Close()
				}
			}
			if after := names(t, dir); after != before {
				t.Errorf("files %s became %s", before, after)
			}
		})
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// rewriteBlocks makes the blocks of a segment say that a later version wrote them.
func rewriteBlocks(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	for at := range b[:len(b)-33] {
		if head := b[at : at+33]; string(head[:4]) == "PGB\x01" {
			head[3] = 2
			stored := b[at+33:][:binary.BigEndian.Uint32(head[25:])]
			binary.BigEndian.PutUint32(head[29:], crc32.Update(crc32.Checksum(head[:29], table), table, stored))
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rewritePositions makes both slots say that a later version wrote them.
func rewritePositions(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(b); at += 128 << 10 {
		sealSlot(b[at:], 2)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
