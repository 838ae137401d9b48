// Package control is the unix socket between the running service and its
// commands.
//
// It guarantees that every local user may look and nobody may change anything
// through it: it serves GET requests only. It does not know what is asked; the
// program hands it an http.Handler.
package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const socketName = "control.sock"

// maxSocketPath is the room in sockaddr_un (unix(7)), one byte kept for the
// closing NUL.
const maxSocketPath = 107

// Path returns where the socket lies: in runtimeDir (systemd's RuntimeDirectory)
// when there is one, else beside the data.
func Path(runtimeDir, dataDir string) string {
	if runtimeDir != "" {
		return filepath.Join(runtimeDir, socketName)
	}
	return filepath.Join(dataDir, socketName)
}

// ErrRunning means that a gateway answers on the socket already.
var ErrRunning = errors.New("another plantgate is running here")

// Listen opens the socket for every local user. A socket that a killed process
// left behind is replaced; one that answers belongs to a running gateway.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen on %s: the path of a unix socket may have %d bytes; choose a shorter data_dir", path, maxSocketPath)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close() // it was opened only to see that somebody answers
		return nil, fmt.Errorf("listen on %s: %w", path, ErrRunning)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on control socket: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("open control socket to local users: %w", err), l.Close())
	}
	return l, nil
}

// Serve answers GET requests on l until ctx ends. Streams end with it.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	return serve(ctx, l, readOnly(h))
}

// ServeHTTP is Serve for the service's TCP address, with any method.
func ServeHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	return serve(ctx, l, h)
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			http.Error(w, "this socket is for looking only", http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ErrNotRunning means that no gateway answers on the socket.
var ErrNotRunning = errors.New("no running gateway answers")

// Get asks the gateway behind the first of paths that answers. The caller
// closes the body.
func Get(ctx context.Context, resource string, paths ...string) (*http.Response, error) {
	for _, path := range paths {
		resp, err := get(ctx, resource, path)
		if errors.Is(err, ErrNotRunning) {
			continue
		}
		return resp, err
	}
	return nil, fmt.Errorf("%w on %v", ErrNotRunning, paths)
}

func get(ctx context.Context, resource, path string) (*http.Response, error) {
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://plantgate"+resource, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	resp, err := c.Do(req)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("ask %s for %s: %s", path, resource, resp.Status), resp.Body.Close())
	}
	return resp, nil
}
