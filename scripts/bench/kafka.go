//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startKafka starts a real Kafka with empty topics.
func (l *lab) startKafka(ctx context.Context) error {
	out, err := l.kafka(ctx, "start", "--port", "0", "--while", fmt.Sprint(os.Getpid()))
	if err != nil {
		return err
	}
	found := regexp.MustCompile(`bootstrap=(\S+)`).FindStringSubmatch(out)
	if found == nil {
		return fmt.Errorf("scripts/kafka start printed %q", out)
	}
	l.bootstrap = found[1]
	return nil
}

func (l *lab) kafka(ctx context.Context, command string, more ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "scripts/kafka", append([]string{command, "--dir", l.path("kafka")}, more...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("scripts/kafka %s: %w\n%s", command, err, out)
	}
	return string(out), nil
}

// kafkaPID is the process of the broker.
func (l *lab) kafkaPID(ctx context.Context) (pid int, err error) {
	out, err := l.kafka(ctx, "status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		if n, _ := fmt.Sscanf(line, "pid=%d", &pid); n == 1 {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("scripts/kafka status names no pid: %s", out)
}

// freshTopic removes what an earlier measure left and makes the topic with as
// many partitions for every system.
func (l *lab) freshTopic(ctx context.Context, topic string) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(l.bootstrap))
	if err != nil {
		return err
	}
	defer k.Close()
	admin := kadm.NewClient(k)
	if _, err := admin.DeleteTopic(ctx, topic); err == nil {
		time.Sleep(time.Second) // the broker deletes in the background
	}
	r, err := admin.CreateTopic(ctx, 3, 1, nil, topic)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return fmt.Errorf("make topic %s: %w", topic, err)
	}
	return nil
}

// A reader reads a topic from its present end.
type reader struct{ k *kgo.Client }

func (l *lab) read(ctx context.Context, topic string) (*reader, error) {
	k, err := kgo.NewClient(kgo.SeedBrokers(l.bootstrap), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50*time.Millisecond), kgo.DisableFetchSessions())
	if err != nil {
		return nil, err
	}
	return &reader{k}, nil
}

// await reads until n records were seen and calls each for every one of them.
func (r *reader) await(ctx context.Context, n int, each func(*kgo.Record)) error {
	for seen := 0; seen < n; {
		fetched := r.k.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d of %d records came: %w", seen, n, err)
		}
		seen += fetched.NumRecords()
		if each != nil {
			fetched.EachRecord(each)
		}
	}
	return nil
}
