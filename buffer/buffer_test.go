package buffer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/buffer"
)

func TestRecordsComeBackInOrderAfterARestart(t *testing.T) {
	dir := tempDir(t)
	b, stop := start(t, dir, small())
	put(t, b, record, 1, 100)
	if err := b.Confirm(40, []byte("offsets")); err != nil {
		t.Fatal(err)
	}
	if err := b.SetNote([]byte("counters")); err != nil {
		t.Fatal(err)
	}
	stream := b.Stats().Stream
	stop()
	var told notices
	o := small()
	o.Notify = told.add
	b, _ = start(t, dir, o)
	putEach(t, b, record, 101, 120)
	if n, blob := b.Confirmed(); n != 40 || string(blob) != "offsets" || string(b.Note()) != "counters" {
		t.Errorf("got %d, %q, %q", n, blob, b.Note())
	}
	if n, gaps := readAll(t, b, record, 41); n != 80 || gaps != nil {
		t.Errorf("got %d records, gaps %v", n, gaps)
	}
	if s := b.Stats(); s.Unsent != 80 || s.Durable != 120 || s.Next != 121 || s.Oldest != 1 || s.Stream != stream || s.Err != nil {
		t.Errorf("stats: %+v", s)
	}
	if told.kinds() != "" {
		t.Errorf("a clean restart tells %s", told.kinds())
	}
}

// A reading that was sent and then lost in a power cut would give its number to
// another one; an acknowledged one would be gone.
func TestNothingIsReadOrReportedBeforeItsSync(t *testing.T) {
	o := small()
	hold, entered := make(chan struct{}), make(chan struct{}, 1)
	o.BeforeSync = func() error {
		entered <- struct{}{}
		<-hold
		return nil
	}
	b, _ := start(t, tempDir(t), o)
	last, err := b.Append(t.Context(), record(1), record(2))
	if err != nil || last != 2 {
		t.Fatalf("got %d, %v", last, err)
	}
	n, changed := b.Durable()
	waited := make(chan error, 1)
	go func() { waited <- b.Wait(context.Background(), 2) }()
	<-entered
	if w, err := b.Read(1, 10, 1000); n != 0 || err != nil || len(w.Records) > 0 || w.Gap != nil {
		t.Errorf("durable %d, read %+v, %v", n, w, err)
	}
	if err := b.Confirm(1, nil); err == nil {
		t.Error("a record that is not durable was confirmed")
	}
	select {
	case err := <-waited:
		t.Fatalf("wait returned %v while the sync was held", err)
	case <-changed:
		t.Fatal("durable changed while the sync was held")
	default:
	}
	close(hold)
	if err := <-waited; err != nil {
		t.Errorf("wait: %v", err)
	}
	<-changed
	readAll(t, b, record, 1)
}

// The caller's buffers are those of a socket and are used again at once.
func TestMemoryIsNotShared(t *testing.T) {
	b, _ := start(t, tempDir(t), small())
	r := []byte("as it came")
	if _, err := b.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	copy(r, "overwrites")
	if err := b.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w, err := b.Read(1, 1, 100)
		if err != nil || string(w.Records[0]) != "as it came" {
			t.Fatalf("got %q, %v", w.Records, err)
		}
		copy(w.Records[0], "overwrites")
		_ = append(w.Records[0], "behind"...)
	}
	blob := []byte("blob")
	if err := errors.Join(b.Confirm(1, blob), b.SetNote(blob)); err != nil {
		t.Fatal(err)
	}
	blob[0] = 'X'
	_, got := b.Confirmed()
	got[1], b.Note()[1] = 'X', 'X'
	if _, got := b.Confirmed(); string(got) != "blob" || string(b.Note()) != "blob" {
		t.Errorf("got %q, %q", got, b.Note())
	}
}

