package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/reading"
)

// putMixed stores n readings of some devices in turn.
func (r *rig) putMixed(n, devices int) (last uint64) {
	r.t.Helper()
	for i := range n {
		last = r.store(r.reading(fmt.Sprintf("device-%d", i%devices), float64(i)))
	}
	r.sync(last)
	return last
}

func (r *rig) replayEvents() (states []string, ranges [][2]uint64) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Type != reading.Replayed {
			continue
		}
		if err := e.Validate(); err != nil {
			r.t.Errorf("event is not valid: %v", err)
		}
		states = append(states, field(e, "state").(string))
		ranges = append(ranges, [2]uint64{field(e, "from").(uint64), field(e, "to").(uint64)})
	}
	return states, ranges
}

// slowProduce makes Kafka take so long for each produce request.
func (r *rig) slowProduce(d time.Duration) {
	k := r.kafka
	k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		k.SleepControl(func() { time.Sleep(d) })
		return nil, nil, false
	})
}

// split parts first copies from those that are marked as replayed.
func split(records []got) (live, again []got) {
	for _, g := range records {
		if g.Replayed {
			again = append(again, g)
		} else {
			live = append(live, g)
		}
	}
	return live, again
}

// Somebody rebuilt the database behind Kafka and wants last week's readings once
// more, while new ones go on: those stay complete and in order, the old ones come
// with their ids, and events tell the range.
func TestReplaySendsARangeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 20
		r.options.Linger = time.Millisecond
		r.startKafka(kfake.DefaultNumPartitions(3))
		r.start()
		last := r.putMixed(500, 7)
		r.await(last)
		r.slowProduce(50 * time.Millisecond)
		reports := 0
		progress, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 101, To: 300}, func(p forward.ReplayProgress) {
			reports++
			last = r.putMixed(3, 7)
			if p.Through > 200 {
				return // it may have ended meanwhile
			}
			if _, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 1}, nil); !errors.Is(err, forward.ErrReplayBusy) {
				t.Errorf("a second replay gives %v, want %v", err, forward.ErrReplayBusy)
			}
		})
		if want := (forward.ReplayProgress{From: 101, To: 300, Through: 300, Sent: 200}); err != nil || progress != want {
			t.Errorf("replay gives %+v, %v, want %+v", progress, err, want)
		}
		r.await(last)
		live, again := split(r.topic(readings))
		wantComplete(t, last, live)
		wantAgain(t, live, again, between(101, 300)...)
		states, ranges := r.replayEvents()
		if fmt.Sprint(states, ranges) != "[begun done] [[101 300] [101 300]]" {
			t.Errorf("events are %v %v, want begun and done with the range", states, ranges)
		}
		if !newReadingsBetween(r.topic(readings), last) {
			t.Error("new readings waited for the end of the replay")
		}
		proved(t, "replay", "%d records sent again among %d new ones, %d reports", len(again), len(live), reports)
	})
}

// newReadingsBetween reports whether a reading of after the start of a replay came
// before its end.
func newReadingsBetween(records []got, last uint64) bool {
	began := map[int32]bool{}
	between := map[int32]bool{}
	for _, g := range records {
		switch {
		case g.Replayed && between[g.Partition]:
			return true
		case g.Replayed:
			began[g.Partition] = true
		case began[g.Partition] && g.Seq <= last:
			between[g.Partition] = true
		}
	}
	return false
}

// wantAgain checks that these numbers came again, once, with what they said
// before.
func wantAgain(t *testing.T, live, again []got, numbers ...uint64) {
	t.Helper()
	first := map[string]got{}
	for _, g := range live {
		first[g.ID] = g
	}
	seen := map[uint64]int{}
	for _, g := range again {
		seen[g.Seq]++
		plain := bytes.Replace(g.Value, []byte(`,"replayed":true`), nil, 1)
		if string(plain) != string(first[g.ID].Value) {
			t.Errorf("%s came again as %s, want %s", g.ID, g.Value, first[g.ID].Value)
		}
	}
	for _, n := range numbers {
		if seen[n] != 1 {
			t.Errorf("number %d came again %d times, want once", n, seen[n])
		}
	}
	if len(again) != len(numbers) {
		t.Errorf("%d records came again, want %d", len(again), len(numbers))
	}
}

// Only one device's readings are wanted, to the end of what is confirmed.
func TestReplayOfOneDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 20
		r.startKafka()
		r.start()
		r.await(r.putMixed(100, 5))
		progress, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 50, Device: "device-3"}, nil)
		if err != nil || progress.Sent != 10 || progress.To != 100 {
			t.Errorf("replay gives %+v, %v, want 10 records up to number 100", progress, err)
		}
		live, again := split(r.topic(readings))
		wantAgain(t, live, again, 54, 59, 64, 69, 74, 79, 84, 89, 94, 99)
	})
}

