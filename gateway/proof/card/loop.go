//go:build linux && (amd64 || arm64)

package card

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attach puts a loop device on the file at path. The device goes by itself when
// nobody has it open or mounted any more.
func attach(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the device keeps it
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		device, err := claim(control, f)
		// Others look for a free device at the same moment.
		if err == nil || !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) || time.Now().After(end) {
			return device, err
		}
	}
}

func claim(control, f *os.File) (*os.File, error) {
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("find a loop device: %w", err)
	}
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("set up %s: %w", device.Name(), err), device.Close())
	}
	return device, nil
}

// guard starts a process that outlives this one and then unmounts dirs, the first
// one first, because the kernel keeps a mount whose server was killed. release
// ends it.
func guard(t testing.TB, dirs ...string) (release func()) {
	t.Helper()
	script := `trap '' INT TERM HUP; cat >/dev/null; for dir; do umount -l "$dir"; done 2>/dev/null`
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "guard"}, dirs...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	alive, err := cmd.StdinPipe() // the kernel closes it when this process ends
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start a guard for the card: %v", err)
	}
	return func() {
		_ = errors.Join(alive.Close(), cmd.Wait()) // it fails to unmount what is gone
	}
}
