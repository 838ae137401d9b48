package buffer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/buffer"
)

// nth fails the nth call.
func nth(n int64, err error) func() error {
	var calls atomic.Int64
	return func() error {
		if calls.Add(1) == n {
			return err
		}
		return nil
	}
}

// A card fails at any step: nothing after it may be acknowledged, all that was
// acknowledged before must be there at the next start, and the process must end.
func TestFailedStepIsFinal(t *testing.T) {
	eio := syscall.EIO
	rollback := func(fail func() error) func(commit, undo func() error) error {
		return func(commit, undo func() error) error {
			if err := fail(); err != nil {
				return errors.Join(err, undo())
			}
			return commit()
		}
	}
	afterwards := func(fail func() error) func(commit, undo func() error) error {
		return func(commit, undo func() error) error { return errors.Join(commit(), fail()) }
	}
	named := func(fail func() error) func(string) error { return func(string) error { return fail() } }
	for name, faults := range map[string]func(n int64) buffer.Faults{
		"write of a block":      func(n int64) buffer.Faults { return buffer.Faults{Commit: rollback(nth(n, eio))} },
		"sync of a block":       func(n int64) buffer.Faults { return buffer.Faults{Commit: afterwards(nth(n, eio))} },
		"full disk in a sync":   func(n int64) buffer.Faults { return buffer.Faults{Commit: afterwards(nth(n, syscall.ENOSPC))} },
		"write of positions":    func(n int64) buffer.Faults { return buffer.Faults{WriteAt: named(nth(n+2, eio))} },
		"sync of positions":     func(n int64) buffer.Faults { return buffer.Faults{Sync: named(nth(n+4, eio))} },
		"reserving a file":      func(n int64) buffer.Faults { return buffer.Faults{Allocate: nth(n+1, eio)} },
		"rename of a segment":   func(n int64) buffer.Faults { return buffer.Faults{Rename: named(nth(n+2, eio))} },
		"sync of the directory": func(n int64) buffer.Faults { return buffer.Faults{SyncDir: nth(n+2, eio)} },
	} {
		for n := int64(1); n <= 3; n++ {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) { failAt(t, faults(n)) })
		}
	}
}

func failAt(t *testing.T, faults buffer.Faults) {
	dir := tempDir(t)
	o := small()
	o.Limit, o.CommitEvery = 64*segment, 10*time.Millisecond
	b, err := buffer.OpenFaulty(dir, o, faults)
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	acked := uint64(0)
	for n := uint64(1); n < 2000; n++ {
		last, err := b.Append(context.Background(), noise(n))
		if err == nil {
			err = b.Wait(context.Background(), last)
		}
		if err != nil {
			if !errors.Is(err, buffer.ErrBroken) {
				t.Errorf("got %v, want ErrBroken", err)
			}
			break
		}
		acked = last
		if err := errors.Join(b.Confirm(acked/2, nil), b.SetNote(record(n))); err != nil {
			t.Error(err)
		}
	}
	if err := end(); !errors.Is(err, buffer.ErrBroken) || !errors.Is(b.Stats().Err, buffer.ErrBroken) {
		t.Errorf("run: got %v, stats %v, want ErrBroken", err, b.Stats().Err)
	}
	if _, err := b.TryAppend(record(1)); !errors.Is(err, buffer.ErrBroken) {
		t.Errorf("append: got %v, want ErrBroken", err)
	}
	if n, _ := b.Durable(); n != acked {
		t.Errorf("durable %d, acknowledged %d", n, acked)
	}
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	var told notices
	o.Notify = told.add
	b, _ = start(t, dir, o)
	if n, _ := b.Durable(); n < acked {
		t.Errorf("durable %d after the restart, acknowledged %d", n, acked)
	}
	confirmed, _ := b.Confirmed()
	if _, gaps := readAll(t, b, noise, confirmed+1); gaps != nil {
		t.Errorf("gaps: %v", gaps)
	}
	if told.kinds() != buffer.UncleanStart {
		t.Errorf("told %q", told.kinds())
	}
}

