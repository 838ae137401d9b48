package forward_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/verify"
)

// Kafka stays away until the card is full, and the oldest readings give way.
// What is lost is said, number by number.
func TestDroppedReadingsAreExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.bufferOptions = buffer.Options{Limit: 6 * (256 << 10), SegmentSize: 256 << 10, Reserve: -1}
		r.start()
		last := r.noise(3000)
		r.startKafka()
		r.await(last)
		gaps := r.topic(events)
		if len(gaps) == 0 || r.forward.Stats().Gaps == 0 {
			t.Fatal("no gap event although the buffer dropped readings")
		}
		missing := map[uint64]bool{}
		for n := uint64(1); n <= last; n++ {
			missing[n] = true
		}
		for _, g := range r.topic(readings) {
			delete(missing, g.Seq)
		}
		for _, g := range gaps {
			from, to := uint64(g.Fields["from"].(float64)), uint64(g.Fields["to"].(float64))
			if g.Fields["event"] != "gap" || g.Fields["reason"] != "dropped" || g.Fields["seq"] != nil || string(g.Key) != "" {
				t.Errorf("gap event is %s", g.Value)
			}
			if want := fmt.Sprintf("-gap-%d-%d", from, to); !strings.HasSuffix(g.ID, want) {
				t.Errorf("gap event has id %s, want ...%s", g.ID, want)
			}
			for n := from; n <= to; n++ {
				if !missing[n] {
					t.Fatalf("number %d is there, and a gap event says that it is not", n)
				}
				delete(missing, n)
			}
		}
		if len(missing) > 0 {
			t.Errorf("%d numbers are missing without an explanation", len(missing))
		}
		if report := r.verify(); !report.OK() {
			t.Errorf("verify says:\n%s", report)
		}
	})
}

// noise stores n readings that compression does not make small.
func (r *rig) noise(n int) (last uint64) {
	r.t.Helper()
	for i := range n {
		e := r.reading(fmt.Sprintf("device-%d", i%3), float64(i))
		noise := make([]byte, 400)
		if _, err := rand.Read(noise); err != nil {
			r.t.Fatal(err)
		}
		e.Body = append(e.Body[:len(e.Body)-1], `,"x_noise":"`+hex.EncodeToString(noise)+`"}`...)
		last = r.store(e)
		if i%300 == 299 {
			r.sync(last)
		}
	}
	r.sync(last)
	return last
}

// Kafka lost its disk long after the card gave up what was confirmed: the rest
// comes again, and an event says which numbers are gone for good.
func TestLossBeyondTheReplayWindowIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.bufferOptions = buffer.Options{Limit: 6 * (256 << 10), SegmentSize: 256 << 10, Reserve: -1, Keep: -1}
		r.startKafka()
		r.start()
		for range 10 {
			r.await(r.noise(300))
			time.Sleep(10 * time.Second)
		}
		if err := r.kafka.DeleteTopic(readings); err != nil {
			t.Fatal(err)
		}
		if err := r.kafka.CreateTopic(readings, 1, nil); err != nil {
			t.Fatal(err)
		}
		last := r.put("washer", 10)
		r.await(last)
		r.until("the refill is done", refilled)
		gaps := r.topic(events)
		if len(gaps) != 1 || gaps[0].Fields["reason"] != "expired" || gaps[0].Fields["from"] != 1.0 {
			t.Fatalf("events are %+v, want one gap from 1", gaps)
		}
		lost := uint64(gaps[0].Fields["to"].(float64))
		for i, g := range r.topic(readings) {
			if g.Seq <= lost {
				t.Errorf("record %d has number %d, which is said to be lost", i, g.Seq)
			}
		}
		report := r.verify()
		if !report.OK() || report.Streams[0].Replayed != 3000-lost {
			t.Errorf("verify says:\n%s\nwant %d replayed", report, 3000-lost)
		}
	})
}

func (r *rig) verify() verify.Report {
	r.t.Helper()
	report, err := verify.Run(r.t.Context(), r.options, r.t.Output())
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// The positions are unreadable: what is on the card comes again, marked.
func TestLostPositionsAreReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		last := r.put("washer", 20)
		r.await(last)
		r.halt()
		path := filepath.Join(r.dir, "buffer", "positions")
		if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
		last = r.put("washer", 5)
		r.await(last)
		all := r.topic(readings)
		if len(all) != 45 {
			t.Errorf("%d records are there, want 20, 20 again and 5", len(all))
		}
		for i, g := range all {
			if want := i >= 20 && i < 40; g.Replayed != want {
				t.Errorf("record %d, number %d, has replayed %v, want %v", i, g.Seq, g.Replayed, want)
			}
		}
	})
}

// A cluster with many hundred partitions must not make the blob outgrow its
// place.
func TestPositionsStayBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.CreateTopics = false
		r.startKafka(kfake.SeedTopics(900, readings), kfake.SeedTopics(1, events, deadLetters))
		r.start()
		var last uint64
		for i := range 4000 {
			last = r.store(r.reading(fmt.Sprintf("device-%d", i), 1))
		}
		r.sync(last)
		r.await(last)
		_, blob := r.buffer.Confirmed()
		if len(blob) == 0 || len(blob) > buffer.MaxBlob {
			t.Errorf("blob has %d bytes, want some and at most %d", len(blob), buffer.MaxBlob)
		}
		r.halt()
		r.start()
		last = r.put("washer", 1)
		r.await(last)
		if s := r.forward.Stats(); s.Rewound != 0 {
			t.Errorf("%d partitions were taken for rewound", s.Rewound)
		}
	})
}

// Windows are what bounds memory while Kafka is slow.
func TestWindowsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 25
		r.start()
		last := r.put("washer", 200)
		r.startKafka()
		r.until("something is in flight or done", func(s forward.Stats) bool {
			if s.InFlight > 25 {
				t.Errorf("%d records are in flight, want at most 25", s.InFlight)
			}
			return s.Confirmed == last
		})
		wantSequence(t, r.topic(readings), upTo(last)...)
	})
}
