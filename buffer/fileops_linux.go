package buffer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate reserves the blocks of a new file, so that a full card shows now and
// not in a commit.
func allocate(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.Truncate(size) // a file system that cannot; commits may find it full
	}
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// forgetCached makes the next read of a file come from the card. It is a wish:
// what cannot be forgotten is only not asked for again.
func forgetCached(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// syncData is enough where the size of the file does not change.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
