package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/journal"
)

// A store is the buffer on the card and what lives and dies with it: its
// committer and the forwarder. While the card is unusable the gateway runs
// without: the broker serves, readings that want an acknowledgement are turned
// away, and the store is tried again every minute.
type store struct {
	open     func() (*buffer.Buffer, error)
	forward  func(*buffer.Buffer) *forward.Forwarder
	attach   func(*buffer.Buffer)
	failures failures
	log      *slog.Logger

	mu    sync.Mutex
	parts storeParts
}

// storeParts is what of the store exists at the moment.
type storeParts struct {
	buffer    *buffer.Buffer
	forwarder *forward.Forwarder
	err       error // why there is no buffer
	since     time.Time
}

const storeRetry = time.Minute

var errNoStore = errors.New("the buffer on the card is not usable")

func (s *store) now() storeParts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts
}

func (s *store) set(p storeParts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = p
}

// wait returns nil once all through number survives a power cut.
func (s *store) wait(ctx context.Context, number uint64) error {
	b := s.now().buffer
	if b == nil {
		return errNoStore
	}
	return b.Wait(ctx, number)
}

// durable is the highest number that survives a power cut; 0 without a buffer.
func (s *store) durable() uint64 {
	b := s.now().buffer
	if b == nil {
		return 0
	}
	number, _ := b.Durable()
	return number
}

// run opens the store, for as long as that takes, and then keeps it going. An
// I/O error of the card is final for the process: what a failed sync left on
// the card can be known only after a fresh start.
func (s *store) run(ctx context.Context, ready func()) error {
	b, err := s.openAtLast(ctx, ready)
	if err != nil {
		return err
	}
	f := s.forward(b)
	s.attach(b)
	s.set(storeParts{buffer: b, forwarder: f, since: time.Now()})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.Run(ctx, ready) })
	g.Go(func() error { return f.Run(ctx, func() {}) })
	err = g.Wait()
	if errors.Is(err, buffer.ErrBroken) {
		s.failures.record(time.Now())
	}
	return errors.Join(err, b.Close())
}

// openAtLast tries until the store opens. The first failure is reported as
// ready: a broker without a store still serves what carries no reading.
func (s *store) openAtLast(ctx context.Context, ready func()) (*buffer.Buffer, error) {
	retry := time.NewTicker(storeRetry)
	defer retry.Stop()
	for reported := false; ; {
		b, err := s.tryOpen()
		if err == nil {
			if reported {
				s.log.Info("the buffer is usable again", journal.Event(journal.StoreBack))
			}
			return b, nil
		}
		if errors.Is(err, buffer.ErrLocked) {
			return nil, err // a second gateway on this folder, not a fault of the card
		}
		if !reported {
			s.log.Error("running without the buffer: readings with QoS 1 and 2 are turned away; trying again every minute", journal.Event(journal.StoreAbsent), "error", err)
			s.set(storeParts{err: err, since: time.Now()})
			reported = true
			ready()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-retry.C:
		}
	}
}

func (s *store) tryOpen() (*buffer.Buffer, error) {
	if s.failures.tooMany(time.Now()) {
		return nil, fmt.Errorf("the card failed %d times in %s", maxFailures, failureSpan)
	}
	return s.open()
}

// failures remembers over restarts how often the card broke the process, so
// that a dying card does not become an endless loop of restarts. The file lies
// in systemd's RuntimeDirectory where there is one: the card may be read-only.
type failures struct{ path string }

const (
	maxFailures = 3
	failureSpan = 10 * time.Minute
)

func newFailures(dir string) failures { return failures{filepath.Join(dir, "store-failures")} }

// record notes a failure. That it cannot be noted, on a card that fails, only
// means one more restart.
func (f failures) record(at time.Time) {
	times := append(f.recent(at), at)
	var text []byte
	for _, t := range times {
		text = append(t.AppendFormat(text, time.RFC3339), '\n')
	}
	_ = os.WriteFile(f.path, text, 0o600)
}

func (f failures) tooMany(now time.Time) bool { return len(f.recent(now)) >= maxFailures }

func (f failures) recent(now time.Time) []time.Time {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil
	}
	var recent []time.Time
	for _, line := range splitLines(text) {
		t, err := time.Parse(time.RFC3339, line)
		if err == nil && now.Sub(t).Abs() < failureSpan {
			recent = append(recent, t)
		}
	}
	return recent
}

// checkInChild checks a segment in a process of its own: bbolt can panic in a
// goroutine that nobody can recover, and a truncated file is a SIGBUS.
func checkInChild(path string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, self, "buffer", "check-file", path).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("check %s: took longer than %s: %w", path, checkTimeout, syscall.EAGAIN)
	case killed(err):
		return fmt.Errorf("check %s: the check was killed: %w", path, syscall.ENOMEM)
	}
	return fmt.Errorf("check %s: %w: %s", path, err, firstLine(out))
}

// killed reports whether somebody else ended the child: the kernel for want of
// memory, or a stop of the whole service. That says nothing of the file.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGTERM || status.Signal() == syscall.SIGINT)
}

// checkTimeout is generous: 32 MiB on the slowest card take seconds.
const checkTimeout = 2 * time.Minute
