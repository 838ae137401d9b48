package ingest_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"pgregory.net/rapid"
)

// A handClock is set by the test.
type handClock struct {
	mu      sync.Mutex
	at      clock.Instant
	trusted bool
}

func (h *handClock) now() clock.Instant {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *handClock) move(boottime, wall int64) clock.Instant {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at.Boottime += boottime
	h.at.Wall += wall
	return h.at
}

func (h *handClock) trust() (time.Time, bool) { return time.UnixMilli(h.now().Wall), h.trusted }

// Gateway, device, channel and time are the key downstream, so two readings of
// a channel never share a millisecond within a second; and a time is never moved
// further than that needs, whatever the wall clock does.
func TestStampsOfAChannelStayApart(t *testing.T) {
	h := &handClock{at: clock.Instant{Wall: 1_795_507_951_123, Boottime: 60_000, Boot: 7, Synced: true}}
	r := newRig(t, ingest.Options{Now: h.now})
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		var arrived []clock.Instant
		steps := rapid.IntRange(1, 30).Draw(t, "messages")
		for range steps {
			passed := rapid.SampledFrom([]int64{0, 0, 0, 1, 2, 500, 999, 1000, 1001, 70_000}).Draw(t, "passed")
			step := rapid.SampledFrom([]int64{0, 0, 0, -1, -300, -5000, 3_600_000}).Draw(t, "step of the wall clock")
			arrived = append(arrived, h.move(passed, passed+step))
			m := ingest.Message{Topic: fmt.Sprintf("other/d%d", round), Payload: []byte("1"), QoS: 1}
			if _, err := r.Accept(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		got := readings(r.stored())
		if len(got) != steps {
			t.Fatalf("got %d readings, want %d", len(got), steps)
		}
		for n, s := range got {
			raised := s.Taken.Wall - arrived[n].Wall
			if raised < 0 || raised > 1000 || s.Taken.Boottime-arrived[n].Boottime != raised {
				t.Fatalf("%+v became %+v: both clocks move together, forwards, by a second at most", arrived[n], s.Taken)
			}
			if s.Taken.Boot != 7 || !s.Taken.Synced {
				t.Fatalf("%+v became %+v", arrived[n], s.Taken)
			}
			if n == 0 {
				continue
			}
			last := got[n-1].Taken
			nearWall := within(last.Wall-arrived[n].Wall, 1000)
			nearBoot := within(last.Boottime-arrived[n].Boottime, 1000)
			switch {
			case nearWall && s.Taken.Wall <= last.Wall, nearBoot && s.Taken.Boottime <= last.Boottime:
				t.Fatalf("%+v is not behind %+v", s.Taken, last)
			case !nearWall && !nearBoot && raised != 0:
				t.Fatalf("%+v became %+v without need", arrived[n], s.Taken)
			}
		}
	})
}

func within(behind, limit int64) bool { return behind >= 0 && behind < limit }

// Channels are stamped apart: the second socket of a strip is not later than
// the first.
func TestChannelsShareAnInstant(t *testing.T) {
	h := &handClock{at: clock.Instant{Wall: 1_795_507_951_123, Boottime: 60_000, Synced: true}}
	r := newRig(t, ingest.Options{Now: h.now})
	r.publish(1, "tele/strip/SENSOR", strip)
	for _, s := range readings(r.stored()) {
		if s.Taken != h.at {
			t.Errorf("channel %v: got %+v, want %+v", s.Fields["channel"], s.Taken, h.at)
		}
	}
}

// A device that knows the time is believed while that can be checked and is
// plausible; one whose clock was never set must not send readings into 1970.
func TestADevicesOwnTimeIsUsedWithinReason(t *testing.T) {
	const wall = 1_795_507_951_123
	for _, c := range []struct {
		name            string
		stated          int64 // ms
		synced, trusted bool
		want            int64
	}{
		{"a little ago", wall - 2_123, true, true, wall - 2_123},
		{"a little ahead", wall + 2_877, true, true, wall + 2_877},
		{"nearly five minutes ago", wall - 299_123, true, true, wall - 299_123},
		{"too long ago", wall - 301_123, true, true, wall},
		{"too far ahead", wall + 300_877, true, true, wall},
		{"unsynchronised here", wall - 2_123, false, false, wall},
		{"unsynchronised when it came", wall - 2_123, false, true, wall},
		{"not trusted here", wall - 2_123, true, false, wall},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &handClock{at: clock.Instant{Wall: wall, Boottime: 60_000, Synced: c.synced}, trusted: c.trusted}
			r := newRig(t, ingest.Options{Now: h.now, Trusted: h.trust})
			r.publish(1, "tele/x/SENSOR", fmt.Sprintf(`{"Time":%d,"DHT11":{"Temperature":20}}`, c.stated))
			got := readings(r.stored())[0].Taken
			if got.Wall != c.want || got.Boottime != 60_000+c.want-wall {
				t.Errorf("got %+v, want wall %d and boottime moved with it", got, c.want)
			}
		})
	}
}

// A flood of names takes a bounded place among the stamps: a client may call its
// sensors what it likes.
func TestStampsAreBounded(t *testing.T) {
	h := &handClock{at: clock.Instant{Wall: 1_795_507_951_123, Boottime: 60_000, Synced: true}}
	r := newIngest(t, ingest.Options{Now: h.now})
	r.stop()
	before := heap()
	for n := range 100_000 {
		r.publish(0, fmt.Sprintf("other/device-with-a-rather-long-name-%d", n), "1")
		h.move(int64(n%2), int64(n%2))
	}
	if grown := heap() - before; grown > 10<<20 {
		t.Errorf("100,000 devices take %d KiB", grown>>10)
	}
	r.Stats() // keeps it alive until here
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools kept over the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