// Wear is per commit: as long as nobody waits, five seconds share one.
func TestCommitsAreRareWhenNobodyWaits(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		b, stop := start(t, dir, small())
		defer stop()
		begin := time.Now()
		for n := range uint64(40) {
			if _, err := b.TryAppend(record(n + 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if s := b.Stats(); s.Commits != 0 {
			t.Errorf("%d commits after 4 s", s.Commits)
		}
		_, changed := b.Durable()
		<-changed
		if s := b.Stats(); time.Since(begin) != 5*time.Second || s.Durable != 40 || s.Commits != 1 {
			t.Errorf("after %v: %+v", time.Since(begin), s)
		}
		if err := b.SetNote([]byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		crashed := crash(t, dir)
		if r, err := buffer.Inspect(crashed, nil); err != nil || r.Err != nil {
			t.Errorf("inspect: %+v, %v", r, err)
		}
		copied, stop2 := start(t, crashed, small())
		defer stop2()
		if string(copied.Note()) != "x" {
			t.Errorf("the note is not on the card after 5 s: %q", copied.Note())
		}
	})
}

// A card that stalls must slow the senders down, not fill the memory; those who
// cannot wait are told.
func TestFullQueueHoldsBack(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.QueueBytes = 64 << 10
		hold := make(chan struct{})
		o.BeforeSync = func() error { <-hold; return nil }
		b, stop := start(t, dir, o)
		defer stop()
		n := uint64(0)
		for ; ; n++ {
			if _, err := b.TryAppend(noise(n + 1)); err != nil {
				if !errors.Is(err, buffer.ErrBusy) {
					t.Errorf("got %v, want ErrBusy", err)
				}
				break
			}
		}
		begin := time.Now()
		if _, err := b.Append(t.Context(), noise(n+1)); !errors.Is(err, buffer.ErrBusy) || time.Since(begin) != 10*time.Second {
			t.Errorf("after %v: got %v, want ErrBusy", time.Since(begin), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Append(ctx, noise(n+1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		got := make(chan uint64)
		go func() {
			last, err := b.Append(context.Background(), noise(n+1))
			if err != nil {
				t.Error(err)
			}
			got <- last
		}()
		synctest.Wait()
		close(hold)
		if last := <-got; last != n+1 {
			t.Errorf("got number %d, want %d", last, n+1)
		}
		if err := b.Wait(t.Context(), n+1); err != nil {
			t.Error(err)
		}
		readAll(t, b, noise, 1)
	})
}

func TestManyAppendWaitAndReadAtOnce(t *testing.T) {
	b, _ := start(t, tempDir(t), small())
	const clients, each = 20, 50
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				n, err := b.Append(context.Background(), make([]byte, 100), make([]byte, 50))
				if err == nil {
					err = b.Wait(context.Background(), n)
				}
				if durable, _ := b.Durable(); err != nil || durable < n {
					t.Errorf("number %d: %v, durable %d", n, err, durable)
					return
				}
			}
		})
	}
	read := 0
	for from := uint64(1); from <= 2*clients*each; {
		_, changed := b.Durable()
		w, err := b.Read(from, 17, 1000)
		if err != nil || w.Gap != nil {
			t.Fatalf("read %d: %+v, %v", from, w.Gap, err)
		}
		if len(w.Records) == 0 {
			<-changed
			continue
		}
		from += uint64(len(w.Records))
		read += len(w.Records)
		if err := b.Confirm(from-1, nil); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if read != 2*clients*each {
		t.Errorf("read %d", read)
	}
}

// The file under a reader is sealed, closed and opened again while it reads.
func TestReadersFollowFromFileToFile(t *testing.T) {
	b, _ := start(t, tempDir(t), buffer.Options{SegmentSize: segment, Limit: 64 * segment, Reserve: -1})
	const last = 300
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for from := uint64(1); from <= last; {
				_, changed := b.Durable()
				w, err := b.Read(from, 1000, 1<<20)
				if err != nil || w.Gap != nil {
					t.Errorf("read %d: %+v, %v", from, w.Gap, err)
					return
				}
				if len(w.Records) == 0 {
					<-changed
				}
				from += uint64(len(w.Records))
			}
		})
	}
	putEach(t, b, noise, 1, last)
	wg.Wait()
}

