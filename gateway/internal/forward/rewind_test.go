package forward_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/reading"
)

// A pageCache is a Kafka on disk whose last records can be lost, as in a power
// cut of the home server.
type pageCache struct {
	r         *rig
	dir, copy string
	opts      []kfake.Opt
}

func newPageCache(r *rig, opts ...kfake.Opt) *pageCache {
	p := &pageCache{r: r, dir: filepath.Join(r.dir, "kafka"), copy: filepath.Join(r.dir, "kafka.copy")}
	p.opts = append(opts, kfake.DataDir(p.dir))
	r.startKafka(p.opts...)
	return p
}

// flush is the moment to which a power cut goes back.
func (p *pageCache) flush() {
	p.r.restartKafka(func() { copyDir(p.r.t, p.dir, p.copy) }, p.opts...)
}

func (p *pageCache) powerCut() {
	p.r.restartKafka(func() { copyDir(p.r.t, p.copy, p.dir) }, p.opts...)
}

func (r *rig) rewindEvents() []reading.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []reading.Event
	for _, e := range r.events {
		if e.Type == reading.KafkaRewound {
			all = append(all, e)
		}
	}
	return all
}

func field(e reading.Event, name string) any {
	for _, f := range e.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// wantRefilled checks that every number is there, that those in the lost range
// and no others are marked, and that what is not marked is complete but for it.
func wantRefilled(t *testing.T, records []got, last, lostFrom, lostTo uint64) {
	t.Helper()
	seen := map[uint64]bool{}
	for _, g := range records {
		seen[g.Seq] = true
		if lost := lostFrom <= g.Seq && g.Seq <= lostTo; lost != g.Replayed {
			t.Errorf("number %d at offset %d has replayed %v, want %v", g.Seq, g.Offset, g.Replayed, lost)
		}
	}
	for n := uint64(1); n <= last; n++ {
		if !seen[n] {
			t.Errorf("number %d is missing", n)
		}
	}
}

// The home server loses power and with it the records that were only in its
// page cache, long after they were confirmed.
func TestRewoundKafkaIsRefilled(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				k := newPageCache(r)
				r.start()
				r.await(r.put("washer", 50))
				k.flush()
				r.await(r.put("washer", 30))
				if running {
					k.powerCut()
				} else {
					r.halt()
					k.powerCut()
					r.start()
				}
				last := r.put("washer", 20)
				r.await(last)
				r.until("the refill is done", refilled)
				wantRefilled(t, r.topic(readings), last, 51, 80)
				es := r.rewindEvents()
				if len(es) != 1 || field(es[0], "topic") != readings || field(es[0], "from") != uint64(51) || field(es[0], "to") != uint64(80) {
					t.Errorf("events are %v, want one with the range 51 to 80", es)
				}
				if err := es[0].Validate(); err != nil {
					t.Errorf("event is not valid: %v", err)
				}
				if n := r.log.count("kafka lost records that it had confirmed"); n != 1 {
					t.Errorf("%d lines say so, want 1", n)
				}
			})
		})
	}
}

// Nobody writes while the server is down: the loss is found all the same.
func TestRewoundKafkaIsRefilledWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := newPageCache(r)
		r.start()
		r.await(r.put("washer", 50))
		k.flush()
		last := r.put("washer", 30)
		r.await(last)
		k.powerCut()
		r.until("the loss is found", func(s forwardStats) bool { return s.Rewound == 1 })
		r.until("the refill is done", refilled)
		wantRefilled(t, r.topic(readings), last, 51, 80)
	})
}

// Power goes while a window is in flight: its first half was confirmed and is
// lost, the second half is taken by the broker that came back.
func TestRewoundInTheMiddleOfAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := newPageCache(r, kfake.DefaultNumPartitions(3))
		r.start()
		r.await(r.put("washer", 10))
		k.flush()
		var last uint64
		for i := range 40 {
			for d := range 10 {
				last = r.store(r.reading(fmt.Sprintf("device-%d", d), float64(i)))
			}
			r.sync(last)
			if i == 20 {
				k.powerCut()
			}
			time.Sleep(30 * time.Millisecond)
		}
		r.await(last)
		r.until("the refill is done", refilled)
		seen := map[uint64]bool{}
		for device, all := range byDevice(r.topic(readings)) {
			newest := uint64(0)
			for _, g := range all {
				seen[g.Seq] = true
				if g.Replayed {
					continue
				}
				if g.Seq < newest {
					t.Errorf("device %s: number %d comes behind %d and is not marked", device, g.Seq, newest)
				}
				newest = max(newest, g.Seq)
			}
		}
		for n := uint64(1); n <= last; n++ {
			if !seen[n] {
				t.Errorf("number %d is missing", n)
			}
		}
	})
}

// A window was confirmed and not yet looked after when the server lost it: the
// next client looks for it as well.
func TestRewoundBeforeItWasLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := newPageCache(r)
		r.start()
		r.await(r.put("washer", 10))
		k.flush()
		r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnknownServerError, Count: -1})
		last := r.put("washer", 10)
		r.until("all of it is sent and the look fails", func(s forwardStats) bool { return s.Rebuilt > 2 })
		if end := r.kafka.PartitionInfo(readings, 0).HighWatermark; end != 20 {
			t.Fatalf("%d records are there, want 20 before the power cut", end)
		}
		k.powerCut()
		r.await(last)
		r.until("the refill is done", refilled)
		wantRefilled(t, r.topic(readings), last, 11, 20)
	})
}

