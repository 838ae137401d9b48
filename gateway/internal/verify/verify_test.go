package verify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/verify"
	"github.com/plantgate/plantgate/reading"
)

// A cluster is a Kafka with the three topics, into which tests write what a
// gateway might have written.
type cluster struct {
	t       *testing.T
	kafka   *kfake.Cluster
	client  *kgo.Client
	options forward.Options
	at      time.Time
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	topics := forward.DefaultTopics()
	network := new(kfake.VirtualNetwork)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen),
		kfake.SeedTopics(3, topics.Readings), kfake.SeedTopics(1, topics.Events, topics.DeadLetter))
	if err != nil {
		t.Fatal(err)
	}
	o := forward.Options{Brokers: []string{"localhost:9092"}, Dial: network.DialContext}
	client, err := kgo.NewClient(o.Connect()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		kafka.Close()
	})
	return &cluster{t: t, kafka: kafka, client: client, options: o, at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
}

func (c *cluster) produce(r *kgo.Record) {
	c.t.Helper()
	if err := c.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) head(seq uint64) reading.Head {
	return reading.Head{Gateway: "pi1", Stream: "6f2c9a1e", Seq: seq, Time: c.at}
}

func (c *cluster) reading(h reading.Head, device string) {
	c.t.Helper()
	value, err := reading.AppendBody(h.Append(nil), reading.Place{Gateway: h.Gateway, Site: "home"}, reading.Reading{
		Device: device, Source: "tasmota", Values: []reading.Value{{Metric: reading.Power, Number: 1}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.produce(&kgo.Record{Topic: c.topics().Readings, Key: []byte(device), Value: value})
}

func (c *cluster) topics() forward.Topics { return forward.DefaultTopics() }

func (c *cluster) readings(device string, first, last uint64) {
	for n := first; n <= last; n++ {
		c.reading(c.head(n), device)
	}
}

func (c *cluster) event(opening []byte, e reading.Event) {
	c.t.Helper()
	value, err := reading.AppendEventBody(opening, reading.Place{Gateway: "pi1", Site: "home"}, e)
	if err != nil {
		c.t.Fatal(err)
	}
	c.produce(&kgo.Record{Topic: c.topics().Events, Value: value})
}

func (c *cluster) gap(first, last uint64) {
	c.event(c.head(first).AppendGap(nil, last), reading.Event{Type: reading.Gap, Fields: []reading.Field{
		{Name: "from", Value: first}, {Name: "to", Value: last}, {Name: "reason", Value: "dropped"}}})
}

func (c *cluster) letter(seq uint64) {
	c.produce(&kgo.Record{Topic: c.topics().DeadLetter, Value: []byte("{oops"), Headers: []kgo.RecordHeader{
		{Key: "id", Value: []byte(c.head(seq).ID())}, {Key: "seq", Value: fmt.Append(nil, seq)}}})
}

func (c *cluster) run() verify.Report {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var text strings.Builder
	report, err := verify.Run(ctx, c.options, &text)
	if err != nil {
		c.t.Fatal(err)
	}
	if text.String() != report.String() {
		c.t.Errorf("written is %q, want %q", text.String(), report)
	}
	return report
}

func TestVerifyFinds(t *testing.T) {
	type streams = []verify.StreamReport
	one := func(r verify.StreamReport) streams {
		r.Gateway, r.Stream = "pi1", "6f2c9a1e"
		return streams{r}
	}
	for name, test := range map[string]struct {
		write func(c *cluster)
		want  streams
		ok    bool
	}{
		"nothing": {write: func(*cluster) {}, ok: true},
		"a clean stream over three topics": {
			write: func(c *cluster) {
				c.readings("washer", 1, 10)
				c.letter(11)
				c.event(c.head(12).Append(nil), reading.Event{Type: reading.DeviceSeen, Device: "washer"})
				c.readings("washer", 13, 20)
			},
			want: one(verify.StreamReport{First: 1, Last: 20, Readings: 18, Events: 1, DeadLetters: 1}), ok: true,
		},
		"a hole that nobody explains": {
			write: func(c *cluster) {
				c.readings("washer", 1, 5)
				c.readings("washer", 9, 10)
				c.readings("washer", 12, 12)
			},
			want: one(verify.StreamReport{First: 1, Last: 12, Readings: 8, Holes: []verify.Span{{First: 6, Last: 8}, {First: 11, Last: 11}}}),
		},
		"a hole that a gap event explains": {
			write: func(c *cluster) {
				c.readings("washer", 1, 5)
				c.gap(6, 8)
				c.gap(6, 8) // sent again
				c.readings("washer", 9, 10)
			},
			want: one(verify.StreamReport{First: 1, Last: 10, Readings: 7, Explained: []verify.Span{{First: 6, Last: 8}}}), ok: true,
		},
		"a hole that a gap event explains in part": {
			write: func(c *cluster) {
				c.readings("washer", 1, 5)
				c.gap(7, 8)
				c.gap(11, 12)
				c.readings("washer", 14, 14)
			},
			want: one(verify.StreamReport{First: 1, Last: 14, Readings: 6,
				Holes:     []verify.Span{{First: 6, Last: 6}, {First: 9, Last: 10}, {First: 13, Last: 13}},
				Explained: []verify.Span{{First: 7, Last: 8}, {First: 11, Last: 12}}}),
		},
		"a hole behind an unclean start": {
			write: func(c *cluster) {
				c.readings("washer", 1, 5)
				c.event(c.head(8).Append(nil), reading.Event{Type: reading.UncleanStart, Fields: []reading.Field{{Name: "last_seq", Value: uint64(5)}}})
				c.readings("washer", 9, 9)
			},
			want: one(verify.StreamReport{First: 1, Last: 9, Readings: 6, Events: 1, UncleanStarts: 1, Unclean: []verify.Span{{First: 6, Last: 7}}}), ok: true,
		},
		"duplicates, which are no disorder": {
			write: func(c *cluster) {
				c.readings("washer", 1, 5)
				c.readings("washer", 4, 8)
			},
			want: one(verify.StreamReport{First: 1, Last: 8, Readings: 10, Duplicates: 2, DuplicateExamples: verify.Examples{4, 5}}), ok: true,
		},
		"disorder within a device": {
			write: func(c *cluster) {
				c.readings("washer", 2, 3)
				c.readings("lamp", 4, 4)
				c.readings("washer", 1, 1)
			},
			want: one(verify.StreamReport{First: 1, Last: 4, Readings: 4, Disorder: 1, DisorderExamples: verify.Examples{1}}),
		},
		"replayed records, which may come in any order and again": {
			write: func(c *cluster) {
				c.readings("washer", 1, 5)
				for n := uint64(2); n <= 3; n++ {
					h := c.head(n)
					h.Replayed = true
					c.reading(h, "washer")
				}
				c.readings("washer", 6, 6)
			},
			want: one(verify.StreamReport{First: 1, Last: 6, Readings: 8, Replayed: 2}), ok: true,
		},
		"readings refused before they had a number": {
			write: func(c *cluster) {
				c.event(c.head(1).Append(nil), reading.Event{Type: reading.Refused, Fields: []reading.Field{{Name: "count", Value: uint64(7)}}})
			},
			want: one(verify.StreamReport{First: 1, Last: 1, Events: 1, Refused: 7}), ok: true,
		},
		"a stream whose beginning is missing": {
			write: func(c *cluster) {
				c.event(c.head(13).Append(nil), reading.Event{Type: reading.StreamStarted, Fields: []reading.Field{{Name: "first", Value: uint64(11)}}})
				c.readings("washer", 14, 15)
			},
			want: one(verify.StreamReport{First: 13, Last: 15, Readings: 2, Events: 1, Holes: []verify.Span{{First: 11, Last: 12}}}),
		},
		"two gateways": {
			write: func(c *cluster) {
				c.readings("washer", 1, 2)
				h := reading.Head{Gateway: "pi1-cellar", Stream: "00000001", Seq: 5, Time: c.at}
				c.reading(h, "washer")
			},
			want: streams{
				{Gateway: "pi1", Stream: "6f2c9a1e", First: 1, Last: 2, Readings: 2},
				{Gateway: "pi1-cellar", Stream: "00000001", First: 5, Last: 5, Readings: 1},
			},
			ok: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				test.write(c)
				report := c.run()
				if diff := cmp.Diff(test.want, report.Streams); diff != "" {
					t.Errorf("streams (-want +got):\n%s", diff)
				}
				if report.OK() != test.ok {
					t.Errorf("OK is %v, want %v; report:\n%s", report.OK(), test.ok, report)
				}
			})
		})
	}
}

