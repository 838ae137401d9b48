package clock_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

// A Pi comes up with its wall clock anywhere; what it measured before NTP
// answered would lie years away from where it belongs in the database.
func TestTakenBeforeTheClockWasSetLeavesWithTheTrueTime(t *testing.T) {
	for name, starts := range map[string]func(now time.Time) time.Time{
		"in 1970":           func(time.Time) time.Time { return time.Unix(0, 0) },
		"a day behind":      func(now time.Time) time.Time { return now.Add(-day) },
		"three hours ahead": func(now time.Time) time.Time { return now.Add(3 * time.Hour) },
		"right by chance":   func(now time.Time) time.Time { return now },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wrong := time.Until(starts(time.Now()))
				b := newBoard(t, wrong)
				b.start(t)
				defer b.stop()
				b.network.Store(true)
				truth, early := time.Now(), b.Now()
				changed := b.Changed()
				time.Sleep(90 * time.Second)
				wantHeld(t, b.Clock, early)
				if isClosed(changed) || !b.State().Holding {
					t.Errorf("changed %v while held, state %+v", isClosed(changed), b.State())
				}

				b.set()
				time.Sleep(2 * time.Second)
				wantLeaves(t, b.Clock, early, truth, reading.Good)
				if !isClosed(changed) {
					t.Error("nobody is told that held readings may leave")
				}
				events := b.noted(t, reading.ClockCorrected)
				if len(events) != 1 || field(events[0], "offset_ms") != -wrong.Milliseconds() {
					t.Errorf("events %+v, want one with %d ms", events, -wrong.Milliseconds())
				}
			})
		})
	}
}

// Without NTP in reach (a closed network, a blocked port) readings must reach
// Kafka all the same, and say that their time is not to be trusted. What left
// is in a database under that time: a later correction would make a second row.
func TestAfterTheHoldReadingsLeaveUncertainForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		b.network.Store(true)
		early, stated := b.Now(), time.Now().Add(-day)
		changed := b.Changed()
		time.Sleep(clock.DefaultHold - 2*time.Second)
		wantHeld(t, b.Clock, early)
		time.Sleep(4 * time.Second)
		wantLeaves(t, b.Clock, early, stated, reading.Uncertain)
		if !isClosed(changed) {
			t.Error("nobody is told that held readings may leave")
		}
		if events := b.noted(t, reading.ClockUnknown); len(events) != 1 {
			t.Errorf("%d events tell of the unknown clock, want 1", len(events))
		}

		b.set()
		time.Sleep(2 * time.Second)
		wantLeaves(t, b.Clock, early, stated, reading.Uncertain)
		b.restart(t)
		wantLeaves(t, b.Clock, early, stated, reading.Uncertain)
		b.stop()
		b.power("second", 0)
		b.start(t)
		defer b.stop()
		wantLeaves(t, b.Clock, early, stated, reading.Uncertain)
	})
}

// A board without NTP for weeks: nothing waits any more once the hold has
// passed, and the card is not written for each reading.
func TestAfterTheHoldReadingsLeaveAsTheyComeWithFewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		saves := countSaves(b)
		b.start(t)
		defer b.stop()
		b.network.Store(true)
		time.Sleep(clock.DefaultHold + 2*time.Second)
		for range 24 * 60 {
			time.Sleep(time.Minute)
			wantLeaves(t, b.Clock, b.Now(), time.Now().Add(-day), reading.Uncertain)
		}
		if n := saves.Load(); n > 180 {
			t.Errorf("%d writes in a day, want about one each ten minutes", n)
		}
	})
}

// Once the hold has passed, a clock that is set after all still corrects what
// was taken beyond the mark, if the gateway stood still in between.
func TestSyncCorrectsOnlyBeyondTheMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		b.network.Store(true)
		time.Sleep(clock.DefaultHold + 2*time.Second)
		stated, below := time.Now().Add(-day), b.Now()
		b.stop() // so the mark stays where it is

		time.Sleep(time.Hour)
		truth := time.Now()
		beyond := clock.Instant{Wall: truth.Add(-day).UnixMilli(), Boottime: time.Since(b.booted).Milliseconds(), Boot: below.Boot}
		b.set()
		b.start(t)
		defer b.stop()
		wantLeaves(t, b.Clock, below, stated, reading.Uncertain)
		wantLeaves(t, b.Clock, beyond, truth, reading.Good)
	})
}

