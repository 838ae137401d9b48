package buffer

import (
	"os"

	"go.etcd.io/bbolt"
)

// Faults replaces steps that a card can refuse; nil ones stay real.
type Faults struct {
	Commit   func(commit func() error, rollback func() error) error
	WriteAt  func(name string) error // before the write
	Sync     func(name string) error // after a real sync
	Allocate func() error
	Rename   func(to string) error
	Remove   func(path string) error
	SyncDir  func() error
	Free     func() int64 // bytes free of a disk of 1 TiB
}

// OpenFaulty is Open on a card with faults.
func OpenFaulty(dir string, o Options, f Faults) (*Buffer, error) {
	ops := realOps()
	f.install(&ops)
	return open(dir, o, &ops)
}

func (f Faults) install(ops *fileOps) {
	real := *ops
	if f.Commit != nil {
		ops.commit = func(tx *bbolt.Tx) error {
			return f.Commit(func() error { return real.commit(tx) }, tx.Rollback)
		}
	}
	if f.WriteAt != nil {
		ops.writeAt = func(file *os.File, b []byte, off int64) error {
			if err := f.WriteAt(file.Name()); err != nil {
				return err
			}
			return real.writeAt(file, b, off)
		}
	}
	if f.Sync != nil {
		ops.sync = func(file *os.File) error {
			if err := real.sync(file); err != nil {
				return err
			}
			return f.Sync(file.Name())
		}
	}
	if f.Allocate != nil {
		ops.allocate = func(file *os.File, size int64) error {
			if err := f.Allocate(); err != nil {
				return err
			}
			return real.allocate(file, size)
		}
	}
	f.installNames(ops, real)
}

func (f Faults) installNames(ops *fileOps, real fileOps) {
	if f.Rename != nil {
		ops.rename = func(from, to string) error {
			if err := f.Rename(to); err != nil {
				return err
			}
			return real.rename(from, to)
		}
	}
	if f.Remove != nil {
		ops.remove = func(path string) error {
			if err := f.Remove(path); err != nil {
				return err
			}
			return real.remove(path)
		}
	}
	if f.SyncDir != nil {
		ops.syncDir = func(dir string) error {
			if err := real.syncDir(dir); err != nil {
				return err
			}
			return f.SyncDir()
		}
	}
	if f.Free != nil {
		ops.space = func(string) (space, error) { return space{total: 1 << 40, free: f.Free()}, nil }
	}
}

// DB gives a test bbolt's handle on the newest segment.
func (b *Buffer) DB() *bbolt.DB { return b.activeSegment().db }
