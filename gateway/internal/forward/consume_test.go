package forward_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/reading"
)

// A got is a record as a consumer sees it.
type got struct {
	*kgo.Record
	ID       string
	Seq      uint64
	Replayed bool
	Fields   map[string]any // nil for a dead letter
}

// topic reads all of a topic, partition after partition.
func (r *rig) topic(name string) []got {
	r.t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(r.options.Brokers...)}
	if r.options.Dial != nil {
		opts = append(opts, kgo.Dialer(r.net.DialContext))
	}
	return readTopic(r.t, name, opts...)
}

func readTopic(t *testing.T, name string, opts ...kgo.Opt) []got {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(name), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	left := ends(t, cl, name)
	byPartition := map[int32][]got{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read topic %s: %v", name, err)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			byPartition[rec.Partition] = append(byPartition[rec.Partition], decode(t, rec))
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
		})
	}
	var all []got
	for p := range int32(64) {
		all = append(all, byPartition[p]...)
	}
	return all
}

func decode(t *testing.T, rec *kgo.Record) got {
	t.Helper()
	g := got{Record: rec, ID: header(rec, "ce_id")}
	if g.ID == "" {
		g.ID = header(rec, "id")
		g.Replayed = header(rec, "replayed") == "true"
		_, g.Seq, _ = reading.SplitID(g.ID)
		return g
	}
	if err := json.Unmarshal(rec.Value, &g.Fields); err != nil {
		t.Fatalf("record %s is no JSON: %v", rec.Value, err)
	}
	if g.Fields["id"] != g.ID {
		t.Errorf("record has id %v and header ce_id %s", g.Fields["id"], g.ID)
	}
	seq, _ := g.Fields["seq"].(float64)
	g.Seq = uint64(seq)
	g.Replayed, _ = g.Fields["replayed"].(bool)
	return g
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// wantSequence checks that these numbers are there, once and in this order.
func wantSequence(t *testing.T, records []got, numbers ...uint64) {
	t.Helper()
	var have []uint64
	for _, g := range records {
		have = append(have, g.Seq)
	}
	if fmt.Sprint(have) != fmt.Sprint(numbers) {
		t.Errorf("got numbers %v, want %v", have, numbers)
	}
}

func upTo(n uint64) []uint64 { return between(1, n) }

func between(first, last uint64) []uint64 {
	var all []uint64
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

const (
	readings    = "plantgate.readings.v1"
	events      = "plantgate.events.v1"
	deadLetters = "plantgate.deadletter.v1"
)

func ends(t *testing.T, cl *kgo.Client, topic string) map[int32]int64 {
	t.Helper()
	offsets, err := kadm.NewClient(cl).ListEndOffsets(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	offsets.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	return left
}

// byDevice sorts records by their key; order within one is that of Kafka.
func byDevice(records []got) map[string][]got {
	m := map[string][]got{}
	for _, g := range records {
		m[string(g.Key)] = append(m[string(g.Key)], g)
	}
	return m
}

// wantComplete checks that each number is there exactly once, among the records
// or those that were put aside, and that each device's records are in order.
func wantComplete(t *testing.T, last uint64, records []got, aside ...got) {
	t.Helper()
	seen := map[uint64]int{}
	for _, g := range aside {
		seen[g.Seq]++
	}
	for device, all := range byDevice(records) {
		for i, g := range all {
			seen[g.Seq]++
			if i > 0 && g.Seq <= all[i-1].Seq {
				t.Errorf("device %s: number %d comes behind %d", device, g.Seq, all[i-1].Seq)
			}
		}
	}
	for n := uint64(1); n <= last; n++ {
		if seen[n] != 1 {
			t.Errorf("number %d is there %d times, want once", n, seen[n])
		}
	}
}
