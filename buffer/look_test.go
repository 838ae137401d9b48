package buffer_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/plantgate/plantgate/buffer"
)

// lookAtAll reads everything through l from number from on. Every record must be
// the one that of made, every number a record or in a gap.
func lookAtAll(t testing.TB, l *buffer.Look, of func(uint64) []byte, from uint64) (records int, gaps []buffer.Gap) {
	t.Helper()
	for last := l.Durable(); from <= last; {
		w, err := l.Read(from, 7, 4096)
		if err != nil {
			t.Fatalf("look at %d: %v", from, err)
		}
		if g := w.Gap; g != nil {
			if g.First != from || g.Last < g.First || g.Last > last {
				t.Fatalf("look at %d of %d: bad gap %+v", from, last, g)
			}
			gaps = append(gaps, *g)
			from = g.Last + 1
			continue
		}
		if len(w.Records) == 0 || w.First != from || w.Stream == "" {
			t.Fatalf("look at %d of %d: got %d records from %d of stream %q", from, last, len(w.Records), w.First, w.Stream)
		}
		for i, r := range w.Records {
			if n := from + uint64(i); !bytes.Equal(r, of(n)) {
				t.Fatalf("record %d is another one: %q", n, r)
			}
		}
		records += len(w.Records)
		from += uint64(len(w.Records))
	}
	return records, gaps
}

func look(t *testing.T, dir string) *buffer.Look {
	t.Helper()
	l, err := buffer.LookAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// A person looks at the readings of a running gateway and of one that stopped,
// and sees the same, whatever was confirmed; the files stay as they are.
func TestLookSeesAllWithoutChangingAnything(t *testing.T) {
	dir, last := damagedDirs(t)
	before := names(t, dir)
	l := look(t, dir)
	if n, gaps := lookAtAll(t, l, mixed, 1); n != int(last) || len(gaps) > 0 || l.Oldest() != 1 || l.Durable() != last {
		t.Errorf("stopped: %d records of %d..%d and %v", n, l.Oldest(), l.Durable(), gaps)
	}
	if after := names(t, dir); after != before {
		t.Errorf("files %s became %s", before, after)
	}
	b, stop := start(t, dir, buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1})
	if _, err := buffer.LookAt(dir); !errors.Is(err, buffer.ErrLocked) {
		t.Errorf("LookAt beside a running buffer: %v", err)
	}
	putEach(t, b, mixed, last+1, last+50)
	if err := b.Confirm(last, nil); err != nil {
		t.Fatal(err)
	}
	live, err := b.Look()
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if n, gaps := lookAtAll(t, live, mixed, 1); n != int(last)+50 || len(gaps) > 0 || live.Confirmed() != last {
		t.Errorf("running: %d records, confirmed %d, %v", n, live.Confirmed(), gaps)
	}
	putEach(t, b, mixed, last+51, last+60) // in a file that was read a moment ago
	if n, gaps := lookAtAll(t, live, mixed, last+51); n != 10 || len(gaps) > 0 {
		t.Errorf("running on: %d records, %v", n, gaps)
	}
	stop()
	if l := look(t, dir); l.Confirmed() != last || l.Durable() != last+60 {
		t.Errorf("stopped again: confirmed %d of %d", l.Confirmed(), l.Durable())
	}
}

// While somebody looks, segments are unlinked as if nobody did: what is gone
// shows as confirmed long ago.
func TestLookKeepsNothingFromBeingUnlinked(t *testing.T) {
	dir, last := damagedDirs(t)
	b, _ := start(t, dir, buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1, Keep: -1})
	l, err := b.Look()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if w, err := l.Read(1, 1, 1<<20); err != nil || len(w.Records) != 1 {
		t.Fatalf("got %+v, %v", w, err)
	}
	files := len(segments(t, dir))
	if err := b.Confirm(last, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a segment is unlinked", func() bool { return len(segments(t, dir)) < files })
	w, err := l.Read(1, 1, 1<<20)
	if err != nil || w.Gap == nil || w.Gap.Reason != buffer.Expired || w.Gap.Last != l.Oldest()-1 {
		t.Errorf("got %+v, %v; oldest %d", w, err, l.Oldest())
	}
}

// On a card that gives back something else, a look ends with what is good of it
// and a word on the rest: it neither dies nor shows a wrong record nor repairs.
func TestLookAtDamageIsHarmless(t *testing.T) {
	dir, last := damagedDirs(t)
	all := segments(t, dir)
	r := rand.New(rand.NewPCG(5, 6))
	for _, which := range []int{0, 1, len(all) - 1} {
		whole, err := os.ReadFile(all[which])
		if err != nil {
			t.Fatal(err)
		}
		for page := range used(t, all[which]) {
			at := int64(page*4096 + r.IntN(4096))
			flip(t, all[which], at, 1<<r.IntN(8))
			l := look(t, dir)
			n, gaps := lookAtAll(t, l, mixed, 1)
			if missing := int(last) - n; missing > 20 {
				t.Errorf("byte %d of file %d: %d records missing, gaps %+v", at, which, missing, gaps)
			}
			if err := os.WriteFile(all[which], whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	spoilBlock(t, all[0], 9)
	before := names(t, dir)
	_, gaps := lookAtAll(t, look(t, dir), mixed, 1)
	wantGaps(t, gaps, buffer.Gap{First: 9, Last: 9, Reason: buffer.Damaged})
	if after := names(t, dir); after != before {
		t.Errorf("files %s became %s", before, after)
	}
}

// Somebody deleted a file by hand: that is said, and the rest can be read.
func TestLookMissesADeletedFile(t *testing.T) {
	dir, last := damagedDirs(t)
	b, _ := start(t, dir, buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1})
	all := segments(t, dir)
	if err := os.Remove(all[1]); err != nil {
		t.Fatal(err)
	}
	l, err := b.Look()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n, gaps := lookAtAll(t, l, mixed, 1)
	if len(gaps) != 1 || gaps[0].Reason != buffer.Damaged || n+int(gaps[0].Last-gaps[0].First+1) != int(last) {
		t.Errorf("%d records, gaps %+v", n, gaps)
	}
}