// bbolt panics where a structure in memory is not what it expects. Nobody may
// hang on the lock that it leaves behind.
func TestPanicInACommitIsFinal(t *testing.T) {
	dir := tempDir(t)
	calls := 0
	commit := func(commit, _ func() error) error {
		if calls++; calls == 3 {
			panic("page 7: already freed")
		}
		return commit()
	}
	b, err := buffer.OpenFaulty(dir, small(), buffer.Faults{Commit: commit})
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	putEach(t, b, record, 1, 2)
	if _, err := b.TryAppend(record(3)); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context(), 3); !errors.Is(err, buffer.ErrBroken) {
		t.Errorf("wait: got %v", err)
	}
	if err := end(); !errors.Is(err, buffer.ErrBroken) {
		t.Errorf("run: got %v", err)
	}
	if w, err := b.Read(1, 10, 1000); err != nil || len(w.Records) != 2 {
		t.Errorf("read: %d records, %v", len(w.Records), err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	b, _ = start(t, crash(t, dir), small())
	if n, gaps := readAll(t, b, record, 1); n != 2 || gaps != nil {
		t.Errorf("got %d records, %v", n, gaps)
	}
}

// A fault that a drill asks for is one of the card.
func TestFaultPointBreaksTheBuffer(t *testing.T) {
	o := small()
	drill := errors.New("drill")
	o.BeforeSync = func() error { return drill }
	b, err := buffer.Open(tempDir(t), o)
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	if _, err := b.TryAppend(record(1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context(), 1); !errors.Is(err, buffer.ErrBroken) || !errors.Is(err, drill) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(end(), b.Close()); !errors.Is(err, drill) {
		t.Errorf("got %v", err)
	}
}

// A full card is not a broken one: what is queued keeps its numbers and waits,
// nothing is acknowledged, and all goes on when there is room.
func TestFullDiskStopsNewRecordsOnly(t *testing.T) {
	for name, make := range map[string]func(full *atomic.Bool) buffer.Faults{
		"when a file is prepared": func(full *atomic.Bool) buffer.Faults {
			return buffer.Faults{Allocate: func() error { return noSpace(full, "fallocate") }}
		},
		"when a block is written": func(full *atomic.Bool) buffer.Faults {
			return buffer.Faults{Commit: func(commit, undo func() error) error {
				if err := noSpace(full, "write"); err != nil {
					return errors.Join(err, undo())
				}
				return commit()
			}}
		},
	} {
		t.Run(name, func(t *testing.T) { fillDisk(t, make) })
	}
}

func noSpace(full *atomic.Bool, op string) error {
	if !full.Load() {
		return nil
	}
	return &os.PathError{Op: op, Path: "segment", Err: syscall.ENOSPC}
}

func fillDisk(t *testing.T, faults func(*atomic.Bool) buffer.Faults) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		var told notices
		o := small()
		o.WhenFull, o.Notify = buffer.Refuse, told.add
		b, stop := startFaulty(t, dir, o, faults(&full))
		defer stop()
		putEach(t, b, noise, 1, 3)
		full.Store(true)
		n := uint64(3)
		for {
			last, err := b.TryAppend(noise(n + 1))
			if errors.Is(err, buffer.ErrFull) {
				break
			}
			if err != nil || last != n+1 {
				t.Fatalf("append %d: got %d, %v", n+1, last, err)
			}
			n++
			time.Sleep(5 * time.Second)
		}
		durable, changed := b.Durable()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := b.Wait(ctx, n); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: got %v while there is no room", err)
		}
		if s := b.Stats(); !s.Full || !errors.Is(s.Err, buffer.ErrFull) || durable != s.Durable || durable == n {
			t.Errorf("stats: %+v", s)
		}
		readAll(t, b, noise, 1)
		full.Store(false)
		<-changed
		if err := b.Wait(t.Context(), n); err != nil {
			t.Error(err)
		}
		putEach(t, b, noise, n+1, n+3)
		readAll(t, b, noise, 1)
		time.Sleep(2 * time.Minute)
		if got := told.kinds(); got != "stream_started full free" {
			t.Errorf("told %q", got)
		}
	})
}

// A buffer must open on a full card, or it could never be drained.
func TestFullDiskCanBeRead(t *testing.T) {
	dir := tempDir(t)
	b, stop := start(t, dir, small())
	putEach(t, b, noise, 1, 40)
	stop()
	var full atomic.Bool
	full.Store(true)
	o := small()
	o.WhenFull = buffer.Refuse
	b, _ = startFaulty(t, dir, o, buffer.Faults{Allocate: func() error { return noSpace(&full, "fallocate") }})
	if n, gaps := readAll(t, b, noise, 1); n != 40 || gaps != nil {
		t.Errorf("got %d records, %v", n, gaps)
	}
}

// What cannot be opened says what the user can do.
func TestUnusableDirectoryIsExplained(t *testing.T) {
	for want, err := range map[string]error{
		"read-only": syscall.EROFS, "no space left": syscall.ENOSPC, "another user": syscall.EACCES,
	} {
		_, got := buffer.OpenFaulty(tempDir(t), small(), buffer.Faults{WriteAt: func(string) error { return err }})
		if got == nil || !strings.Contains(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("%v: got %v", err, got)
		}
	}
	file := filepath.Join(tempDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := buffer.Open(file, small()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a directory: got %v", err)
	}
}
