// Package verify reads back what the gateways of a Kafka wrote and says, for
// each stream of numbers, whether anything is missing without an explanation,
// came twice, or came in another order than it was taken.
//
// It guarantees that it changes nothing, ends at what was there when it began,
// and needs a fraction of a byte for each number. It does not know what lies on
// a card and has not been sent yet, and it cannot tell what Kafka's retention
// has deleted from what never came: numbers before the first one that is there
// count only if the stream's own beginning is there.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// Run reads the three topics from their beginning to their present end, writes
// what it found to w and returns it. An error means that the answer is not
// complete; it names the topic that could not be read.
func Run(ctx context.Context, o forward.Options, w io.Writer) (Report, error) {
	if o.Topics == (forward.Topics{}) {
		o.Topics = forward.DefaultTopics()
	}
	t := newTally(o.Topics)
	if err := readAll(ctx, o, t); err != nil {
		return t.report(), err
	}
	r := t.report()
	if _, err := io.WriteString(w, r.String()); err != nil {
		return r, fmt.Errorf("write report: %w", err)
	}
	return r, nil
}

// A partition is what of it is still to be read.
type partition struct{ start, end int64 }

func readAll(ctx context.Context, o forward.Options, t *tally) error {
	names := []string{o.Topics.Readings, o.Topics.Events, o.Topics.DeadLetter}
	client, err := kgo.NewClient(append(o.Connect(),
		kgo.FetchMaxWait(200*time.Millisecond),
		kgo.FetchMaxBytes(4<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.MaxConcurrentFetches(1),
	)...)
	if err != nil {
		return fmt.Errorf("reach kafka: %w", err)
	}
	defer client.Close()
	left, err := extent(ctx, client, names)
	if err != nil {
		return err
	}
	from := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range left {
		from[topic] = map[int32]kgo.Offset{}
		for p, part := range partitions {
			t.bounds(part)
			if part.start >= part.end {
				delete(partitions, p)
				continue
			}
			from[topic][p] = kgo.NewOffset().At(part.start)
		}
	}
	client.AddConsumePartitions(from)
	for remaining(left) > 0 {
		if err := poll(ctx, client, left, t); err != nil {
			return err
		}
	}
	return nil
}

func remaining(left map[string]map[int32]partition) int {
	n := 0
	for _, partitions := range left {
		n += len(partitions)
	}
	return n
}

// extent asks where the partitions begin and end now.
func extent(ctx context.Context, client *kgo.Client, names []string) (map[string]map[int32]partition, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("ask kafka where its topics begin: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("ask kafka where its topics end: %w", err)
	}
	all := map[string]map[int32]partition{}
	for _, name := range names {
		all[name] = map[int32]partition{}
		for p, end := range ends[name] {
			start, _ := starts.Lookup(name, p)
			if err := errors.Join(start.Err, end.Err); err != nil {
				return nil, fmt.Errorf("topic %s partition %d: %w", name, p, err)
			}
			all[name][p] = partition{start.Offset, end.Offset}
		}
	}
	return all, nil
}

func poll(ctx context.Context, client *kgo.Client, left map[string]map[int32]partition, t *tally) error {
	fetches := client.PollRecords(ctx, 10_000)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	var failed error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		part, wanted := left[p.Topic][p.Partition]
		if !wanted {
			return
		}
		if p.Err != nil && !kerr.IsRetriable(p.Err) && failed == nil {
			failed = fmt.Errorf("read topic %s partition %d: %w", p.Topic, p.Partition, p.Err)
		}
		for _, r := range p.Records {
			if r.Offset < part.end {
				t.see(r)
			}
			if r.Offset >= part.end-1 {
				delete(left[p.Topic], p.Partition)
			}
		}
	})
	return failed
}