// The network may be up for a moment at boot, and then be away for hours: NTP
// had no chance yet, and Kafka is out of reach anyway.
func TestOnlyTimeWithANetworkCountsAsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		defer b.stop()
		early := b.Now()
		time.Sleep(6 * time.Hour)
		wantHeld(t, b.Clock, early)
		b.network.Store(true)
		time.Sleep(3 * time.Minute)
		b.network.Store(false)
		time.Sleep(3 * time.Hour)
		wantHeld(t, b.Clock, early)
		if s := b.State(); s.HoldLeft > 2*time.Minute+2*time.Second || s.HoldLeft < 2*time.Minute-2*time.Second {
			t.Errorf("%v of the hold are left, want two minutes", s.HoldLeft)
		}
		b.network.Store(true)
		time.Sleep(2*time.Minute + 2*time.Second)
		if _, _, ok := b.Resolve(early); !ok {
			t.Error("held for longer than five minutes with a network")
		}
	})
}

// The hold is not served again after a restart: what came through before would
// wait now, and readings would pile up at each restart.
func TestHoldIsPassedOncePerBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		b.network.Store(true)
		time.Sleep(clock.DefaultHold + 2*time.Second)
		b.restart(t)
		defer b.stop()
		for range 4 {
			wantLeaves(t, b.Clock, b.Now(), time.Now().Add(-day), reading.Uncertain)
			time.Sleep(time.Minute)
		}
		if events := b.noted(t, reading.ClockUnknown); len(events) != 1 {
			t.Errorf("%d events tell of the unknown clock, want 1", len(events))
		}
	})
}

func TestWithoutHoldReadingsLeaveAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.hold = 0
		b.start(t)
		defer b.stop()
		wantLeaves(t, b.Clock, b.Now(), time.Now().Add(-day), reading.Uncertain)
	})
}

// A daemon steps the clock: what was stated by a synchronised clock has left
// with that time.
func TestTakenWhileSynchronisedKeepsItsTimeOverSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, 0)
		b.synced.Store(true)
		b.start(t)
		defer b.stop()
		for _, step := range []time.Duration{0, time.Hour, -2 * day, 20 * 365 * day} {
			b.wrong.Store(int64(step))
			time.Sleep(2 * time.Second) // until the daemon's word is heard
			i := b.Now()
			want := time.Now().Add(step)
			time.Sleep(time.Minute)
			b.wrong.Store(int64(-step))
			time.Sleep(time.Minute)
			wantLeaves(t, b.Clock, i, want, reading.Good)
		}
		if events := b.noted(t, reading.ClockCorrected); len(events) != 0 {
			t.Errorf("events %+v, want none: nothing was taken before", events)
		}
	})
}

// An unsynchronised clock that is stepped forward and back (by hand, by a
// daemon that has not made up its mind) must not pull the correction along.
func TestStepsBeforeTheClockIsSetDoNotReachTheCorrection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		defer b.stop()
		type sample struct {
			truth time.Time
			i     clock.Instant
		}
		var taken []sample
		for _, step := range []time.Duration{-day, 30 * day, -400 * day, time.Hour} {
			b.wrong.Store(int64(step))
			time.Sleep(10 * time.Second)
			taken = append(taken, sample{time.Now(), b.Now()})
		}
		b.set()
		time.Sleep(2 * time.Second)
		for _, s := range taken {
			wantLeaves(t, b.Clock, s.i, s.truth, reading.Good)
		}
	})
}

// chrony without its servers: after hours the kernel counts the clock as
// unsynchronised again, although it is right to the second.
func TestOnceSynchronisedABootStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		b.set()
		time.Sleep(2 * time.Second)
		b.synced.Store(false)
		time.Sleep(day)
		wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
		b.restart(t)
		defer b.stop()
		if wall, trusted := b.Trusted(); !trusted || !wall.Equal(time.Now()) {
			t.Errorf("after a restart the clock says %v, trusted %v", wall, trusted)
		}
		wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
	})
}

