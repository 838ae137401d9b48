package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

// Somebody sets the clock by hand, or a program does that believes a broken
// server: what is taken then keeps the time that was known before, also after a
// restart of the program, until NTP has set the clock again.
func TestStepThatNobodyVouchesForIsNotBelieved(t *testing.T) {
	for _, step := range []time.Duration{-10 * 365 * day, 2 * 365 * day, time.Hour, -time.Hour, 2 * time.Second} {
		t.Run(step.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, 0)
				b.synced.Store(true)
				b.start(t)
				defer func() { b.stop() }()
				time.Sleep(time.Hour)
				b.step(step)
				wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good) // at once
				time.Sleep(time.Hour)
				wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
				b.restart(t)
				wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
				b.set()
				time.Sleep(2 * time.Second)
				wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
			})
		})
	}
}

// A daemon steps a clock that was wrong when it was first taken for right, and
// the program is started again after the daemon is gone.
func TestStepByTheDaemonOutlastsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -time.Minute)
		b.synced.Store(true)
		b.start(t)
		defer func() { b.stop() }()
		time.Sleep(time.Minute)
		b.set()
		time.Sleep(2 * time.Second)
		b.synced.Store(false)
		b.restart(t)
		wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
	})
}

// Without a daemon a clock that was synchronised once is slewed, or drifts, and
// goes its own way by seconds: that is not a step.
func TestSlewedClockIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, 0)
		b.synced.Store(true)
		b.start(t)
		defer func() { b.stop() }()
		b.synced.Store(false)
		for range 600 {
			b.wrong.Add(int64(80 * time.Millisecond)) // chrony's fastest
			time.Sleep(time.Second)
			wantLeaves(t, b.Clock, b.Now(), time.Now().Add(time.Duration(b.wrong.Load())), reading.Good)
		}
		b.restart(t)
		wantLeaves(t, b.Clock, b.Now(), time.Now().Add(48*time.Second), reading.Good)
	})
}

// The owner's word is worth more than that of the kernel: who has a clock with a
// battery and sets it by hand is believed at once.
func TestTrustedClockMayBeStepped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, 0)
		b.trust = true
		b.start(t)
		defer func() { b.stop() }()
		for _, step := range []time.Duration{time.Hour, -day} {
			b.step(step)
			wantLeaves(t, b.Clock, b.Now(), time.Now().Add(step), reading.Good)
			time.Sleep(time.Minute)
			wantLeaves(t, b.Clock, b.Now(), time.Now().Add(step), reading.Good)
		}
	})
}

// What NTP says counts, not what it said once: timesyncd's flag stays for the
// whole boot.
func TestOnlyPresentDisciplineVouchesForAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := t.TempDir() + "/clock.json"
		start, wrong := time.Now(), time.Duration(0)
		c, err := clock.Open(clock.Options{
			Path: path, BootID: "boot",
			Wall:         func() time.Time { return time.Now().Add(wrong) },
			Boottime:     func() time.Duration { return time.Since(start) },
			Synchronised: func() bool { return true }, // the flag
			Disciplined:  func() bool { return false },
			NetworkUp:    func() bool { return true },
		})
		if err != nil {
			t.Fatal(err)
		}
		wrong = time.Hour
		wantLeaves(t, c, c.Now(), time.Now(), reading.Good)
	})
}
