package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// fileOps are the steps that a card can refuse. A test replaces one to see what
// happens when it fails.
type fileOps struct {
	commit   func(*bbolt.Tx) error // writes and syncs one transaction
	writeAt  func(f *os.File, b []byte, off int64) error
	sync     func(*os.File) error
	allocate func(f *os.File, size int64) error
	rename   func(from, to string) error
	remove   func(path string) error
	syncDir  func(dir string) error
	space    func(dir string) (space, error)
}

func realOps() fileOps {
	return fileOps{
		commit:   (*bbolt.Tx).Commit,
		writeAt:  func(f *os.File, b []byte, off int64) error { _, err := f.WriteAt(b, off); return err },
		sync:     syncData,
		allocate: allocate,
		rename:   os.Rename,
		remove:   os.Remove,
		syncDir:  syncDir,
		space:    diskSpace,
	}
}

// space of a file system in bytes. Zero where the system does not say.
type space struct{ total, free int64 }

// create makes a file that is whole or not there, also after a power cut: fill
// writes it under a temporary name.
func (o fileOps) create(path string, fill func(*os.File) error) error {
	temp := path + tempSuffix
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = o.sync(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := o.rename(temp, path); err != nil {
		return err
	}
	return o.syncDir(filepath.Dir(path))
}

// isFull tells a full card or quota from a failing one. A sync can report that
// too, after which nobody knows what is on the card; only the error of a step
// that names its path, and is no sync, left all as it was.
func isFull(err error) bool {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Op != "sync" && isNoSpace(path.Err)
	}
	var link *os.LinkError
	return errors.As(err, &link) && isNoSpace(link.Err)
}

func isNoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) }

// isShortage tells that the process has too little of something, or that another
// one has the file, from which nothing follows for what is in it.
func isShortage(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EINTR, os.ErrPermission, berrors.ErrTimeout} {
		if errors.Is(err, e) {
			return true
		}
	}
	return isNoSpace(err)
}

// explain adds to an error of the directory what the user can do.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s is read-only; the card may have failed, or is mounted so: %w", dir, err)
	case isNoSpace(err):
		return fmt.Errorf("no space left for %s; delete something or lower buffer.limit: %w", dir, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s belongs to another user: %w", dir, err)
	default:
		return err
	}
}
