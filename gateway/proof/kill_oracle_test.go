//go:build linux

package proof_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A mark is what a kill left on the card.
type mark struct {
	at        time.Time
	confirmed uint64 // through this number, by the last written positions
	last      uint64 // number of the last record
}

// mark looks at the card after the kill at a time, while no gateway runs. A kill
// damages nothing: what the kernel was given it writes.
func (s *station) mark(at time.Time) mark {
	s.t.Helper()
	m := mark{at: at}
	if _, err := os.Stat(filepath.Join(s.data, "buffer", "positions")); errors.Is(err, os.ErrNotExist) {
		return m // it was killed before it made any
	}
	out, log, code := s.command("buffer", "status")
	if code != 0 {
		s.t.Errorf("after a kill, buffer status has exit code %d:\n%s%s", code, out, log)
	}
	if found := regexp.MustCompile(`confirmed through (\d+)`).FindStringSubmatch(out); found != nil {
		m.confirmed, _ = strconv.ParseUint(found[1], 10, 64)
	}
	for _, found := range regexp.MustCompile(`records \d+\.\.(\d+) in`).FindAllStringSubmatch(out, -1) {
		last, _ := strconv.ParseUint(found[1], 10, 64)
		m.last = max(m.last, last)
	}
	return m
}

// An outcome is what a test with kills has seen.
type outcome struct {
	kills, readings, told, again int
	repeats
}

// String is for the table of proofs.
func (o outcome) String() string {
	return fmt.Sprintf("%d kills, %d messages acknowledged, 0 lost, 0 out of order; %d readings in Kafka, %d sent by a device once more (marked dup), %d came twice with their id, at most %d after one kill, the oldest of them %.1f s old when it came",
		o.kills, o.told, o.readings, o.again, o.records, o.most, o.oldest.Seconds())
}

func (o *outcome) add(other outcome) {
	o.kills += other.kills
	o.readings += other.readings
	o.told += other.told
	o.again += other.again
	o.records += other.records
	o.most, o.oldest = max(o.most, other.most), max(o.oldest, other.oldest)
}

// judgeKills lets the home come to rest and holds all that is in Kafka against what
// the devices were told and what the kills left.
func judgeKills(t *testing.T, s *station, home *homeful, brokers string, marks []mark) outcome {
	t.Helper()
	p := s.start()
	home.finish()
	s.awaitForwarded(2 * time.Minute)

	arrivals := readBack(t, brokers, readingsTopic, eventsTopic)
	l := book(t, arrivals)
	home.hold(l, len(marks))
	o := outcome{kills: len(marks), readings: l.total, repeats: holdRepeats(t, arrivals, marks)}
	for _, d := range home.devices {
		o.told += len(d.told)
		o.again += l.again[d.name]
	}
	if len(ofEvent(arrivals, "unclean_start")) == 0 {
		t.Error("no event says that the gateway was not stopped in order")
	}
	s.verify()
	p.stop()
	return o
}

// Repeats are records that came again with the id they had.
type repeats struct {
	records int
	most    int           // after one kill
	oldest  time.Duration // from a reading's arrival at the gateway to the kill after which it came again
}

// longestRepeat bounds repeats.oldest: positions are written within a second of
// Kafka's answer. The rest is what a gateway with the race detector may lag
// behind its devices beside other tests, on a disk that they sync all the time.
// The longer the kills took, the slower the machine, and the more it may lag: up
// to half of that time. Positions that are never written show as all of it.
func longestRepeat(marks []mark) time.Duration {
	span := time.Duration(0)
	if n := len(marks); n > 0 {
		span = marks[n-1].at.Sub(marks[0].at)
	}
	return max(20*time.Second, span/2)
}

// holdRepeats holds what came twice against what the kills left on the card: a
// number may come once more for each kill that found it there and not covered by
// written positions. A kill is no reason for a new stream, nor for a replay.
func holdRepeats(t complainer, arrivals []arrival, marks []mark) (r repeats) {
	t.Helper()
	times := map[uint64]int{}
	taken := map[uint64]time.Time{}
	streams := map[string]bool{}
	for _, a := range arrivals {
		if a.value.Get("replayed").Bool() {
			t.Errorf("after a kill alone, %s is marked replayed", a.id())
		}
		times[a.seq()]++
		taken[a.seq()] = time.UnixMilli(a.value.Get("ts_ms").Int())
		streams[strings.TrimSuffix(a.id(), fmt.Sprint("-", a.seq()))] = true
	}
	if len(streams) > 1 {
		t.Errorf("kills began new streams: %v", streams)
	}
	after := make([]int, len(marks))
	for seq, n := range times {
		if n == 1 {
			continue
		}
		allowed := 0
		for i, m := range marks {
			if m.confirmed < seq && seq <= m.last {
				if allowed++; allowed < n {
					after[i]++
					r.oldest = max(r.oldest, m.at.Sub(taken[seq]))
				}
			}
		}
		if n-1 > allowed {
			t.Errorf("number %d came %d times, the written positions explain %d", seq, n, 1+allowed)
		}
		r.records += n - 1
	}
	for _, n := range after {
		r.most = max(r.most, n)
	}
	if r.oldest > longestRepeat(marks) {
		t.Errorf("a reading came again that was %s old: positions are written too late", r.oldest)
	}
	return r
}
