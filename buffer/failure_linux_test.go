package buffer_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/plantgate/plantgate/buffer"
)

// With the descriptor of the file replaced by one that cannot write, the error
// comes from where a card's would: out of the middle of bbolt.
func TestErrorFromTheMiddleOfACommit(t *testing.T) {
	dir := tempDir(t)
	b, err := buffer.Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	putEach(t, b, record, 1, 5)
	makeReadOnly(t, b.DB().Path())
	if _, err := b.TryAppend(record(6)); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context(), 6); !errors.Is(err, buffer.ErrBroken) || !errors.Is(err, syscall.EBADF) {
		t.Errorf("wait: got %v", err)
	}
	if err := end(); !errors.Is(err, buffer.ErrBroken) {
		t.Errorf("run: got %v", err)
	}
	if w, err := b.Read(1, 10, 1000); err != nil || len(w.Records) != 5 {
		t.Errorf("read: %d records, %v", len(w.Records), err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	b, _ = start(t, dir, small())
	if n, gaps := readAll(t, b, record, 1); n != 5 || gaps != nil {
		t.Errorf("got %d records, %v", n, gaps)
	}
}

// makeReadOnly replaces the process's descriptor of path.
func makeReadOnly(t *testing.T, path string) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("cannot find descriptors here: %v", err)
	}
	other, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, e := range all {
		var fd int
		fmt.Sscan(e.Name(), &fd)
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == path && fd != int(other.Fd()) {
			if err := syscall.Dup3(int(other.Fd()), fd, syscall.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no descriptor of %s", path)
}

// A disk that is really full, on which files cannot be reserved.
func TestRealFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2500k"); err != nil {
		if os.Getenv("PLANTGATE_REQUIRE_CARD") == "1" {
			t.Fatalf("cannot mount a small disk, and PLANTGATE_REQUIRE_CARD=1: %v", err)
		}
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	o := buffer.Options{SegmentSize: segment, Limit: 64 * segment, Reserve: -1, WhenFull: buffer.Refuse, Keep: -1, CommitEvery: 10 * time.Millisecond}
	b, stop := start(t, dir, o)
	defer stop()
	n := uint64(0)
	for {
		last, err := b.Append(t.Context(), noise(n+1))
		if errors.Is(err, buffer.ErrFull) {
			break
		}
		if err != nil || last != n+1 {
			t.Fatalf("append %d: got %d, %v", n+1, last, err)
		}
		if n++; n%10 == 0 {
			eventually(t, "room or none", func() bool { d, _ := b.Durable(); return d == n || b.Stats().Full })
		}
	}
	durable, _ := b.Durable()
	if durable < 80 {
		t.Errorf("full after %d records", durable)
	}
	readAll(t, b, noise, 1)
	if err := b.Confirm(durable, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	putEach(t, b, noise, n+1, n+20)
	readAll(t, b, noise, durable+1)
}