// The power goes while readings of several boots still wait for Kafka.
func TestReadingsOfEarlierBootsResolveByWhatIsKnownOfTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		truth, corrected := time.Now(), b.Now()
		b.set()
		time.Sleep(2 * time.Second)
		b.stop()

		time.Sleep(time.Hour)
		b.power("second", -3*day)
		b.start(t)
		stated, never := time.Now().Add(-3*day), b.Now()
		wantHeld(t, b.Clock, never)
		b.stop()

		b.power("third", -7*day)
		b.start(t)
		defer b.stop()
		wantLeaves(t, b.Clock, corrected, truth, reading.Good)
		wantLeaves(t, b.Clock, never, stated, reading.Uncertain)
		wantHeld(t, b.Clock, b.Now())
		if corrected.Boot == never.Boot || never.Boot == b.Now().Boot {
			t.Error("two boots have one number")
		}
	})
}

// A board with an RTC, or a virtual machine, has no NTP daemon that would tell.
func TestTrustTakesTheSystemClockAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, 0)
		b.trust = true
		b.start(t)
		defer b.stop()
		wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
		if s := b.State(); !s.Synchronised || !s.Corrected || s.Holding {
			t.Errorf("state %+v, want synchronised", s)
		}
	})
}

// Readings after a power cut must not be dated before those that were taken
// ahead of it, and time has to go on from there.
func TestUnsynchronisedBootStartsNoEarlierThanTheNewestReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newest := time.Now()
		b := newBoard(t, -30*365*day)
		b.floor = newest
		b.start(t)
		defer b.stop()
		time.Sleep(time.Minute)
		if got := time.UnixMilli(b.Now().Wall); got.Before(newest.Add(time.Minute)) {
			t.Errorf("a minute after the start the clock states %v, newest reading %v", got, newest)
		}
		b.SetFloor(newest.Add(time.Hour).UnixMilli())
		if got := time.UnixMilli(b.Now().Wall); got.Before(newest.Add(time.Hour)) {
			t.Errorf("the clock states %v after a floor an hour later", got)
		}

		// A clock that is ahead of the floor counts as it is: stepped from
		// 1970 to the right time it must not run on from a shifted one.
		b.wrong.Store(int64(2 * day))
		if got, want := b.Now().Wall, time.Now().Add(2*day).UnixMilli(); got != want {
			t.Errorf("the clock states %d, want its own %d", got, want)
		}
		// And a synchronised one is right, whatever was believed before.
		b.set()
		time.Sleep(2 * time.Second)
		if got, want := b.Now().Wall, time.Now().UnixMilli(); got != want {
			t.Errorf("the set clock states %d, want %d", got, want)
		}
	})
}

// The defaults ask the real system; the state of this machine is not known
// here, so only what holds on any machine is.
func TestSystemClocks(t *testing.T) {
	open := func(dir string) *clock.Clock {
		c, err := clock.Open(clock.Options{Path: filepath.Join(dir, "clock.json")})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open(t.TempDir())
	before := c.Now()
	after := before
	for start := time.Now(); after.Boottime == before.Boottime && time.Since(start) < 10*time.Second; {
		after = c.Now()
	}
	if after.Boottime <= before.Boottime || after.Boot != before.Boot {
		t.Errorf("boottime went from %+v to %+v", before, after)
	}
	if off := time.Since(time.UnixMilli(after.Wall)); off.Abs() > time.Minute {
		t.Errorf("wall clock is off by %v", off)
	}
	if _, q, ok := c.Resolve(after); after.Synced && (!ok || q != reading.Good) {
		t.Errorf("synchronised, but resolves to %v, ok %v", q, ok)
	}
	if s := c.State(); s.Err != nil || s.Boot != after.Boot {
		t.Errorf("state %+v", s)
	}
}

func TestOpenNeedsAPath(t *testing.T) {
	if _, err := clock.Open(clock.Options{}); err == nil {
		t.Error("a clock without a state file was opened")
	}
}

// Every reading is stamped and, on its way out, resolved.
func BenchmarkNow(b *testing.B) {
	c, err := clock.Open(clock.Options{Path: filepath.Join(b.TempDir(), "clock.json")})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}

func BenchmarkResolve(b *testing.B) {
	c, err := clock.Open(clock.Options{Path: filepath.Join(b.TempDir(), "clock.json"), Trust: true})
	if err != nil {
		b.Fatal(err)
	}
	i := c.Now()
	i.Synced = false
	b.ReportAllocs()
	for b.Loop() {
		c.Resolve(i)
	}
}
