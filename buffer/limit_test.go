package buffer_test

import (
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

// The gateway is the home's broker: when Kafka is away for too long, the oldest
// readings give way, and downstream learns which.
func TestOldestGiveWayAndLeaveAGap(t *testing.T) {
	dir := tempDir(t)
	var told notices
	o := small()
	o.Notify = told.add
	b, stop := start(t, dir, o)
	putEach(t, b, noise, 1, 10)
	if err := b.Confirm(5, nil); err != nil {
		t.Fatal(err)
	}
	putEach(t, b, noise, 11, 400)
	s := b.Stats()
	if s.Bytes > o.Limit || s.Dropped == 0 || s.Full || told.last(buffer.Full).Policy != buffer.DropOldest {
		t.Errorf("stats %+v, told %q", s, told.kinds())
	}
	_, gaps := readAll(t, b, noise, 6)
	if len(gaps) != 1 || gaps[0].Since.IsZero() || gaps[0].Detail == "" || gaps[0].Stream != s.Stream {
		t.Fatalf("gaps: %+v", gaps)
	}
	if s.Dropped != gaps[0].Last-5 {
		t.Errorf("dropped %d, gap %+v", s.Dropped, gaps[0])
	}
	stop()
	b, _ = start(t, dir, o)
	_, again := readAll(t, b, noise, 6)
	last := gaps[0].Last
	wantGaps(t, gaps, buffer.Gap{First: 6, Last: last, Reason: buffer.Dropped})
	wantGaps(t, again, buffer.Gap{First: 6, Last: last, Reason: buffer.Dropped})
}

// What is being sent must not be reported as dropped as well.
func TestPinnedRecordsStay(t *testing.T) {
	dir := tempDir(t)
	b, _ := start(t, dir, small())
	putEach(t, b, noise, 1, 60)
	b.Pin(1)
	third := segments(t, dir)[2]
	putEach(t, b, noise, 61, 400)
	s := b.Stats()
	if s.Oldest != 1 || s.Dropped == 0 || s.Bytes > small().Limit {
		t.Errorf("stats: %+v", s)
	}
	n, gaps := readAll(t, b, noise, 1)
	if len(gaps) != 1 || fmt.Sprintf("%020d.seg", gaps[0].First) != filepath.Base(third) {
		t.Errorf("%d records, gaps %+v: want two whole segments in front of one gap", n, gaps)
	}
	b.Pin(0)
	putEach(t, b, noise, 401, 500)
	if s := b.Stats(); s.Oldest == 1 {
		t.Errorf("nothing in flight, and still: %+v", s)
	}
}

// The other policy keeps what is there and turns new records away until some are
// confirmed.
func TestRefusedUntilThereIsRoom(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		var told notices
		o := small()
		o.WhenFull, o.Notify = buffer.Refuse, told.add
		b, stop := start(t, dir, o)
		defer stop()
		n := uint64(0)
		for {
			last, err := b.TryAppend(noise(n + 1))
			if errors.Is(err, buffer.ErrFull) {
				break
			}
			if err != nil || last != n+1 {
				t.Fatalf("append %d: got %d, %v", n+1, last, err)
			}
			n++
			time.Sleep(6 * time.Second)
		}
		if _, gaps := readAll(t, b, noise, 1); gaps != nil || b.Stats().Bytes > o.Limit {
			t.Errorf("gaps %v, stats %+v", gaps, b.Stats())
		}
		durable, _ := b.Durable()
		if err := b.Confirm(durable/2, nil); err != nil {
			t.Fatal(err)
		}
		if err := b.Wait(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		putEach(t, b, noise, n+1, n+10)
		if err := b.Confirm(n+10, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		want := "stream_started filling filling filling full free"
		if got := told.kinds(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if f := told.last(buffer.Full); f.Policy != buffer.Refuse || f.Detail == "" || f.Limit != o.Limit {
			t.Errorf("full: %+v", f)
		}
	})
}

// A person must hear in time that it fills up, and how long it will last.
func TestFillingIsToldInTime(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		var told notices
		o := buffer.Options{SegmentSize: segment, Limit: 40 * segment, Reserve: -1, Notify: told.add}
		b, stop := start(t, dir, o)
		defer stop()
		percents := map[int]bool{}
		for n := uint64(1); told.last(buffer.Filling).Percent < 95; n++ {
			if _, err := b.TryAppend(noise(n)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			percents[told.last(buffer.Filling).Percent] = true
		}
		f := told.last(buffer.Filling)
		if got := told.kinds(); got != "stream_started filling filling filling" || !percents[50] || !percents[80] || f.Percent != 95 {
			t.Errorf("told %q, %v", got, percents)
		}
		// One record of 8 KiB a minute in 12 KiB of the card; 2 of 40 segments left.
		if d := f.DaysLeft; d < 0.015 || d > 0.06 {
			t.Errorf("%.4f days left", d)
		}
		// Around a mark nothing is said twice.
		if err := b.Confirm(30, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if got := told.kinds(); got != "stream_started filling filling filling" {
			t.Errorf("told %q", got)
		}
	})
}

// A rewound Kafka is refilled from what was confirmed: it stays for Keep, but
// only by a clock that is right, and only in half of the room.
func TestConfirmedRecordsStayForAReplay(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		var trusted atomic.Bool
		o := buffer.Options{SegmentSize: segment, Limit: 32 * segment, Reserve: -1, Keep: 24 * time.Hour}
		o.Now = func() (time.Time, bool) { return time.Now(), trusted.Load() }
		b, stop := start(t, dir, o)
		defer stop()
		confirm := func(n uint64) {
			if err := b.Confirm(n, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		}
		putEach(t, b, noise, 1, 80)
		confirm(80)
		time.Sleep(48 * time.Hour)
		if s := b.Stats(); s.Oldest != 1 {
			t.Errorf("unlinked by a clock that may be wrong: %+v", s)
		}
		trusted.Store(true)
		putEach(t, b, noise, 81, 110)
		confirm(110)
		time.Sleep(23 * time.Hour)
		if s := b.Stats(); s.Oldest != 1 {
			t.Errorf("unlinked after less than a day by a right clock: %+v", s)
		}
		readAll(t, b, noise, 1)
		time.Sleep(2 * time.Hour)
		if s := b.Stats(); s.Oldest < 81 {
			t.Errorf("still there after a day: %+v", s)
		}
		putEach(t, b, noise, 111, 500)
		confirm(500)
		if s := b.Stats(); s.Bytes > o.Limit/2+3*segment || s.Bytes < o.Limit/2 {
			t.Errorf("more than half for a replay: %+v", s)
		}
		if _, gaps := readAll(t, b, noise, b.Stats().Oldest); gaps != nil {
			t.Errorf("gaps: %v", gaps)
		}
	})
}

// A number is only unlinked when its confirmation is on the card, or a crash
// would make a gap of what was sent.
func TestConfirmedIsOnTheCardBeforeTheUnlink(t *testing.T) {
	dir := tempDir(t)
	o := buffer.Options{SegmentSize: segment, Limit: 32 * segment, Reserve: -1, Keep: -1}
	remove := func(path string) error {
		r, err := buffer.Inspect(crash(t, dir), func(string) error { return nil })
		if err != nil || r.Confirmed < r.Files[0].Last {
			t.Errorf("removing %s: confirmed %d, %v", path, r.Confirmed, err)
		}
		return nil
	}
	b, _ := startFaulty(t, dir, o, buffer.Faults{Remove: remove})
	putEach(t, b, noise, 1, 100)
	if err := b.Confirm(100, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "unlink", func() bool { return b.Stats().Segments == 1 })
}

// Others fill the disk: the buffer leaves them their reserve, but does not throw
// its records away for them.
func TestReserveIsLeftAlone(t *testing.T) {
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		free.Store(100 << 20)
		o := small()
		o.Reserve, o.Limit = 50<<20, 64*segment
		b, stop := startFaulty(t, dir, o, buffer.Faults{Free: free.Load})
		defer stop()
		putEach(t, b, noise, 1, 100)
		free.Store(10 << 20)
		putEach(t, b, noise, 101, 130)
		s := b.Stats()
		if s.Dropped == 0 || s.Dropped > 60 {
			t.Errorf("dropped %d: want one segment's worth for each new one", s.Dropped)
		}
		free.Store(segment / 2)
		time.Sleep(time.Minute)
		if _, gaps := readAll(t, b, noise, 1); len(gaps) != 1 {
			t.Errorf("gaps: %v", gaps)
		}
	})
}