// Only one partition went back, among records of another gateway: what survived
// is found, the others are left alone.
func TestOneRewoundPartitionAmongOtherGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := newPageCache(r, kfake.DefaultNumPartitions(2))
		r.start()
		for i := range 20 {
			r.await(r.put(fmt.Sprintf("device-%d", i%6), 2))
			r.foreign(readings, 150)
		}
		k.flush()
		last := r.put("device-0", 10)
		r.await(last)
		k.powerCut()
		r.foreign(readings, 700)
		r.until("the loss is found", func(s forwardStats) bool { return s.Rewound == 1 })
		r.until("the refill is done", refilled)
		var own []got
		for _, g := range r.topic(readings) {
			if strings.HasPrefix(g.ID, "pi1-") {
				own = append(own, g)
			}
		}
		wantRefilled(t, own, last, 41, 50)
	})
}

// The topic is deleted and made again, with as many partitions or others: a new
// client finds it, and all that the card still has goes there.
func TestRecreatedTopicIsRefilled(t *testing.T) {
	for _, partitions := range [][2]int32{{1, 1}, {3, 3}, {1, 4}, {4, 1}} {
		for _, running := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.options.CreateTopics = false
				r.startKafka(kfake.SeedTopics(partitions[0], readings), kfake.SeedTopics(1, events, deadLetters))
				r.start()
				var last uint64
				for i := range 40 {
					last = r.store(r.reading(fmt.Sprintf("device-%d", i%9), 1))
				}
				r.sync(last)
				r.await(last)
				if !running {
					r.halt()
				}
				if err := r.kafka.DeleteTopic(readings); err != nil {
					t.Fatal(err)
				}
				if err := r.kafka.CreateTopic(readings, partitions[1], nil); err != nil {
					t.Fatal(err)
				}
				if !running {
					r.start()
				}
				last = r.put("washer", 10)
				r.await(last)
				r.until("the refill is done", refilled)
				wantRefilled(t, r.topic(readings), last, 1, 40)
			})
		}
	}
	proved(t, "kafka topic made again", "with as many partitions, more and fewer, while the gateway runs and while it does not: 8 times 40 readings refilled")
}

// Power goes again and again while what was lost is sent again.
func TestRewoundWhileRefilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 7
		k := newPageCache(r, kfake.DefaultNumPartitions(2))
		r.start()
		r.await(r.put("washer", 10))
		k.flush()
		var last uint64
		for i := range 300 {
			last = r.store(r.reading(fmt.Sprintf("device-%d", i%9), 1))
		}
		r.sync(last)
		r.await(last)
		for i := range 4 {
			requests := 0
			k.powerCut()
			r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1,
				When: func(kmsg.Request) bool { requests++; return requests > 10*i+15 }})
			last = r.put("washer", 1) // so that the loss is found
			time.Sleep(20 * time.Second)
			if s := r.forward.Stats(); s.State == forward.Idle {
				t.Fatalf("the refill is over before power goes again: %+v", s)
			}
		}
		k.powerCut()
		r.await(last)
		r.until("the refill is done", refilled)
		seen := map[uint64]bool{}
		for _, g := range r.topic(readings) {
			seen[g.Seq] = true
		}
		for n := uint64(1); n <= last; n++ {
			if !seen[n] {
				t.Errorf("number %d is missing", n)
			}
		}
	})
}

// Retention deletes what was confirmed. That is no loss.
func TestRetentionIsNoRewind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 40))
		if err := r.kafka.DeleteRecords(readings, 0, -1); err != nil {
			t.Fatal(err)
		}
		r.halt()
		r.start()
		last := r.put("washer", 10)
		r.await(last)
		wantSequence(t, r.topic(readings), between(41, 50)...)
		if s := r.forward.Stats(); s.Rewound != 0 || s.Replayed != 0 {
			t.Errorf("stats are %+v, want no rewind", s)
		}
	})
}

// The program ends, or the server again, in the middle of a refill: it goes on
// where it was.
func TestRefillGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 10
		k := newPageCache(r)
		r.start()
		r.await(r.put("washer", 10))
		k.flush()
		r.await(r.put("washer", 200))
		r.halt()
		k.powerCut()
		requests := 0
		full := r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1,
			When: func(kmsg.Request) bool { requests++; return requests > 8 }})
		r.start()
		r.until("a part is there again", func(s forwardStats) bool { return s.Replayed >= 30 })
		r.halt()
		full.Remove()
		r.start()
		last := r.put("washer", 5)
		r.await(last)
		r.until("the refill is done", refilled)
		all := r.topic(readings)
		wantRefilled(t, all, last, 11, 210)
		if n := len(all) - int(last); n > 30 {
			t.Errorf("%d records came twice, want no more than what was in flight", n)
		}
	})
}
