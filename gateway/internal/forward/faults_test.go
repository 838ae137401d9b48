package forward_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// everyCode is all that a broker can answer, but for DUPLICATE_SEQUENCE_NUMBER:
// it means that the record is there, and the fault would not have put it there.
func everyCode() []*kerr.Error {
	var all []*kerr.Error
	for code := int16(-1); code < 200; code++ {
		e, ok := kerr.ErrorForCode(code).(*kerr.Error)
		if ok && e.Code == code && e != kerr.DuplicateSequenceNumber {
			all = append(all, e)
		}
	}
	return all
}

// A client learns of partitions only after the first record for a topic. What is
// refused then must not be overtaken by what came behind it.
func TestFirstWindowIsNotOvertaken(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.UnknownServerError, kerr.InvalidRecord, kerr.InvalidTimestamp} {
		for range 3 {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.options.CreateTopics = false
				r.startKafka(kfake.SeedTopics(1, readings, events, deadLetters))
				r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: e})
				r.open()
				last := r.putUnread("washer", 3000)
				r.run()
				r.await(last)
				wantSequence(t, r.topic(readings), upTo(3000)...)
			})
		}
	}
}

// containing tells a produce request by a text in the records of a topic, which
// must exist. It needs a rig that does not compress.
func (r *rig) containing(topic, text string) func(kmsg.Request) bool {
	id := r.kafka.TopicInfo(topic).TopicID
	return func(req kmsg.Request) bool {
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			for _, p := range t.Partitions {
				if (t.Topic == topic || t.TopicID == id) && bytes.Contains(p.Records, []byte(text)) {
					return true
				}
			}
		}
		return false
	}
}

// One record that the broker will never take: the other 49 arrive, and it is
// found among the dead letters.
func TestPoisonDoesNotStopTheOthers(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.InvalidRecord, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.CorruptMessage} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.options.Compression = "none"
			r.startKafka(kfake.SeedTopics(1, readings, events, deadLetters))
			r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Err: e, Count: -1, When: r.containing(readings, "poison")})
			r.start()
			r.put("washer", 20)
			r.store(r.reading("poison", 1))
			last := r.put("washer", 29)
			r.await(last)
			wantSequence(t, r.topic(readings), append(upTo(20), between(22, 50)...)...)
			aside := r.topic(deadLetters)
			wantSequence(t, aside, 21)
			for key, want := range map[string]string{"seq": "21", "topic": readings, "client": ""} {
				if have := header(aside[0].Record, key); have != want {
					t.Errorf("dead letter has %s %q, want %q", key, have, want)
				}
			}
			if !strings.Contains(header(aside[0].Record, "error"), e.Message) || !strings.Contains(string(aside[0].Value), `"device":"poison"`) {
				t.Errorf("dead letter is %s with error %q", aside[0].Value, header(aside[0].Record, "error"))
			}
			if s := r.forward.Stats(); s.DeadLettered != 1 || s.State != forward.Idle {
				t.Errorf("stats are %+v, want one dead letter and idle", s)
			}
		})
	}
}

// A message is spoilt on its way, once. That the only record of its batch was
// refused does not make it poison.
func TestOneRefusalIsNoPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		var last uint64
		for _, e := range []*kerr.Error{kerr.CorruptMessage, kerr.InvalidRecord, kerr.MessageTooLarge} {
			r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Err: e})
			last = r.put("washer", 1)
			r.await(last)
		}
		wantSequence(t, r.topic(readings), upTo(last)...)
	})
}

