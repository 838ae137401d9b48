// Package control is the unix socket between the running service and its
// commands.
//
// It guarantees that every local user may look (GET) and only root, the service's
// own user and the group plantgate may change anything (POST), by what the kernel
// says of the caller. It does not know what is asked; the program hands it an
// http.Handler.
package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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

// Serve answers requests on l until ctx ends: GET for everybody, POST for those
// who may change things. Streams end with it.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	return serve(ctx, l, guard(h, findGroup))
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
		ConnContext:       withConnection,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(ended); end(s) })
	err := s.Serve(l)
	if !stop() {
		<-ended // answers read from the buffer, which is closed next
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// end waits for the answers under way, whose context has ended, and then breaks
// off those whose reader does not read.
func end(s *http.Server) {
	const patience = 500 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		_ = s.Close() // the connections are broken either way
	}
}

// ErrNotRunning means that no gateway answers on the socket.
var ErrNotRunning = errors.New("no running gateway answers")

// Get asks the gateway behind the first of paths that answers. The caller
// closes the body.
func Get(ctx context.Context, resource string, paths ...string) (*http.Response, error) {
	return first(ctx, http.MethodGet, resource, paths)
}

// Post is Get for what changes something. ErrNotAllowed: the caller may only
// look.
func Post(ctx context.Context, resource string, paths ...string) (*http.Response, error) {
	return first(ctx, http.MethodPost, resource, paths)
}

func first(ctx context.Context, method, resource string, paths []string) (*http.Response, error) {
	for _, path := range paths {
		resp, err := ask(ctx, method, resource, path)
		if errors.Is(err, ErrNotRunning) {
			continue
		}
		return resp, err
	}
	return nil, fmt.Errorf("%w on %v", ErrNotRunning, paths)
}

func ask(ctx context.Context, method, resource, path string) (*http.Response, error) {
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://plantgate"+resource, nil)
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
		return nil, errors.Join(refusal(resp), resp.Body.Close())
	}
	return resp, nil
}

// refusal is what the gateway said instead of answering.
func refusal(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusForbidden:
		return ErrNotAllowed
	case http.StatusNotFound:
		return errors.New("the running gateway does not know this command: restart it, it is of another version")
	}
	const longest = 1 << 10
	text, _ := io.ReadAll(io.LimitReader(resp.Body, longest)) // the status alone has to do, then
	return errors.New(cmp.Or(strings.TrimSpace(string(text)), resp.Status))
}
