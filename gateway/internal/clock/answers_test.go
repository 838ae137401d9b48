package clock_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
)

// What is exported from the card of a stopped gateway carries the times that
// Kafka got.
func TestAnswersOutliveTheClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock.json")
	up, synced := time.Minute, false
	o := clock.Options{
		Path: path, Hold: time.Hour, BootID: "first",
		Wall:         func() time.Time { return time.UnixMilli(1_000_000) },
		Boottime:     func() time.Duration { return up },
		Synchronised: func() bool { return synced },
		NetworkUp:    func() bool { return true },
	}
	c, err := clock.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	early := c.Now()
	synced, up = true, 2*time.Minute
	o.Wall = func() time.Time { return time.UnixMilli(1_795_507_951_123) }
	if c, err = clock.Open(o); err != nil { // the first look finds it set
		t.Fatal(err)
	}
	late := c.Now()
	a, err := clock.ReadAnswers(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []clock.Instant{early, late, {Wall: 5, Boot: 99}} {
		want, quality, ok := c.Resolve(i)
		got, q, settled := a.Resolve(i)
		if !got.Equal(want) || q != quality || settled != ok {
			t.Errorf("%+v: got %v %v %v, the clock said %v %v %v", i, got, q, settled, want, quality, ok)
		}
	}
	if got, _, _ := a.Resolve(early); got.Year() != 2026 {
		t.Errorf("taken before the clock was set: %v", got)
	}
}

func TestUnreadableAnswersAreAnErrorAndMissingOnesAreNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock.json")
	if _, err := clock.ReadAnswers(path); err != nil {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := clock.ReadAnswers(path); err == nil {
		t.Error("damaged: no error")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the damaged file was moved: %v", err)
	}
}
