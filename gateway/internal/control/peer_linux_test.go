package control_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/plantgate/plantgate/gateway/internal/control"
)

const nobody = 65534

// as runs f with another user and groups. The kernel keeps them for each thread,
// and takes those of the thread that connects; the thread ends with f.
func as(t *testing.T, uid, gid int, more []uint32, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not be used again
		err := become(uid, gid, more)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// become uses the bare calls: those of package syscall change every thread.
func become(uid, gid int, more []uint32) error {
	var list unsafe.Pointer
	if len(more) > 0 {
		list = unsafe.Pointer(&more[0])
	}
	for _, call := range [][4]uintptr{
		{sysSetgroups, uintptr(len(more)), uintptr(list), 0},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	runtime.KeepAlive(more)
	return nil
}

func reachable(t *testing.T) (path string) {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "control.sock")
}

// request speaks by itself: a http.Client connects in another thread.
func request(t *testing.T, method, path string) (code int) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer c.Close()
	fmt.Fprintf(c, "%s /change HTTP/1.1\r\nHost: plantgate\r\nConnection: close\r\n\r\n", method)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// A web server or a guest with an account on the board must not be able to send
// a week of readings again; but it may look. Whoever is in the group may do both,
// by whichever of the groups it is.
func TestOnlyTheGroupMayChangeThings(t *testing.T) {
	const group = 23456
	path := reachable(t)
	serveBy(t, path, func(ctx context.Context, l net.Listener, h http.Handler) error {
		return control.ServeGroup(ctx, l, h, group)
	})
	many := make([]uint32, 300) // more than a first look at them takes
	for i := range many {
		many[i] = uint32(30000 + i)
	}
	for _, tc := range []struct {
		gid    int
		groups []uint32
		post   int
	}{
		{nobody, nil, http.StatusForbidden},
		{nobody, []uint32{nobody, 12345}, http.StatusForbidden},
		{nobody, many, http.StatusForbidden},
		{group, nil, http.StatusOK},
		{nobody, []uint32{12345, group}, http.StatusOK},
		{nobody, append(many[1:], group), http.StatusOK},
	} {
		as(t, nobody, tc.gid, tc.groups, func() {
			if code := request(t, http.MethodPost, path); code != tc.post {
				t.Errorf("POST with group %d and %d more: got %d, want %d", tc.gid, len(tc.groups), code, tc.post)
			}
			if code := request(t, http.MethodGet, path); code != http.StatusOK {
				t.Errorf("GET: got %d", code)
			}
		})
	}
}

// Where the group was never made, nobody is in it.
func TestWithoutTheGroupStrangersMayOnlyLook(t *testing.T) {
	path := reachable(t)
	serve(t, path)
	as(t, nobody, nobody, nil, func() {
		if code := request(t, http.MethodPost, path); code != http.StatusForbidden {
			t.Errorf("POST: got %d", code)
		}
	})
}
