package control_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/control"
)

// shortDir gives a folder whose socket path fits into sockaddr_un.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func serve(t *testing.T, path string) {
	t.Helper()
	serveBy(t, path, control.Serve)
}

func serveBy(t *testing.T, path string, serve func(context.Context, net.Listener, http.Handler) error) {
	t.Helper()
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/missing" {
				http.NotFound(w, r)
				return
			}
			io.WriteString(w, "here is "+r.URL.Path)
		}))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestCommandReachesTheService(t *testing.T) {
	dir := shortDir(t)
	path := control.Path("", dir)
	serve(t, path)
	resp, err := control.Get(t.Context(), "/status", filepath.Join(dir, "elsewhere.sock"), path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "here is /status" {
		t.Errorf("got %q, %v", body, err)
	}
	if _, err := control.Get(t.Context(), "/missing", path); err == nil || errors.Is(err, control.ErrNotRunning) {
		t.Errorf("missing resource: got %v", err)
	}
}

func TestSocketKnowsGetAndPostOnly(t *testing.T) {
	path := control.Path(shortDir(t), "unused")
	serve(t, path)
	c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://plantgate/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: got %s", resp.Status)
	}
}

func TestServiceMayChangeThingsItself(t *testing.T) {
	path := control.Path(shortDir(t), "unused")
	serve(t, path)
	resp, err := control.Post(t.Context(), "/change", path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "here is /change" {
		t.Errorf("got %q, %v", body, err)
	}
}

// After kill -9 the socket's file is still there and must not stop the start;
// but two gateways on one folder must not take the socket from each other.
func TestOldSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path := control.Path("", shortDir(t))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	serve(t, path)
	if _, err := control.Listen(path); err == nil || !strings.Contains(err.Error(), "another plantgate") {
		t.Errorf("second gateway: got %v", err)
	}
}

func TestStoppedServiceIsToldApart(t *testing.T) {
	if _, err := control.Get(t.Context(), "/status", control.Path("", shortDir(t))); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("got %v, want ErrNotRunning", err)
	}
}

func TestTooLongPathIsExplained(t *testing.T) {
	if _, err := control.Listen(control.Path("", "/"+strings.Repeat("d", 120))); err == nil || !strings.Contains(err.Error(), "shorter data_dir") {
		t.Errorf("got %v", err)
	}
}