// Records that are none of ours, or broken, are counted and harm nothing.
func TestForeignRecordsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.readings("washer", 1, 2)
		for _, value := range []string{"", "not JSON", "{}", `{"id":"x"}`, `{"id":"pi1-","gateway":"pi1"}`, `{"id":5}`, `[]`} {
			c.produce(&kgo.Record{Topic: c.topics().Readings, Value: []byte(value)})
			c.produce(&kgo.Record{Topic: c.topics().DeadLetter, Value: []byte(value)})
		}
		report := c.run()
		if report.Foreign != 14 || len(report.Streams) != 1 || !report.OK() {
			t.Errorf("report is\n%s\nwant one stream and 14 foreign records", report)
		}
	})
}

// Retention has deleted the beginning: numbers before the first one that is left
// are not called missing.
func TestDeletedBeginningIsNoHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.event(c.head(1).Append(nil), reading.Event{Type: reading.StreamStarted, Fields: []reading.Field{{Name: "first", Value: uint64(1)}}})
		c.readings("washer", 2, 10)
		partition := int32(0)
		for _, p := range c.kafka.PartitionInfos(c.topics().Readings) {
			if p.HighWatermark > 0 {
				partition = p.Partition
			}
		}
		if err := c.kafka.DeleteRecords(c.topics().Readings, partition, 5); err != nil {
			t.Fatal(err)
		}
		if err := c.kafka.DeleteRecords(c.topics().Events, 0, 1); err != nil {
			t.Fatal(err)
		}
		report := c.run()
		if !report.OK() || !report.BeginningGone || report.Streams[0].First != 7 {
			t.Errorf("report is\n%s\nwant numbers from 7 on and no hole", report)
		}
	})
}

// A topic that may not be read is an error with its name, not a clean report.
func TestUnreadableTopicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.readings("washer", 1, 2)
		c.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		_, err := verify.Run(context.Background(), c.options, t.Output())
		if err == nil || !strings.Contains(err.Error(), c.topics().Readings) {
			t.Errorf("error is %v, want one that names the topic", err)
		}
	})
}