// A quota, or a file system that cannot reserve space, shows in no figure of
// free space. The oldest readings give way all the same.
func TestOldestGiveWayToAQuota(t *testing.T) {
	for _, step := range []string{"prepare", "commit"} {
		t.Run(step, func(t *testing.T) {
			dir := tempDir(t)
			full := func(op string) error {
				if len(segments(t, dir)) < 5 {
					return nil
				}
				return &os.PathError{Op: op, Path: dir, Err: syscall.ENOSPC}
			}
			faults := buffer.Faults{Allocate: func() error { return full("fallocate") }}
			if step == "commit" {
				faults = buffer.Faults{Commit: func(commit, undo func() error) error {
					if err := full("write"); err != nil {
						return errors.Join(err, undo())
					}
					return commit()
				}}
			}
			b, _ := startFaulty(t, dir, buffer.Options{SegmentSize: segment, Limit: 64 * segment, Reserve: -1}, faults)
			for n := uint64(1); n <= 200; n++ {
				last, err := b.Append(t.Context(), noise(n))
				for errors.Is(err, buffer.ErrFull) { // until the oldest are gone
					time.Sleep(time.Millisecond)
					last, err = b.Append(t.Context(), noise(n))
				}
				if err != nil || last != n {
					t.Fatalf("append %d: got %d, %v", n, last, err)
				}
				if err := b.Wait(t.Context(), n); err != nil {
					t.Fatal(err)
				}
			}
			if _, gaps := readAll(t, b, noise, 1); len(gaps) != 1 || gaps[0].Reason != buffer.Dropped {
				t.Errorf("gaps: %+v", gaps)
			}
		})
	}
}

// The power goes between the record of a drop and the unlink: the records are
// there again, but downstream was told that they are not.
func TestRecordedDropIsDone(t *testing.T) {
	dir := tempDir(t)
	b, err := buffer.OpenFaulty(dir, small(), buffer.Faults{Remove: func(path string) error {
		if strings.HasSuffix(path, ".seg") {
			return syscall.EIO
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	end := run(t, b)
	n := uint64(1)
	for ; n < 500; n++ {
		if _, err := b.Append(t.Context(), noise(n)); err != nil {
			break
		}
		if err := b.Wait(t.Context(), n); err != nil {
			break
		}
	}
	if err := end(); !errors.Is(err, buffer.ErrBroken) {
		t.Fatalf("run: got %v after %d records", err, n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	before := len(segments(t, dir))
	b, _ = start(t, dir, buffer.Options{SegmentSize: segment, Limit: 64 * segment, Reserve: -1})
	_, gaps := readAll(t, b, noise, 1)
	if len(gaps) != 1 || gaps[0].First != 1 || gaps[0].Reason != buffer.Dropped || len(segments(t, dir)) != before-1 {
		t.Errorf("gaps %+v, %d files of %d", gaps, len(segments(t, dir)), before)
	}
}
