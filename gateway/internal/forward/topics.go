package forward

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// topicFacts is what a client learned about each topic before its first record.
type topicFacts map[string]topicFact

// A topicFact is what Kafka said about one topic.
type topicFact struct {
	partitions int
	batchLimit int32 // max.message.bytes; 0: it did not say
	// How far CreateTime may be from the broker's clock; negative: it did not
	// say.
	before, after time.Duration
}

// A batch is larger than Kafka counts only if compression fails, and never
// larger than half a MiB: five of them are in flight for each broker, and this
// runs beside other things on 512 MB.
const (
	ownBatchLimit = 512 << 10
	batchOverhead = 256 // header of the batch and of one record, rounded up
	minBatchLimit = 1 << 10
)

// batchLimit is asked by the client when it first sees a partition.
func (c *client) batchLimit(topic string) int32 {
	limit := c.facts[topic].batchLimit
	if limit <= 0 {
		return ownBatchLimit
	}
	return min(max(limit, minBatchLimit), ownBatchLimit)
}

// recordLimit is the size of a record's key, value and headers above which no
// batch can carry it; the client would refuse it by itself, while records
// behind it pass.
func (c *client) recordLimit(topic string) int { return int(c.batchLimit(topic)) - batchOverhead }

// settings of the topics that are made here.
func topicSettings(compacted bool) map[string]*string {
	if compacted {
		return map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
	}
	return map[string]*string{
		// Retention looks at CreateTime: with the default of 7 days a backlog
		// of last week would be deleted right after it arrived.
		"retention.ms":           kadm.StringPtr(strconv.FormatInt((400 * 24 * time.Hour).Milliseconds(), 10)),
		"message.timestamp.type": kadm.StringPtr("CreateTime"),
		// Since Kafka 4 a CreateTime more than an hour ahead is refused.
		"message.timestamp.after.max.ms": kadm.StringPtr(strconv.FormatInt(math.MaxInt64, 10)),
		// acks=all on one home broker is its page cache; this bounds what a
		// power cut takes to a second.
		"flush.ms": kadm.StringPtr("1000"),
	}
}

// optionalSettings may be unknown to an older broker or refused by a hosted
// one; the topic is of use without them.
var optionalSettings = [...]string{"message.timestamp.after.max.ms", "flush.ms"}

// ensureTopics returns once the topics that forward writes exist. It makes what
// is missing, where that is allowed; else the error says what is missing.
func (f *Forwarder) ensureTopics(ctx context.Context, c *client) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	t := f.o.Topics
	needed := []string{t.Readings, t.Events, t.DeadLetter}
	asked := needed
	if t.Devices != "" {
		asked = append(asked[:len(asked):len(asked)], t.Devices)
	}
	meta, err := c.admin.Metadata(ctx, asked...)
	if err != nil {
		return fmt.Errorf("ask kafka for its topics: %w", err)
	}
	made := false
	for _, name := range asked {
		err := meta.Topics[name].Err
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = f.createTopic(ctx, c, name)
			made = made || err == nil && name != t.Devices
		}
		if err != nil && name == t.Devices {
			f.devicesMissing(err)
			continue
		}
		if err != nil {
			return fmt.Errorf("topic %s: %w", name, err)
		}
	}
	if made {
		return errJustMade
	}
	c.facts, err = describe(ctx, c.admin, meta, needed)
	return err
}

// errJustMade asks for one more look: a topic has no partitions yet in the
// metadata of the moment before.
var errJustMade = errors.New("topic was made just now")

const justMadeWait = 200 * time.Millisecond

func (f *Forwarder) createTopic(ctx context.Context, c *client, name string) error {
	if !f.o.CreateTopics {
		return &topicMissing{topic: name}
	}
	settings := topicSettings(name == f.o.Topics.Devices)
	err := create(ctx, c.admin, name, settings)
	if errors.Is(err, kerr.InvalidConfig) || errors.Is(err, kerr.PolicyViolation) {
		plain := maps.Clone(settings)
		for _, s := range optionalSettings {
			delete(plain, s)
		}
		err = create(ctx, c.admin, name, plain)
	}
	switch {
	case err == nil:
		f.o.Log.Info("kafka topic made", "topic", name)
		return nil
	case errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case isAnswer(err):
		return &topicMissing{topic: name, cause: err}
	default:
		return fmt.Errorf("create topic %s: %w", name, err)
	}
}

// create leaves the numbers of partitions and replicas to the broker.
func create(ctx context.Context, admin *kadm.Client, name string, settings map[string]*string) error {
	const brokerDefault = -1
	r, err := admin.CreateTopic(ctx, brokerDefault, brokerDefault, settings, name)
	if err != nil && r.ErrMessage != "" {
		return fmt.Errorf("%w (%s)", err, r.ErrMessage)
	}
	return err
}

// devicesMissing is no reason to keep readings back: forward does not write
// that topic.
func (f *Forwarder) devicesMissing(err error) {
	if f.said.devices {
		return
	}
	f.said.devices = true
	f.o.Log.Warn("kafka topic for devices is missing", "error", err, "do", Advice(err))
}

// describe asks for the settings that matter. It does without them where the
// user may not see them: what Kafka then refuses is found by halving.
func describe(ctx context.Context, admin *kadm.Client, meta kadm.Metadata, names []string) (topicFacts, error) {
	facts := make(topicFacts, len(names))
	for _, name := range names {
		n := len(meta.Topics[name].Partitions)
		if n == 0 {
			return nil, fmt.Errorf("topic %s: %w", name, kerr.LeaderNotAvailable)
		}
		facts[name] = topicFact{partitions: n, before: -1, after: -1}
	}
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("ask kafka for the settings of its topics: %w", err)
	}
	for _, config := range configs {
		fact, ok := facts[config.Name]
		if !ok || config.Err != nil {
			continue
		}
		for _, c := range config.Configs {
			fact.learn(c.Key, c.MaybeValue())
		}
		facts[config.Name] = fact
	}
	return facts, nil
}

func (t *topicFact) learn(key, value string) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return // a setting of another type
	}
	switch key {
	case "max.message.bytes":
		t.batchLimit = int32(min(n, math.MaxInt32))
	case "message.timestamp.before.max.ms":
		t.before = milliseconds(n)
	case "message.timestamp.after.max.ms":
		t.after = milliseconds(n)
	}
}

// milliseconds does not overflow: Kafka's "no limit" is the largest int64.
func milliseconds(n int64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
