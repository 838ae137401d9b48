package forward_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// swallow makes Kafka answer everything but produce requests, until the returned
// function is called.
func (r *rig) swallow() (mend func()) {
	mended := make(chan struct{})
	k := r.kafka
	k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case <-mended:
			return nil, nil, false
		default:
			k.KeepControl()
			return nil, nil, true
		}
	})
	return sync.OnceFunc(func() { close(mended) })
}

// Kafka answers what it is asked, but a produce request never. The client is given
// up again and again, at growing distances, and a person reads one line about each
// change, not about each attempt. Then it goes on, in order.
func TestKafkaThatAnswersAllButProduce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 10))
		mend := r.swallow()
		last := r.put("washer", 10)
		time.Sleep(12 * time.Hour)
		s := r.forward.Stats()
		if s.State != forward.Waiting || s.Stalled < 10 || s.Stalled > 60 || s.Rebuilt < s.Stalled || s.Advice == "" {
			t.Errorf("after twelve hours stats are %+v, want waiting, an advice and some tens of clients given up", s)
		}
		for text, want := range map[string]int{"no record got through": 1, "kafka does not take records": 2, "msg=": 7} {
			if n := r.log.count(text); n > want || n == 0 {
				t.Errorf("%d lines say %q, want %d at most", n, text, want)
			}
		}
		mend()
		r.await(last)
		wantSequence(t, distinct(r.topic(readings)), upTo(20)...)
		s = r.forward.Stats()
		if n := r.log.count("kafka takes records again", "event=kafka_back"); n != 1 || s.State != forward.Idle {
			t.Errorf("%d lines say that it is over, and state is %s, want 1 and idle", n, s.State)
		}
		proved(t, "progress watch", "twelve hours in which Kafka answered all but produce requests, %d clients given up, %d lines", s.Stalled, r.log.count("msg="))
	})
}

// distinct drops records that came again with the id they had.
func distinct(records []got) (first []got) {
	seen := map[string]bool{}
	for _, g := range records {
		if !seen[g.ID] {
			seen[g.ID] = true
			first = append(first, g)
		}
	}
	return first
}

// A home server on its last legs takes eight seconds for each request: that is slow,
// and nothing is wrong with the client.
func TestSlowKafkaKeepsItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, last, took := drainSlowly(t, 8*time.Second)
		s := r.forward.Stats()
		if s.Rebuilt != 0 || took < 10*time.Minute {
			t.Errorf("%d clients were given up in %v, want none in many minutes", s.Rebuilt, took)
		}
		wantSequence(t, r.topic(readings), upTo(last)...)
		proved(t, "progress watch, slow kafka", "%d readings in %v at 8 s a request, no client given up", last, took.Round(time.Minute))
	})
}

// So slow that each request runs into the time that one may take: the next clients
// have more patience, and what could never move does.
func TestVerySlowKafkaGetsMorePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 1))
		r.slowProduce(45 * time.Second)
		last := r.put("washer", 100)
		r.await(last)
		wantSequence(t, distinct(r.topic(readings)), upTo(last)...)
		if s := r.forward.Stats(); s.Stalled == 0 || s.Stalled > 3 {
			t.Errorf("%d clients were given up, want 3 at most", s.Stalled)
		}
	})
}

// drainSlowly brings a window that takes many requests to a Kafka that takes so long
// for each, one after the other.
func drainSlowly(t *testing.T, each time.Duration) (r *rig, last uint64, took time.Duration) {
	t.Helper()
	r = newRig(t)
	r.options.Compression = "none"
	r.patience = 48 * time.Hour
	r.startKafka(kfake.SeedTopics(1, events, deadLetters))
	if err := r.kafka.CreateTopic(readings, 1, map[string]string{"max.message.bytes": "4000"}); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.await(r.put("washer", 1))
	r.slowProduce(each)
	before := time.Now()
	last = r.put("washer", 900)
	r.await(last)
	return r, last, time.Since(before)
}

// Nothing to send, and readings that wait for the clock, are no stall, for however
// long.
func TestIdleAndHoldingAreProgress(t *testing.T) {
	for _, holding := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.startKafka()
			if holding {
				r.synced.Lock()
			}
			r.start()
			if holding {
				r.put("washer", 5)
				time.Sleep(50 * time.Minute) // clock.hold is an hour here
				r.synced.Unlock()
			} else {
				time.Sleep(48 * time.Hour)
			}
			r.await(r.put("washer", 5))
			if s := r.forward.Stats(); s.Rebuilt != 0 || s.Stalled != 0 {
				t.Errorf("holding=%v: %d clients were given up, want none", holding, s.Rebuilt)
			}
		})
	}
}

// A stuckConn neither ends nor keeps a deadline: a driver of the network that hangs.
type stuckConn struct {
	net.Conn
	stuck   <-chan struct{} // closed when it begins to hang
	release <-chan struct{}
}

func (c *stuckConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.hang()
	return n, err
}

func (c *stuckConn) Close() error {
	c.hang()
	return c.Conn.Close()
}

func (c *stuckConn) hang() {
	select {
	case <-c.stuck:
		<-c.release
	default:
	}
}

// The client itself hangs and cannot even be ended. Its records must not be touched
// any more, so the forwarder gives up; the process starts afresh.
func TestStuckClientEndsTheForwarder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		stuck, release := make(chan struct{}), make(chan struct{})
		r.wrap = func(c net.Conn) net.Conn { return &stuckConn{c, stuck, release} }
		r.mayEnd = "does not end"
		r.startKafka()
		r.start()
		r.await(r.put("washer", 5))
		r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		r.put("washer", 5)
		time.Sleep(10 * time.Second)
		close(stuck)
		time.Sleep(time.Hour)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.ended == nil || !strings.Contains(r.ended.Error(), "does not end") {
			t.Errorf("forward ended with %v, want that its client does not end", r.ended)
		}
		close(release)
	})
}
