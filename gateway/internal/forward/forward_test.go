package forward_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

func TestReadingsReachKafka(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		last := r.put("washer", 100)
		r.await(last)
		wantSequence(t, r.topic(readings), upTo(100)...)
		if s := r.forward.Stats(); s.State != forward.Idle || s.Forwarded[readings] != 100 || s.HasUnsent {
			t.Errorf("stats are %+v, want idle, 100 readings forwarded, none unsent", s)
		}
	})
}

// The home server is off over a long weekend: nothing is lost, the order stays,
// and the journal has two lines about it.
func TestThreeDaysWithoutKafka(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		first := r.put("washer", 10)
		r.await(first)
		r.cutNetwork()
		var last uint64
		for hour := range 72 {
			last = r.put(fmt.Sprintf("plant-%d", hour%5), 20)
			time.Sleep(time.Hour)
		}
		if s := r.forward.Stats(); s.State != forward.Waiting || s.LastError == "" || !s.HasUnsent || s.InFlight > 2000 {
			t.Errorf("without Kafka stats are %+v, want waiting, with an error and a bounded window", s)
		}
		r.mendNetwork()
		r.await(last)
		wantComplete(t, last, r.topic(readings))
		if n := r.log.count("kafka does not take records; keeping them", "do="); n != 1 {
			t.Errorf("%d lines say that Kafka is away and what to do, want 1", n)
		}
		if n := r.log.count("kafka takes records again", "records=1440", "after=7"); n != 1 {
			t.Errorf("%d lines say that Kafka is back after 7x hours with 1440 records, want 1", n)
		}
		if n := r.log.count("msg="); n > 12 {
			t.Errorf("%d lines in three days", n)
		}
		proved(t, "kafka away for 72 hours", "%d readings complete and in order, %d lines", last, r.log.count("msg="))
	})
}

// The program is stopped with a backlog that nobody takes: what was prepared ahead
// must not hold it up.
func TestStopWithABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.MaxWindowRecords = 10
		r.start()
		last := r.put("washer", 100)
		time.Sleep(time.Minute)
		before := time.Now()
		r.halt()
		if took := time.Since(before); took > 1500*time.Millisecond {
			t.Errorf("stop took %v, want about a second at most", took)
		}
		r.startKafka()
		r.start()
		r.await(last)
		wantSequence(t, r.topic(readings), upTo(100)...)
	})
}

// The gateway starts first after a power cut; the server needs ten minutes.
func TestKafkaAwayAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		last := r.put("washer", 50)
		time.Sleep(10 * time.Minute)
		if s := r.forward.Stats(); s.State != forward.Waiting || s.Advice == "" {
			t.Errorf("stats are %+v, want waiting and an advice", s)
		}
		r.startKafka()
		r.await(last)
		wantSequence(t, r.topic(readings), upTo(50)...)
	})
}

// Partitions change their leader while records are in flight.
func TestLeadersMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka(kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.DefaultNumPartitions(4))
		r.options.Linger = time.Millisecond
		r.start()
		var last uint64
		const moves = 600 // a minute of them
		for range moves {
			last = r.putMixed(14, 7)
			r.kafka.ShufflePartitionLeaders()
			time.Sleep(100 * time.Millisecond)
		}
		r.await(last)
		wantComplete(t, last, r.topic(readings))
		proved(t, "kafka leaders", "moved %d times in a minute, %d readings complete and in order", moves, last)
	})
}

// The program is stopped while Kafka hangs: it ends within about a second, and
// what was not confirmed comes after the start.
func TestStopDoesNotWaitForKafka(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 10))
		r.cutNetwork()
		last := r.put("washer", 10)
		time.Sleep(time.Minute)
		before := time.Now()
		r.halt()
		if took := time.Since(before); took > 1500*time.Millisecond {
			t.Errorf("stop took %v, want about a second at most", took)
		}
		r.mendNetwork()
		r.start()
		r.await(last)
		wantSequence(t, r.topic(readings), upTo(20)...)
	})
}

// A router forgets the connections. They look alive and bring nothing back:
// after the time a request may take, new ones are made, and nothing comes twice.
func TestHalfOpenConnectionsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 10))
		r.mute()
		before := time.Now()
		last := r.put("washer", 10)
		r.await(last)
		if took := time.Since(before); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		wantSequence(t, r.topic(readings), upTo(20)...)
	})
}

// The same moment, and the program is stopped.
func TestStopDoesNotWaitForHalfOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 10))
		r.mute()
		last := r.put("washer", 10)
		time.Sleep(time.Second)
		before := time.Now()
		r.halt()
		if took := time.Since(before); took > 1500*time.Millisecond {
			t.Errorf("stop took %v, want about a second at most", took)
		}
		r.start()
		r.await(last)
		ids := map[string]bool{}
		for _, g := range r.topic(readings) {
			ids[g.ID] = true
		}
		if len(ids) != 20 {
			t.Errorf("%d different ids are there, want 20", len(ids))
		}
	})
}

// Kafka comes back while there is nothing to send: the state says so.
func TestIdleAgainWithoutReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		time.Sleep(10 * time.Minute)
		if s := r.forward.Stats(); s.State != forward.Waiting {
			t.Errorf("state is %s, want waiting", s.State)
		}
		r.startKafka()
		time.Sleep(time.Minute)
		if s := r.forward.Stats(); s.State != forward.Idle || s.LastError != "" {
			t.Errorf("state is %s with error %q, want idle without", s.State, s.LastError)
		}
	})
}

// A new client takes the place of the old one in the metrics as well.
func TestMetricsOutliveTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		registry := prometheus.NewRegistry()
		r.options.Registerer = registry
		r.startKafka()
		r.start()
		for range 3 {
			r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed})
			r.await(r.put("washer", 5))
		}
		if s := r.forward.Stats(); s.Rebuilt != 3 {
			t.Errorf("%d clients were given up, want 3", s.Rebuilt)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if len(families) == 0 || !strings.HasPrefix(families[0].GetName(), "plantgate_kafka_") {
			t.Errorf("metrics are %v, want those of the client", families)
		}
	})
}

// A board without a clock: what it takes before NTP waits, and leaves with the
// true time.
func TestHeldUntilTheClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.synced.Lock()
		r.behind.Store(int64(9 * time.Hour)) // as long as the power was off
		r.start()
		taken := time.Now()
		last := r.put("washer", 5)
		time.Sleep(10 * time.Minute)
		s := r.forward.Stats()
		if s.State != forward.Holding || s.Confirmed != 0 || !s.HasUnsent || s.Rebuilt != 0 {
			t.Errorf("before the clock is set stats are %+v, want holding, an unsent record and the same client", s)
		}
		r.behind.Store(0)
		r.synced.Unlock()
		r.await(last)
		all := r.topic(readings)
		wantSequence(t, all, upTo(5)...)
		for _, g := range all {
			if d := g.Timestamp.Sub(taken).Abs(); d > time.Minute || g.Fields["quality"] != "good" {
				t.Errorf("number %d has the time %v and is %v, want %v and good", g.Seq, g.Timestamp, g.Fields["quality"], taken)
			}
		}
		if s := r.forward.Stats(); s.State != forward.Idle {
			t.Errorf("state is %s, want idle", s.State)
		}
	})
}
