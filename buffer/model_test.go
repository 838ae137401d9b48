package buffer_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plantgate/plantgate/buffer"
)

// A model is what a buffer must be like, as a slice: record n is records[n-1].
type model struct {
	t         *rapid.T
	outer     *testing.T
	dir       string
	o         buffer.Options
	b         *buffer.Buffer
	end       func() error
	records   [][]byte
	serial    int      // makes every record different from all before
	durable   uint64   // at least
	confirmed []uint64 // every one that may be on the card, the last one now
	note      []byte
}

func (m *model) open() {
	b, err := buffer.Open(m.dir, m.o)
	if err != nil {
		m.t.Fatalf("open: %v", err)
	}
	m.b, m.end = b, run(m.outer, b)
}

func (m *model) close() {
	if err := m.end(); err != nil {
		m.t.Errorf("run: %v", err)
	}
	if err := m.b.Close(); err != nil {
		m.t.Errorf("close: %v", err)
	}
	fsck(m.outer, m.dir)
}

func (m *model) appendSome(t *rapid.T) {
	var some [][]byte
	for range rapid.IntRange(0, 20).Draw(t, "count") {
		m.serial++
		r := fmt.Appendf(nil, "%d:", m.serial)
		r = append(r, noise(uint64(m.serial))[:rapid.IntRange(0, 3000).Draw(t, "size")]...)
		some = append(some, r)
	}
	last, err := m.b.TryAppend(some...)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	m.records = append(m.records, some...)
	if last != uint64(len(m.records)) {
		t.Fatalf("append: got number %d, want %d", last, len(m.records))
	}
}

func (m *model) wait(t *rapid.T) {
	n := uint64(rapid.IntRange(0, len(m.records)).Draw(t, "number"))
	if err := m.b.Wait(context.Background(), n); err != nil {
		t.Fatalf("wait for %d: %v", n, err)
	}
	m.durable = max(m.durable, n)
	if got, _ := m.b.Durable(); got < m.durable || got > uint64(len(m.records)) {
		t.Fatalf("durable %d, want %d..%d", got, m.durable, len(m.records))
	}
}

func (m *model) read(t *rapid.T) {
	durable, _ := m.b.Durable()
	from := rapid.Uint64Range(1, uint64(len(m.records))+2).Draw(t, "from")
	count := rapid.IntRange(1, 50).Draw(t, "max")
	w, err := m.b.Read(from, count, rapid.IntRange(1, 1<<16).Draw(t, "bytes"))
	if err != nil {
		t.Fatalf("read %d: %v", from, err)
	}
	m.check(t, w, from, durable, count)
}

func (m *model) check(t *rapid.T, w buffer.Window, from, durable uint64, count int) {
	if g := w.Gap; g != nil {
		if g.First != from || g.Last < from || g.Last > durable {
			t.Fatalf("read %d: gap %+v of %d", from, g, durable)
		}
		expired := g.Reason == buffer.Expired && m.o.Keep < 0 && g.Last <= m.confirmed[len(m.confirmed)-1]
		dropped := g.Reason == buffer.Dropped && m.o.WhenFull == buffer.DropOldest
		if !expired && !dropped {
			t.Fatalf("read %d: gap %+v, confirmed %d", from, g, m.confirmed)
		}
		return
	}
	if from <= durable && len(w.Records) == 0 || len(w.Records) > count {
		t.Fatalf("read %d of %d, at most %d: got %d records", from, durable, count, len(w.Records))
	}
	for i, r := range w.Records {
		n := from + uint64(i)
		if n > uint64(len(m.records)) || !bytes.Equal(r, m.records[n-1]) {
			t.Fatalf("number %d: got %.20q", n, r)
		}
	}
}

func (m *model) confirm(t *rapid.T) {
	durable, _ := m.b.Durable()
	before := m.confirmed[len(m.confirmed)-1]
	n := rapid.Uint64Range(before, max(durable, before)).Draw(t, "number")
	if err := m.b.Confirm(n, fmt.Appendf(nil, "blob %d", n)); err != nil {
		t.Fatalf("confirm %d: %v", n, err)
	}
	m.confirmed = append(m.confirmed, n)
	m.checkConfirmed(t)
}

func (m *model) checkConfirmed(t *rapid.T) {
	n, blob := m.b.Confirmed()
	if want := m.confirmed[len(m.confirmed)-1]; n != want || n > 0 && string(blob) != fmt.Sprintf("blob %d", n) {
		t.Fatalf("confirmed %d, %q, want %d", n, blob, want)
	}
}

func (m *model) setNote(t *rapid.T) {
	m.note = rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "note")
	if err := m.b.SetNote(m.note); err != nil {
		t.Fatal(err)
	}
}

func (m *model) pin(t *rapid.T) {
	m.b.Pin(rapid.Uint64Range(0, uint64(len(m.records))).Draw(t, "number"))
}

func (m *model) reopen(t *rapid.T) {
	m.close()
	m.open()
	m.durable = uint64(len(m.records))
	if got, _ := m.b.Durable(); got != m.durable || !bytes.Equal(m.b.Note(), m.note) {
		t.Fatalf("after a clean restart: durable %d, want %d", got, m.durable)
	}
	m.checkConfirmed(t)
}

// crash goes on with a copy of the files: what was not durable may be gone, and
// its numbers are given again.
func (m *model) crash(t *rapid.T) {
	copied := crash(m.outer, m.dir)
	m.close()
	m.dir = copied
	m.open()
	got, _ := m.b.Durable()
	if got < m.durable || got > uint64(len(m.records)) {
		t.Fatalf("after a crash: durable %d, want %d..%d", got, m.durable, len(m.records))
	}
	m.records = m.records[:got]
	m.durable = got
	n, _ := m.b.Confirmed()
	if !slices.Contains(m.confirmed, n) {
		t.Fatalf("after a crash: confirmed %d, which nobody did", n)
	}
	m.confirmed = []uint64{n}
	m.note = m.b.Note()
}

func (m *model) invariants(t *rapid.T) {
	s := m.b.Stats()
	if s.Err != nil || s.Bytes > m.o.Limit || s.Next != uint64(len(m.records))+1 || s.Durable >= s.Next || s.Confirmed > s.Durable {
		t.Fatalf("stats %+v with %d records", s, len(m.records))
	}
}

// Whatever is done in whatever order, with stops of both kinds in between, the
// buffer is a slice of records with a position.
func TestBufferIsASlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := buffer.Options{SegmentSize: segment, Reserve: -1, CommitEvery: time.Hour, Limit: 6 * segment, Keep: -1}
		if rapid.Bool().Draw(rt, "refuse") {
			o.WhenFull, o.Limit, o.Keep = buffer.Refuse, 400*segment, 0
		}
		m := &model{t: rt, outer: t, dir: tempDir(t), o: o, confirmed: []uint64{0}}
		m.open()
		defer func() { m.close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.appendSome, "append more": m.appendSome, "wait": m.wait, "read": m.read, "read on": m.read,
			"confirm": m.confirm, "note": m.setNote, "pin": m.pin, "reopen": m.reopen, "crash": m.crash, "": m.invariants,
		})
	})
}
