package buffer_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

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
