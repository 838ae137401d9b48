package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/buffer"
)

// A card that dies at every start would restart the service for ever, and the
// sockets would never have a broker.
func TestThirdFailureInTenMinutesRunsWithoutTheStore(t *testing.T) {
	f := newFailures(t.TempDir())
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	f.record(now.Add(-time.Hour)) // long ago
	f.record(now)
	f.record(now.Add(time.Minute))
	if f.tooMany(now.Add(2 * time.Minute)) {
		t.Error("two failures are too many")
	}
	f.record(now.Add(2 * time.Minute))
	if !f.tooMany(now.Add(3 * time.Minute)) {
		t.Error("three failures in ten minutes are not too many")
	}
	if f.tooMany(now.Add(20 * time.Minute)) {
		t.Error("still too many after ten quiet minutes")
	}
}

func TestDamagedFailureFileCountsNothing(t *testing.T) {
	f := newFailures(t.TempDir())
	if f.tooMany(time.Now()) || len(f.recent(time.Now())) != 0 {
		t.Error("a missing file counts")
	}
}

// The broker must come up although the card does not, and the store must come
// by itself when the card is mended.
func TestStoreIsTriedAgainEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tries, ready := 0, 0
		s := &store{
			open:     func() (*buffer.Buffer, error) { tries++; return nil, errors.New("read-only file system") },
			failures: newFailures(t.TempDir()),
			log:      slog.New(slog.DiscardHandler),
		}
		done := make(chan error)
		go func() {
			_, err := s.openAtLast(ctx, func() { ready++ })
			done <- err
		}()
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if tries != 11 || ready != 1 {
			t.Errorf("after ten minutes: got %d tries, %d times ready, want 11 and 1", tries, ready)
		}
		if p := s.now(); p.err == nil || p.since.IsZero() {
			t.Errorf("status says %+v", p)
		}
		if err := s.wait(ctx, 1); !errors.Is(err, errNoStore) {
			t.Errorf("wait: got %v", err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("at the end: got %v", err)
		}
	})
}

// Two gateways on one folder are a mistake of the operator, not of the card.
func TestLockedStoreEndsTheProgram(t *testing.T) {
	s := &store{
		open:     func() (*buffer.Buffer, error) { return nil, buffer.ErrLocked },
		failures: newFailures(t.TempDir()),
		log:      slog.New(slog.DiscardHandler),
	}
	if _, err := s.openAtLast(t.Context(), func() {}); !errors.Is(err, buffer.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}
