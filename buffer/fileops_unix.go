//go:build unix

package buffer

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const errQuota = unix.EDQUOT

// lockDir takes the directory for this process; the kernel gives it back when
// the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return f, flock(f)
}

// lockForLook takes the directory without changing anything in it.
func lockForLook(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	return f, flock(f)
}

func flock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func diskSpace(dir string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return space{}, err
	}
	block := int64(s.Bsize)
	return space{total: int64(s.Blocks) * block, free: int64(s.Bavail) * block}, nil
}
