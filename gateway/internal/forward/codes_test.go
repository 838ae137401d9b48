package forward_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// blameRecords are the answers that say that a record of the batch is wrong. When
// every batch gets them, whatever is in it, halving must end before a record
// stands alone for the second time.
var blameRecords = []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.CorruptMessage}

// A question is a request that forward or its client asks, and how to answer it
// with an error.
type question struct {
	name    string
	fault   kfake.Fault
	provoke func(*rig) // makes it be asked
}

func questions() []question {
	// Only a new client asks; a refusal of its first records makes the old one go.
	newClient := func(r *rig) {
		r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Err: kerr.TopicAuthorizationFailed})
	}
	return []question{
		{"Produce", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings}, func(*rig) {}},
		{"Metadata", kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: readings}, newClient},
		{"InitProducerID", kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true}, newClient},
		{"ListOffsets", kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: readings}, newClient},
		{"Fetch", kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: readings}, newClient},
		{"DescribeConfigs", kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Resource: readings}, newClient},
	}
}

// A broker is ill for some rounds and answers one kind of request with one error,
// then it is well again. For every request that is made on the way of a reading and
// every error there is: nothing is lost, nothing comes twice, the order stays,
// nothing innocent is put aside, and nothing is taken for lost by Kafka.
func TestEveryCodeForAWhile(t *testing.T) {
	for _, q := range questions() {
		t.Run(q.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { askForAWhile(t, q) })
		})
	}
}

func askForAWhile(t *testing.T, q question) {
	r := newRig(t)
	r.options.CreateTopics = false
	r.startKafka(kfake.SeedTopics(2, readings, events, deadLetters))
	r.start()
	last := r.put("warm-up", 1)
	r.await(last)
	cases, answers := 0, 0
	for _, e := range everyCode() {
		q.fault.Err, q.fault.Count = e, 5
		if q.name == "Produce" && slices.Contains(blameRecords, e) {
			q.fault.Count = 2
		}
		h := r.kafka.Fault(q.fault)
		q.provoke(r)
		for i := range 12 {
			last = r.store(r.reading(fmt.Sprintf("device-%d", i%3), float64(i)))
		}
		r.sync(last)
		r.await(last)
		if h.Hits() > 0 {
			cases++
		}
		answers += h.Hits()
		h.Remove()
	}
	if aside := r.topic(deadLetters); len(aside) > 0 {
		t.Errorf("%d records were put aside, the first with %q", len(aside), header(aside[0].Record, "error"))
	}
	s := r.forward.Stats()
	if s.Rewound > 0 || s.Replayed > 0 || s.State != forward.Idle {
		t.Errorf("stats are %+v, want idle and no rewound partition", s)
	}
	wantComplete(t, last, r.topic(readings))
	if cases < len(everyCode())*9/10 {
		t.Errorf("only %d of %d codes were answered", cases, len(everyCode()))
	}
	proved(t, "kafka codes on "+q.name, "%d codes, %d refusals, %d records complete and in order, %d clients given up",
		cases, answers, last, s.Rebuilt)
}

// The same for a topic that has to be made: the topics of a new gateway, and a
// broker that cannot make them at once.
func TestEveryCodeOnCreateTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka(kfake.SeedTopics(1, events, deadLetters, "plantgate.devices.v1"))
		cases := 0
		for i, e := range everyCode() {
			if errors.Is(e, kerr.TopicAlreadyExists) {
				continue // that is no refusal
			}
			r.options.Topics = forward.DefaultTopics()
			r.options.Topics.Readings = fmt.Sprintf("readings-%d", i)
			h := r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: r.options.Topics.Readings, Err: e, Count: 4})
			r.start()
			last := r.put("washer", 2)
			r.await(last)
			wantSequence(t, r.topic(r.options.Topics.Readings), last-1, last)
			if h.Hits() >= 4 {
				cases++
			}
			h.Remove()
			r.halt()
		}
		proved(t, "kafka codes on CreateTopics", "%d codes, four refusals each, the topic is made all the same", cases)
	})
}

