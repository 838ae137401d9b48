package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/plantgate/plantgate/buffer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const segment = 256 << 10 // bytes: the smallest there is

// small makes room for eight of the smallest segments.
func small() buffer.Options {
	return buffer.Options{SegmentSize: segment, Limit: 8 * segment, Reserve: -1}
}

// tempDir is on a memory disk where there is one: most tests are about what is
// in the files, not about how long a sync takes.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "buffer")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start opens the buffer in dir and runs it until the test ends or stop is
// called, which closes it and checks every file.
func start(t testing.TB, dir string, o buffer.Options) (b *buffer.Buffer, stop func()) {
	t.Helper()
	return startFaulty(t, dir, o, buffer.Faults{})
}

func startFaulty(t testing.TB, dir string, o buffer.Options, f buffer.Faults) (b *buffer.Buffer, stop func()) {
	t.Helper()
	b, err := buffer.OpenFaulty(dir, o, f)
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	stop = sync.OnceFunc(func() {
		t.Helper()
		if err := errors.Join(end(), b.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
		fsck(t, dir)
	})
	t.Cleanup(stop)
	return b, stop
}

// run runs b until end is called, which returns what Run returned.
func run(t testing.TB, b *buffer.Buffer) (end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- b.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		done <- err
	}
	return sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

// fsck fails the test when a file in dir is not what it should be.
func fsck(t testing.TB, dir string) {
	t.Helper()
	r, err := buffer.Inspect(dir, nil)
	if err != nil {
		t.Errorf("inspect: %v", err)
		return
	}
	last := uint64(0)
	for _, f := range r.Files {
		if f.Err != nil {
			t.Errorf("%s: %v", filepath.Base(f.Path), f.Err)
		}
		if f.First > 0 && f.First <= last {
			t.Errorf("%s begins with number %d, the one before ends with %d", filepath.Base(f.Path), f.First, last)
		}
		last = max(last, f.Last)
	}
}

func record(n uint64) []byte { return fmt.Appendf(nil, "record %d of a socket", n) }

// noise is a record that cannot be compressed, so that files fill up fast.
func noise(n uint64) []byte {
	b := make([]byte, 8<<10)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

// put appends records first..last, made by of, and waits until they are durable.
func put(t testing.TB, b *buffer.Buffer, of func(uint64) []byte, first, last uint64) {
	t.Helper()
	for n := first; n <= last; n++ {
		got, err := b.Append(context.Background(), of(n))
		if err != nil || got != n {
			t.Fatalf("append %d: got %d, %v", n, got, err)
		}
	}
	if err := b.Wait(context.Background(), last); err != nil {
		t.Fatalf("wait for %d: %v", last, err)
	}
}

// putEach commits each record on its own.
func putEach(t testing.TB, b *buffer.Buffer, of func(uint64) []byte, first, last uint64) {
	t.Helper()
	for n := first; n <= last; n++ {
		put(t, b, of, n, n)
	}
}

// readAll reads from number from to the end and returns the gaps. Every record
// must be the one that of made.
func readAll(t testing.TB, b *buffer.Buffer, of func(uint64) []byte, from uint64) (records int, gaps []buffer.Gap) {
	t.Helper()
	durable, _ := b.Durable()
	for from <= durable {
		w, err := b.Read(from, 1000, 1<<20)
		if err != nil {
			t.Fatalf("read %d: %v", from, err)
		}
		if g := w.Gap; g != nil {
			if g.First != from || g.Last < g.First || g.Last > durable || len(w.Records) > 0 || g.Stream == "" {
				t.Fatalf("read %d of %d: bad gap %+v", from, durable, g)
			}
			gaps = append(gaps, *g)
			from = g.Last + 1
			continue
		}
		if len(w.Records) == 0 || w.First != from || w.Stream == "" {
			t.Fatalf("read %d of %d: got %d records from %d", from, durable, len(w.Records), w.First)
		}
		for i, r := range w.Records {
			if want := of(from + uint64(i)); string(r) != string(want) {
				t.Fatalf("number %d: got %.40q, want %.40q", from+uint64(i), r, want)
			}
		}
		records += len(w.Records)
		from += uint64(len(w.Records))
	}
	if w, err := b.Read(from, 10, 1<<20); err != nil || len(w.Records) > 0 || w.Gap != nil {
		t.Errorf("read behind the end: %+v, %v", w, err)
	}
	return records, gaps
}

// wantGaps compares gaps without their words and times.
func wantGaps(t testing.TB, got []buffer.Gap, want ...buffer.Gap) {
	t.Helper()
	for i := range got {
		got[i].Detail, got[i].Since, got[i].Stream = "", time.Time{}, ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

// crash copies the files as they are, as a power cut leaves them at best.
func crash(t testing.TB, dir string) string {
	t.Helper()
	to := tempDir(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		err := copyFile(filepath.Join(dir, e.Name()), filepath.Join(to, e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // the keeper has just renamed or unlinked it
			t.Fatal(err)
		}
	}
	return to
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// segments lists the segment files of dir, oldest first.
func segments(t testing.TB, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "0*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// notices collects what Notify is told.
type notices struct {
	mu  sync.Mutex
	all []buffer.Notice
}

func (n *notices) add(one buffer.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, one)
}

// kinds names the notices so far, in order.
func (n *notices) kinds() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var kinds []string
	for _, one := range n.all {
		kinds = append(kinds, one.Kind)
	}
	return strings.Join(kinds, " ")
}

// last returns the latest notice of a kind.
func (n *notices) last(kind string) (found buffer.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.all {
		if one.Kind == kind {
			found = one
		}
	}
	return found
}

// eventually waits for what another goroutine does; its steps take no longer
// than a sync.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
