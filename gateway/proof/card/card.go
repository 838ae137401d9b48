//go:build linux && (amd64 || arm64)

package card

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A Card is one SD card and the reader that it is put into. Its methods are the
// test's alone, but for Moment, Fail, Heal and the counts, which are safe for
// concurrent use.
type Card struct {
	t      testing.TB
	dir    string // where the card is mounted
	slots  string // where the FUSE file system is
	root   *fs.Inode
	server *fuse.Server
	image  []byte // the content while it is not mounted
	disk   *disk  // while it is
	serial int    // of the last disk
}

// New returns a card of size bytes with an empty ext4 on it, not yet mounted.
func New(t testing.TB, size int64) *Card {
	t.Helper()
	need(t)
	c := &Card{t: t, dir: filepath.Join(t.TempDir(), "card"), slots: filepath.Join(t.TempDir(), "slots")}
	var err error
	if c.image, err = format(size); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(c.dir, 0o755), os.Mkdir(c.slots, 0o755)); err != nil {
		t.Fatal(err)
	}
	release := guard(t, c.dir, c.slots)
	c.root = &fs.Inode{}
	c.server, err = fs.Mount(c.slots, c.root, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20, FsName: "plantgate-card"},
	})
	if err != nil {
		release()
		t.Fatalf("mount FUSE: %v", err)
	}
	t.Cleanup(func() {
		err := c.Unmount()
		if c.server.Unmount() != nil {
			// The loop device gives the file back only some time after it is free.
			err = errors.Join(err, unix.Unmount(c.slots, unix.MNT_DETACH))
		}
		if err != nil {
			t.Errorf("remove the card: %v", err)
		}
		release()
	})
	return c
}

// need skips the test where there is no such thing as a card.
func need(t testing.TB) {
	t.Helper()
	missing := ""
	switch {
	case os.Geteuid() != 0:
		missing = "root"
	case exec.Command("mkfs.ext4", "-V").Run() != nil:
		missing = "mkfs.ext4"
	default:
		for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
			f, err := os.OpenFile(device, os.O_RDWR, 0)
			if err != nil {
				missing = device
				break
			}
			f.Close()
		}
	}
	switch {
	case missing == "":
	case os.Getenv("PLANTGATE_REQUIRE_CARD") == "1":
		t.Fatalf("a card for tests needs %s", missing)
	default:
		t.Skipf("a card for tests needs %s", missing)
	}
}

// format returns the bytes of an empty ext4. All of it is initialised at once:
// the kernel would do that later, in the middle of a test.
func format(size int64) ([]byte, error) {
	fd, err := unix.MemfdCreate("card", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return nil, err
	}
	out, err := exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4",
		"-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", f.Name()).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return os.ReadFile(f.Name())
}

// Dir is where the files of the card are while it is mounted.
func (c *Card) Dir() string { return c.dir }

// Mount puts the card in, with options of ext4 such as "nobarrier", and begins to
// record. An error says that the kernel cannot use what is on it.
func (c *Card) Mount(options ...string) error {
	c.serial++
	name := fmt.Sprintf("card%d", c.serial)
	c.disk = newDisk(name, c.image)
	c.image = nil
	inode := c.root.NewPersistentInode(c.t.Context(), c.disk, fs.StableAttr{Mode: unix.S_IFREG})
	c.root.AddChild(name, inode, true)
	loop, err := attach(filepath.Join(c.slots, name))
	if err == nil {
		err = errors.Join(mount(loop.Name(), c.dir, options), loop.Close())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("mount card: %w", err), c.eject())
	}
	return nil
}

func mount(device, dir string, options []string) error {
	return unix.Mount(device, dir, "ext4", unix.MS_NOATIME, strings.Join(options, ","))
}

// ReadOnly makes the mounted card read-only under those who write to it, as the
// kernel does when it meets an error in the file system.
func (c *Card) ReadOnly() error {
	return unix.Mount("", c.dir, "", unix.MS_REMOUNT|unix.MS_NOATIME, "abort")
}

// Unmount takes the card out in order: what programs wrote is on it. It does
// nothing when no card is mounted.
func (c *Card) Unmount() error {
	if c.disk == nil {
		return nil
	}
	err := unix.Unmount(c.dir, 0)
	for end := time.Now().Add(5 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond) // until the kernel has cleared away a process that was killed
		err = unix.Unmount(c.dir, 0)
	}
	if err != nil {
		// Whoever still has a file open writes to a card that is gone.
		err = errors.Join(fmt.Errorf("unmount card: %w", err), unix.Unmount(c.dir, unix.MNT_DETACH))
		c.disk.pull()
	}
	return errors.Join(err, c.eject())
}

// eject takes the disk out of the slot; its content is that of the card.
func (c *Card) eject() error {
	ok, _ := c.root.RmChild(c.disk.name)
	if !ok {
		return fmt.Errorf("eject %s: it is not there", c.disk.name)
	}
	c.disk.EmbeddedInode().ForgetPersistent()
	c.image = c.disk.take()
	c.disk = nil
	return nil
}

// PullOut cuts the power: from now on nothing reaches the card any more, and
// whoever tries gets EIO. Unmount has to follow, after the end of whoever uses the
// card. It returns all that was recorded.
func (c *Card) PullOut() *Log {
	c.disk.pull()
	return c.disk.recorded()
}

// Insert puts an image, such as a crash state, on the card, which is not mounted.
// The card may change it.
func (c *Card) Insert(image []byte) { c.image = image }

// Image is a copy of what is on the card, which is not mounted.
func (c *Card) Image() []byte { return append([]byte(nil), c.image...) }

// Moment is the present place in what is recorded.
func (c *Card) Moment() int { return c.disk.moment() }

// Log is what was recorded since Mount.
func (c *Card) Log() *Log { return c.disk.recorded() }

// Fail lets the mounted card fail as f says, beside what it was told before.
func (c *Card) Fail(f Fault) { c.disk.fail(f) }

// Heal ends all faults.
func (c *Card) Heal() { c.disk.heal() }

// Failed is how many operations failed since Mount.
func (c *Card) Failed() int { return c.disk.failures() }