// One record of fifty that Kafka will never take, whatever else goes wrong in
// between: the other 49 arrive once and in order, and it is found among the dead
// letters.
func TestPoisonAmongOtherTrouble(t *testing.T) {
	trouble := []*kerr.Error{nil, kerr.NotEnoughReplicas, kerr.TopicAuthorizationFailed, kerr.UnknownTopicID, kerr.OutOfOrderSequenceNumber, kerr.InvalidTimestamp}
	for _, poison := range blameRecords {
		for _, other := range trouble {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.options.Compression = "none"
				r.startKafka(kfake.SeedTopics(1, readings, events, deadLetters))
				if other != nil {
					odd := 0
					r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Err: other, Count: 4,
						When: func(kmsg.Request) bool { odd++; return odd%2 == 1 }})
				}
				r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Err: poison, Count: -1, When: r.containing(readings, "poison")})
				r.open()
				r.putUnread("washer", 20)
				r.store(r.reading("poison", 1))
				last := r.putUnread("washer", 29)
				r.run()
				r.await(last)
				wantSequence(t, r.topic(readings), append(upTo(20), between(22, 50)...)...)
				wantSequence(t, r.topic(deadLetters), 21)
			})
		}
	}
	proved(t, "kafka poison", "%d times one of 50 records refused for good, 49 in Kafka, 1 among the dead letters", len(blameRecords)*len(trouble))
}

// Partitions are added while readings flow. Kafka's rule moves devices to other
// partitions then, so the order of a device holds only before and after; nothing is
// lost, and nothing comes twice.
func TestPartitionsAreAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.Linger = time.Millisecond
		r.startKafka(kfake.DefaultNumPartitions(1))
		r.start()
		var last uint64
		for step := range 6 {
			for range 30 {
				last = r.putMixed(7, 7)
				time.Sleep(time.Minute) // the client asks for new partitions every few minutes
			}
			if step < 5 {
				r.addPartitions(readings, int32(step+2))
			}
		}
		r.await(last)
		records := r.topic(readings)
		seen, used := map[uint64]int{}, map[int32]bool{}
		for _, g := range records {
			seen[g.Seq]++
			used[g.Partition] = true
		}
		for n := uint64(1); n <= last; n++ {
			if seen[n] != 1 {
				t.Errorf("number %d is there %d times, want once", n, seen[n])
			}
		}
		for l, all := range byPartition(records) {
			if !slices.IsSortedFunc(all, func(a, b got) int { return int(a.Seq) - int(b.Seq) }) {
				t.Errorf("partition %d is out of order", l)
			}
		}
		if len(used) < 4 || r.forward.Stats().Rewound > 0 {
			t.Errorf("%d partitions are used and %d were taken for rewound", len(used), r.forward.Stats().Rewound)
		}
		proved(t, "kafka partitions added", "1 to 6 while %d readings flow, none lost, none twice, %d partitions used", last, len(used))
	})
}

func byPartition(records []got) map[int32][]got {
	m := map[int32][]got{}
	for _, g := range records {
		m[g.Partition] = append(m[g.Partition], g)
	}
	return m
}

// Authorisation is taken while readings flow and given back later, of each kind in
// turn: writing, looking, the cluster's.
func TestAuthorisationIsTakenAndGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.Linger = time.Millisecond
		r.startKafka(kfake.DefaultNumPartitions(3))
		r.start()
		last := r.putMixed(9, 9)
		r.await(last)
		denials := []kfake.Fault{
			{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed},
			{Keys: []kmsg.Key{kmsg.Produce, kmsg.Metadata}, Topic: readings, Err: kerr.TopicAuthorizationFailed},
			{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.ClusterAuthorizationFailed},
			{Keys: []kmsg.Key{kmsg.Produce, kmsg.ListOffsets}, Topic: readings, Err: kerr.TopicAuthorizationFailed},
		}
		for _, denial := range denials {
			denial.Count = -1
			h := r.kafka.Fault(denial)
			for range 20 {
				last = r.putMixed(9, 9)
				time.Sleep(time.Minute)
			}
			if s := r.forward.Stats(); s.State != forward.Waiting || s.Advice == "" {
				t.Errorf("without authorisation stats are %+v, want waiting and an advice", s)
			}
			h.Remove()
			r.await(last)
		}
		wantComplete(t, last, r.topic(readings))
		if n := r.log.count("kafka does not take records"); n != len(denials) {
			t.Errorf("%d lines say that Kafka takes nothing, want one for each of %d times", n, len(denials))
		}
		proved(t, "kafka authorisation", "taken and given back %d times, %d readings complete and in order", len(denials), last)
	})
}