// What is not confirmed yet comes by itself, and is not sent by a replay; a range
// without any record is no error, one without numbers is.
func TestReplayKeepsToWhatIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 10))
		progress, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 8, To: 500}, nil)
		if err != nil || progress.Sent != 3 || progress.To != 10 {
			t.Errorf("replay gives %+v, %v, want 3 records up to number 10", progress, err)
		}
		if progress, err = r.forward.Replay(t.Context(), forward.ReplayRange{From: 11, To: 500}, nil); err != nil || progress.Sent != 0 {
			t.Errorf("replay behind the end gives %+v, %v, want none", progress, err)
		}
		if _, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 5, To: 4}, nil); err == nil {
			t.Error("a range from 5 to 4 is no error")
		}
		live, again := split(r.topic(readings))
		wantSequence(t, live, upTo(10)...)
		wantSequence(t, again, 8, 9, 10)
	})
}

// The command is interrupted, the gateway is stopped, Kafka is away: whoever waits
// is told, and the next replay is not kept out.
func TestReplayEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 10
		r.startKafka()
		r.start()
		r.await(r.put("washer", 200))

		ctx, cancel := context.WithCancel(t.Context())
		_, err := r.forward.Replay(ctx, forward.ReplayRange{From: 1}, func(forward.ReplayProgress) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled replay gives %v, want %v", err, context.Canceled)
		}
		time.Sleep(time.Minute)
		_, again := split(r.topic(readings))
		states, ranges := r.replayEvents()
		if n := len(again); n == 0 || n >= 200 || fmt.Sprint(states) != "[begun cancelled]" || ranges[1][1] != uint64(n) {
			t.Errorf("%d records came again, with events %v %v", n, states, ranges)
		}

		r.cutNetwork()
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if _, err := r.forward.Replay(ctx, forward.ReplayRange{From: 1}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a replay without Kafka gives %v, want %v", err, context.DeadlineExceeded)
		}
		ended := make(chan error)
		r.mendNetwork()
		time.Sleep(5 * time.Minute)
		go func() {
			_, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 1}, func(forward.ReplayProgress) { r.cutNetwork() })
			ended <- err
		}()
		time.Sleep(time.Minute)
		r.halt()
		if err := <-ended; !errors.Is(err, forward.ErrStopped) {
			t.Errorf("a replay in a stopped gateway gives %v, want %v", err, forward.ErrStopped)
		}
		if _, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 1}, nil); !errors.Is(err, forward.ErrStopped) {
			t.Errorf("a replay after the stop gives %v, want %v", err, forward.ErrStopped)
		}
	})
}

// Kafka refuses, and loses its page cache, while a replay is under way: the range
// is there in the end, and nothing of what is live is lost.
func TestReplayOutlivesTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 10
		k := newPageCache(r)
		r.start()
		r.await(r.put("washer", 100))
		k.flush()
		last := r.put("washer", 20)
		r.await(last)
		r.slowProduce(50 * time.Millisecond) // so that each window is reported before the next is through
		windows := 0
		progress, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 21, To: 90}, func(forward.ReplayProgress) {
			switch windows++; windows {
			case 1:
				r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 5})
			case 2:
				r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 2})
			case 3:
				k.powerCut()
			}
		})
		if err != nil || progress.Through != 90 {
			t.Errorf("replay gives %+v, %v, want all through 90", progress, err)
		}
		r.await(r.put("washer", 5))
		time.Sleep(time.Minute)
		have, again := map[uint64]bool{}, map[uint64]bool{}
		for _, g := range r.topic(readings) {
			have[g.Seq] = true
			again[g.Seq] = again[g.Seq] || g.Replayed
		}
		for n := uint64(21); n <= 90; n++ {
			if !again[n] {
				t.Errorf("number %d is not there again", n)
			}
		}
		for n := range last + 5 {
			if !have[n+1] {
				t.Errorf("number %d is missing", n+1)
			}
		}
	})
}

// Some of the range is no longer on the card. That is said, and the rest is sent.
func TestReplayTellsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.bufferOptions = buffer.Options{Limit: 6 * (256 << 10), SegmentSize: 256 << 10, Reserve: -1, Keep: -1}
		r.startKafka()
		r.start()
		var last uint64
		for range 10 {
			last = r.noise(300)
			r.await(last)
			time.Sleep(10 * time.Second)
		}
		oldest := r.buffer.Stats().Oldest
		progress, err := r.forward.Replay(t.Context(), forward.ReplayRange{From: 1}, nil)
		if err != nil || oldest < 2 || progress.Missing != oldest-1 || progress.Sent != last-oldest+1 {
			t.Errorf("replay gives %+v, %v, want %d missing and %d sent", progress, err, oldest-1, last-oldest+1)
		}
		if n := len(r.topic(events)); n != 0 {
			t.Errorf("%d gap events are there; what was confirmed is no loss", n)
		}
	})
}