func TestWindowKeepsItsBounds(t *testing.T) {
	b, _ := start(t, tempDir(t), small())
	put(t, b, record, 1, 30)
	putEach(t, b, record, 31, 40)
	size := len(record(20))
	for _, c := range []struct {
		from         uint64
		records, max int
		want         int
	}{
		{1, 10, 1 << 20, 10}, {25, 100, 1 << 20, 16}, {25, 100, 3 * size, 3}, {25, 100, 3*size - 1, 2},
		{25, 100, 1, 1}, {40, 100, 1, 1}, {41, 1, 1, 0}, {99, 1, 1, 0}, {20, 0, 1, 0}, {28, 100, 5 * size, 5},
	} {
		w, err := b.Read(c.from, c.records, c.max)
		if err != nil || len(w.Records) != c.want || c.want > 0 && w.First != c.from {
			t.Errorf("read %d, %d records, %d bytes: got %d from %d, %v, want %d", c.from, c.records, c.max, len(w.Records), w.First, err, c.want)
		}
	}
}

func TestWrongUseIsAnError(t *testing.T) {
	dir := tempDir(t)
	b, stop := start(t, dir, small())
	if _, err := buffer.Open(dir, small()); !errors.Is(err, buffer.ErrLocked) {
		t.Errorf("second open: got %v, want ErrLocked", err)
	}
	if _, err := buffer.Inspect(dir, nil); !errors.Is(err, buffer.ErrLocked) {
		t.Errorf("inspect: got %v, want ErrLocked", err)
	}
	if err := b.Wait(t.Context(), 1); err == nil {
		t.Error("waited for a number that was never given")
	}
	if _, err := b.Append(t.Context(), make([]byte, segment/4)); !errors.Is(err, buffer.ErrTooLarge) {
		t.Errorf("long record: got %v", err)
	}
	if err := b.Confirm(0, make([]byte, buffer.MaxBlob+1)); !errors.Is(err, buffer.ErrTooLarge) {
		t.Errorf("long blob: got %v", err)
	}
	if err := b.SetNote(make([]byte, buffer.MaxNote+1)); !errors.Is(err, buffer.ErrTooLarge) {
		t.Errorf("long note: got %v", err)
	}
	if err := b.Run(t.Context(), func() {}); err == nil {
		t.Error("ran twice")
	}
	stop()
	if _, err := b.Append(t.Context(), record(1)); !errors.Is(err, buffer.ErrClosed) {
		t.Errorf("append: got %v, want ErrClosed", err)
	}
	if _, err := b.Read(1, 1, 1); !errors.Is(err, buffer.ErrClosed) {
		t.Errorf("read: got %v, want ErrClosed", err)
	}
	if err := b.Run(t.Context(), func() {}); !errors.Is(err, buffer.ErrClosed) {
		t.Errorf("run: got %v, want ErrClosed", err)
	}
	if err := b.Close(); !errors.Is(err, buffer.ErrClosed) {
		t.Errorf("close: got %v, want ErrClosed", err)
	}
}

func TestImpossibleOptionsAreTurnedDown(t *testing.T) {
	for name, o := range map[string]buffer.Options{
		"limit":    {SegmentSize: segment, Limit: 5 * segment},
		"segment":  {SegmentSize: 4096},
		"interval": {CommitEvery: -1},
		"queue":    {QueueBytes: 1},
	} {
		if b, err := buffer.Open(tempDir(t), o); err == nil {
			t.Errorf("%s: opened", name)
			b.Close()
		}
	}
}

// Close without Run, and Run that was never stopped, must not lose anything.
func TestCloseCommitsWhatIsQueued(t *testing.T) {
	dir := tempDir(t)
	b, err := buffer.Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.TryAppend(record(1), record(2)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = buffer.Open(dir, small()); err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	if _, err := b.TryAppend(record(3)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Close(), end()); err != nil {
		t.Fatal(err)
	}
	b, _ = start(t, dir, small())
	if n, gaps := readAll(t, b, record, 1); n != 3 || gaps != nil {
		t.Errorf("got %d records, %v", n, gaps)
	}
}