// A record that is too long for the dead letters as well leaves its first bytes
// there; when even that is refused, an event says that it is lost.
func TestRefusedDeadLettersComeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.Compression = "none"
		r.startKafka(kfake.SeedTopics(1, readings, events, deadLetters))
		never := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Err: kerr.InvalidRecord, Count: -1, When: r.containing(readings, "poison")}
		long := never
		long.Topic, long.When = deadLetters, r.containing(deadLetters, "the end")
		r.kafka.Fault(never, long)
		r.start()
		e := r.reading("poison", 1)
		e.Body = append(e.Body[:len(e.Body)-1], `,"x_text":"`+strings.Repeat("long ", 500)+`the end"}`...)
		r.store(e)
		last := r.put("washer", 1)
		r.await(last)
		aside := r.topic(deadLetters)
		wantSequence(t, aside, 1)
		if n := len(aside[0].Value); n == 0 || n > 1024 || header(aside[0].Record, "bytes") == "" {
			t.Errorf("dead letter has %d bytes and says that there were %q", n, header(aside[0].Record, "bytes"))
		}

		r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: deadLetters, Err: kerr.InvalidRecord, Count: -1})
		r.store(r.reading("poison", 2))
		last = r.put("washer", 1)
		r.await(last)
		wantSequence(t, r.topic(readings), 2, 4)
		gaps := r.topic(events)
		if len(gaps) != 1 || gaps[0].Fields["reason"] != "kafka_refused" || gaps[0].Fields["from"] != 3.0 || gaps[0].Fields["to"] != 3.0 {
			t.Errorf("events are %+v, want one gap from 3 to 3", gaps)
		}
	})
}

// A socket with a wrong clock, a board that started in 1970: Kafka minds the
// time of the record, and only that changes.
func TestRefusedTimestampIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.CreateTopics = false
		r.startKafka(kfake.SeedTopics(1, readings, events, deadLetters))
		r.start()
		now := time.Now()
		refused := r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Err: kerr.InvalidTimestamp, Count: -1,
			When: func(req kmsg.Request) bool {
				for _, p := range req.(*kmsg.ProduceRequest).Topics[0].Partitions {
					var b kmsg.RecordBatch
					if b.ReadFrom(p.Records) == nil && b.MaxTimestamp > time.Now().Add(time.Hour).UnixMilli() {
						return true
					}
				}
				return false
			}})
		e := r.reading("washer", 1)
		e.Taken.Wall = now.Add(24 * time.Hour).UnixMilli()
		r.store(e)
		last := r.put("washer", 1)
		r.await(last)
		all := r.topic(readings)
		wantSequence(t, all, 1, 2)
		if refused.Hits() == 0 {
			t.Error("no timestamp was refused")
		}
		if d := all[0].Timestamp.Sub(now); d < 0 || d > time.Minute {
			t.Errorf("CreateTime is %v, want now", all[0].Timestamp)
		}
		if all[0].Fields["ts_ms"] != float64(now.Add(24*time.Hour).UnixMilli()) {
			t.Errorf("ts_ms is %v, want that of the reading", all[0].Fields["ts_ms"])
		}
		if len(r.topic(deadLetters)) > 0 {
			t.Error("a timestamp is no reason for a dead letter")
		}
		proved(t, "kafka refuses a time", "%d refusals, CreateTime is now, ts_ms stays, no dead letter", refused.Hits())
	})
}

// Somebody forgot the ACL and mends it twenty minutes later.
func TestDeniedThenAllowed(t *testing.T) {
	for name, denial := range map[string]kfake.Fault{
		"topic":   {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed},
		"cluster": {Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.ClusterAuthorizationFailed},
		"sight":   {Keys: []kmsg.Key{kmsg.Metadata}, Topic: readings, Err: kerr.TopicAuthorizationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.options.CreateTopics = false
				r.startKafka(kfake.SeedTopics(1, readings, events, deadLetters))
				denial.Count = -1
				h := r.kafka.Fault(denial)
				r.start()
				last := r.put("washer", 10)
				time.Sleep(20 * time.Minute)
				s := r.forward.Stats()
				if s.State != forward.Waiting || !strings.Contains(s.Advice, "allow the user") {
					t.Errorf("stats are %+v, want waiting and what to allow", s)
				}
				h.Remove()
				r.await(last)
				wantSequence(t, r.topic(readings), upTo(10)...)
				if n := r.log.count("kafka does not take records", "allow the user"); n != 1 {
					t.Errorf("%d lines say so in twenty minutes, want 1", n)
				}
				if n := r.log.count("kafka takes records again", "records=10", "after=20m"); n != 1 {
					t.Errorf("%d lines say that it is over, want 1", n)
				}
			})
		})
	}
}

