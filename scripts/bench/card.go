//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A card is a block device of its own with ext4 on it, as on an SD card, so
// that what is written to it can be counted where it counts. Needs root.
type card struct {
	dir    string // where it is mounted
	device string // such as /dev/loop3
}

func (l *lab) mountCard(ctx context.Context, name string, size int64) (*card, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root can mount a card")
	}
	image, dir := l.path(name+".img"), l.path(name)
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	if err := command(ctx, "mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "losetup", "--find", "--show", "--direct-io=on", image).Output()
	if err != nil {
		return nil, fmt.Errorf("losetup: %w", err)
	}
	c := &card{dir, strings.TrimSpace(string(out))}
	if err := syscall.Mount(c.device, dir, "ext4", syscall.MS_NOATIME, ""); err != nil {
		return nil, errors.Join(fmt.Errorf("mount %s: %w", c.device, err), command(ctx, "losetup", "-d", c.device))
	}
	return c, nil
}

func (c *card) remove(ctx context.Context) error {
	return errors.Join(syscall.Unmount(c.dir, 0), command(context.WithoutCancel(ctx), "losetup", "-d", c.device))
}

// written are the bytes and the flushes that the device was given so far
// (Documentation/admin-guide/iostats.rst in the kernel: fields 7 and 16 of its
// stat file; a sector has 512 bytes there whatever the device has).
func (c *card) written() (bytes, flushes float64, err error) {
	syscall.Sync() // what is not on its way yet is not counted by the device
	stat, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(c.device), "stat"))
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(stat))
	if len(fields) < 17 {
		return 0, 0, fmt.Errorf("%s: only %d fields: the kernel is older than 5.5", c.device, len(fields))
	}
	sectors, err1 := strconv.ParseFloat(fields[6], 64)
	flushes, err2 := strconv.ParseFloat(fields[15], 64)
	return 512 * sectors, flushes, errors.Join(err1, err2)
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
