//go:build linux

package proof_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The demo, which reads emulated chips with the code that reads real ones, is
// killed together with its Kafka. Readings that a chip gave and nobody waits for
// may lack the last commit_every before a kill; what is older is there, in
// order, and nothing changes under its id.
func TestKilledDemoKeepsWhatItsProbesSaid(t *testing.T) {
	t.Parallel()
	kills := 3
	if torture() {
		kills = 30
	}
	random := rand.New(rand.NewPCG(seedOf(t), 2))
	dir := t.TempDir()
	var lives []life
	for range kills {
		d := startDemo(t, dir)
		l := life{from: time.Now()}
		select {
		case <-time.After(commitEvery + time.Duration(random.Int64N(int64(8*time.Second)))):
		case <-d.ended:
			t.Fatalf("the demo ended by itself: %v\n%s", d.err, tail(d.log.String()))
		}
		d.kill()
		l.to = time.Now()
		lives = append(lives, l)
	}
	d := startDemo(t, dir)
	l := life{from: time.Now()}
	eventually(t, time.Minute, "another reading of each probe", func() bool {
		arrivals := readBack(t, d.kafka, readingsTopic)
		return len(l.readings(arrivals, "basil")) > 0 && len(l.readings(arrivals, "monstera")) > 0
	})
	arrivals := readBack(t, d.kafka, readingsTopic, eventsTopic, deadLetterTopic)
	found := 0
	for _, probe := range []string{"basil", "monstera"} {
		found += holdProbe(t, arrivals, probe, lives)
	}
	if out, log, code := run(t, "", raceProgram(t), nil, "verify", "--brokers", d.kafka); code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", code, out, log)
	}
	d.stopQuickly()
	proved(t, "kill -9 of demo with emulated chips", "%d kills, %d chip readings in Kafka, in order, each id with one content, none missing but of the last %s before a kill", kills, found, commitEvery)
}

const (
	commitEvery = 5 * time.Second // by default
	probeEvery  = 5 * time.Second // in the demo
)

// A life is the time between a start and a kill.
type life struct{ from, to time.Time }

// readings of a device that it took, by their number.
func (l life) readings(arrivals []arrival, device string) (found []arrival) {
	for _, a := range arrivals {
		at := time.UnixMilli(a.value.Get("ts_ms").Int())
		if a.topic == readingsTopic && a.device() == device && at.After(l.from) && (l.to.IsZero() || at.Before(l.to)) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b arrival) int { return cmp.Compare(a.seq(), b.seq()) })
	return slices.CompactFunc(found, func(a, b arrival) bool { return a.id() == b.id() })
}

// holdProbe returns how many readings of a probe there are.
func holdProbe(t *testing.T, arrivals []arrival, probe string, lives []life) int {
	t.Helper()
	contents := map[string]string{}
	last := uint64(0)
	for _, a := range arrivals {
		if a.topic != readingsTopic || a.device() != probe {
			continue
		}
		first, again := contents[a.id()]
		switch {
		case again && first != a.value.Raw:
			t.Errorf("id %s came with two contents:\n%s\n%s", a.id(), first, a.value.Raw)
		case !again && a.seq() < last:
			t.Errorf("%s: number %d comes after %d", probe, a.seq(), last)
		case !again:
			contents[a.id()], last = a.value.Raw, a.seq()
		}
	}
	for i, l := range lives {
		kept := life{l.from, l.to.Add(-commitEvery - time.Second)} // a second for the commit itself
		took := kept.to.Sub(kept.from)
		if got, want := len(kept.readings(arrivals, probe)), int(took/probeEvery); got < want {
			t.Errorf("%s: %d readings of run %d, which lived %s: want at least %d", probe, got, i+1, l.to.Sub(l.from), want)
		}
	}
	if len(contents) == 0 {
		t.Errorf("no reading of %s", probe)
	}
	return len(contents)
}