// The topic is missing and may not be made: forward says so and waits.
func TestMissingTopicIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.CreateTopics = false
		r.startKafka(kfake.SeedTopics(1, events, deadLetters))
		r.start()
		last := r.put("washer", 10)
		time.Sleep(time.Hour)
		if n := r.log.count("topic plantgate.readings.v1: it is missing", "kafka.create_topics: true"); n != 1 {
			t.Errorf("%d lines name the topic and what to do, want 1", n)
		}
		if err := r.kafka.CreateTopic(readings, 1, nil); err != nil {
			t.Fatal(err)
		}
		r.await(last)
		wantSequence(t, r.topic(readings), upTo(10)...)
	})
}

// The topics that are made here keep what they get, whatever its time.
func TestTopicsAreMadeWithTheirSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka(kfake.DefaultNumPartitions(5))
		r.start()
		r.await(r.put("washer", 1))
		for topic, want := range map[string]map[string]string{
			readings: {"retention.ms": "34560000000", "message.timestamp.type": "CreateTime",
				"message.timestamp.after.max.ms": "9223372036854775807", "flush.ms": "1000"},
			"plantgate.devices.v1": {"cleanup.policy": "compact"},
		} {
			info := r.kafka.TopicInfo(topic)
			if info == nil {
				t.Errorf("topic %s is missing", topic)
				continue
			}
			for key, value := range want {
				if have := info.Configs[key]; have == nil || *have != value {
					t.Errorf("topic %s has %s %v, want %s", topic, key, have, value)
				}
			}
			if n := len(r.kafka.PartitionInfos(topic)); n != 5 {
				t.Errorf("topic %s has %d partitions, want the broker's 5", topic, n)
			}
		}
	})
}

// A broker that accepts connections and says nothing more: the client is given
// up, and the next one is no worse off.
func TestSilentBrokerCostsAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 10))
		h := r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		last := r.put("washer", 10)
		time.Sleep(time.Hour)
		s := r.forward.Stats()
		if s.Rebuilt == 0 || s.Rebuilt > 10 {
			t.Errorf("%d clients in an hour without progress, want a few", s.Rebuilt)
		}
		if !strings.Contains(s.Advice, "min.insync.replicas") {
			t.Errorf("advice is %q (error %q), want one about replicas", s.Advice, s.LastError)
		}
		h.Remove()
		r.await(last)
		wantSequence(t, r.topic(readings), upTo(20)...)
	})
}

// Three partitions refuse in turn, in the middle of windows, for every kind of
// reason: each device's readings stay in order and come once.
func TestFailingPartitionKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.Linger = time.Millisecond
		r.options.MaxWindowRecords = 40
		r.startKafka(kfake.DefaultNumPartitions(3))
		r.start()
		var last uint64
		trouble := []*kerr.Error{kerr.NotEnoughReplicas, kerr.InvalidRecord, kerr.KafkaStorageError, kerr.TopicAuthorizationFailed,
			kerr.MessageTooLarge, kerr.InvalidTimestamp, kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.UnknownTopicID}
		for i := range 60 {
			r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: readings, Partitions: []int32{int32(i % 3)}, Err: trouble[i%len(trouble)]})
			for n := range 30 {
				last = r.store(r.reading(fmt.Sprintf("device-%d", n%11), float64(n)))
			}
			r.sync(last)
			time.Sleep(time.Duration(i%4) * 50 * time.Millisecond)
		}
		r.await(last)
		// A record that two faults in a row hit while it stood alone was put
		// aside, as it should be.
		wantComplete(t, last, r.topic(readings), r.topic(deadLetters)...)
	})
}
