//go:build linux && (amd64 || arm64)

package card

import (
	"context"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// An Op is something that the kernel asks of the card.
type Op int

// The operations.
const (
	Write Op = iota
	Flush
	Read
)

// String names the operation.
func (o Op) String() string { return [...]string{"write", "flush", "read"}[o] }

// A Fault makes operations of one kind fail with EIO.
type Fault struct {
	Op   Op
	Nth  int  // the first one that fails, counted from 1 from the call of Fail on
	Once bool // only that one; else all from it on
}

// A disk is the content of a card while it is mounted, as a file of a FUSE file
// system.
type disk struct {
	fs.Inode
	name string

	mu     sync.Mutex
	base   []byte // at Mount
	data   []byte
	log    []entry
	faults []Fault // Nth counts down
	failed int
	gone   bool
}

// An entry is a write or a flush. Its bytes never change.
type entry struct {
	flush bool
	off   int64
	data  []byte
}

var (
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeWriter    = (*disk)(nil)
	_ fs.NodeFsyncer   = (*disk)(nil)
	_ fs.NodeGetattrer = (*disk)(nil)
	_ fs.NodeSetattrer = (*disk)(nil)
	_ fs.NodeAllocater = (*disk)(nil)
)

func newDisk(name string, image []byte) *disk {
	return &disk{name: name, base: append([]byte(nil), image...), data: image}
}

// Open keeps the kernel from caching the file a second time, below the block
// device: a read that fails would be repeated there.
func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Getattr tells the size, which never changes.
func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = unix.S_IFREG|0o600, uint64(len(d.base))
	return 0
}

// Setattr changes nothing: the loop device sets times.
func (d *disk) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, f, out)
}

// Read is a read of sectors.
func (d *disk) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fault(Read); err != 0 {
		return nil, err
	}
	if off >= int64(len(d.data)) {
		return fuse.ReadResultData(nil), 0
	}
	n := copy(dest, d.data[off:])
	return fuse.ReadResultData(dest[:n]), 0
}

// Write is a write of sectors; it is in the card's cache until the next flush.
func (d *disk) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fault(Write); err != 0 {
		return 0, err
	}
	if off < 0 || off+int64(len(data)) > int64(len(d.data)) {
		return 0, syscall.ENOSPC
	}
	d.record(off, append([]byte(nil), data...))
	return uint32(len(data)), 0
}

func (d *disk) record(off int64, data []byte) {
	copy(d.data[off:], data)
	d.log = append(d.log, entry{off: off, data: data})
}

// Fsync is a flush of the card's cache.
func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fault(Flush); err != 0 {
		return err
	}
	d.log = append(d.log, entry{flush: true})
	return 0
}

// Allocate is how the loop device writes zeros.
func (d *disk) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) == 0 {
		return syscall.ENOTSUP
	}
	if err := d.fault(Write); err != 0 {
		return err
	}
	if off+size > uint64(len(d.data)) {
		return syscall.ENOSPC
	}
	d.record(int64(off), make([]byte, size))
	return 0
}

// fault counts an operation; 0: it succeeds.
func (d *disk) fault(op Op) syscall.Errno {
	if d.gone {
		return syscall.EIO
	}
	bad := false
	for i := range d.faults {
		f := &d.faults[i]
		if f.Op != op {
			continue
		}
		f.Nth--
		bad = bad || f.Nth == 0 || f.Nth < 0 && !f.Once
	}
	if !bad {
		return 0
	}
	d.failed++
	return syscall.EIO
}

func (d *disk) fail(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, f)
}

func (d *disk) heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

func (d *disk) failures() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

func (d *disk) moment() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

func (d *disk) recorded() *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Log{base: d.base, entries: d.log[:len(d.log):len(d.log)]}
}

func (d *disk) pull() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
}

// take ends the disk and returns its content.
func (d *disk) take() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	data := d.data
	d.gone, d.data = true, nil
	return data
}
