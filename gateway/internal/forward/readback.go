package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errUnreadable: the records cannot be read back, so that only the length of a
// log can tell whether it was rewound.
var errUnreadable = errors.New("kafka topics cannot be read back")

// maxUnread is how many attempts in a row may fail before forward does without
// the answer. A topic that takes records and does not give them must not keep
// readings back.
const maxUnread = 3

// readIDs returns the identity of each record in the given parts, nil when they
// cannot be read.
func (f *Forwarder) readIDs(ctx context.Context, parts map[lane]span) (map[lane]map[int64]string, error) {
	ids := make(map[lane]map[int64]string, len(parts))
	for l := range parts {
		ids[l] = map[int64]string{}
	}
	err := f.read(ctx, parts, func(r *kgo.Record) {
		ids[lane{r.Topic, r.Partition}][r.Offset] = string(recordID(r))
	})
	if errors.Is(err, errUnreadable) {
		return nil, nil
	}
	return ids, err
}

// read gives each record in the given parts to see.
func (f *Forwarder) read(ctx context.Context, parts map[lane]span, see func(*kgo.Record)) error {
	timeout := adminTimeout
	if f.unread >= maxUnread {
		timeout = dialTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := f.readAll(limited, parts, see)
	if err == nil {
		f.unread = 0
		return nil
	}
	f.unread++
	if ctx.Err() != nil || !errors.Is(err, kerr.TopicAuthorizationFailed) && f.unread < maxUnread {
		return err
	}
	if !f.said.unreadable {
		f.said.unreadable = true
		f.o.Log.Warn("kafka topics cannot be read back; of a rewound kafka only a shorter log will be noticed",
			"error", err, "do", "allow the user to READ the plantgate topics")
	}
	return errUnreadable
}

// readAll has a client of its own: a consumer's state in the producing one would
// outlive the question.
func (f *Forwarder) readAll(ctx context.Context, parts map[lane]span, see func(*kgo.Record)) error {
	if len(parts) == 0 {
		return nil
	}
	from := map[string]map[int32]kgo.Offset{}
	for l, part := range parts {
		if from[l.topic] == nil {
			from[l.topic] = map[int32]kgo.Offset{}
		}
		from[l.topic][l.partition] = kgo.NewOffset().At(part.from)
	}
	consumer, err := kgo.NewClient(append(f.o.connectOpts(),
		kgo.ConsumePartitions(from),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(200*time.Millisecond),
		kgo.FetchMaxBytes(1<<20),
		kgo.FetchMaxPartitionBytes(256<<10),
		kgo.MaxConcurrentFetches(1),
		kgo.KeepRetryableFetchErrors(),
	)...)
	if err != nil {
		return err
	}
	defer consumer.Close()
	left := make(map[lane]span, len(parts))
	for l, part := range parts {
		left[l] = part
	}
	for len(left) > 0 {
		if err := readOnce(ctx, consumer, left, see); err != nil {
			return err
		}
	}
	return nil
}

// readOnce takes what one poll brings and removes the parts that are complete.
func readOnce(ctx context.Context, consumer *kgo.Client, left map[lane]span, see func(*kgo.Record)) error {
	fetches := consumer.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	var failed error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		l := lane{p.Topic, p.Partition}
		part, wanted := left[l]
		if !wanted {
			return
		}
		for _, r := range p.Records {
			if r.Offset <= part.to {
				see(r)
			}
			if r.Offset >= part.to {
				delete(left, l)
			}
		}
		if p.Err != nil && !kerr.IsRetriable(p.Err) && failed == nil {
			failed = fmt.Errorf("read back topic %s partition %d: %w", p.Topic, p.Partition, p.Err)
		}
	})
	return failed
}
