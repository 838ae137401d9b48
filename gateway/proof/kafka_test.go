//go:build linux

package proof_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	readingsTopic   = "plantgate.readings.v1"
	eventsTopic     = "plantgate.events.v1"
	deadLetterTopic = "plantgate.deadletter.v1"
)

// A kafka is a real Apache Kafka of the test's own.
type kafka struct {
	t         *testing.T
	dir       string
	bootstrap string
}

// startKafka skips the test where there is none to be had.
func startKafka(t *testing.T) *kafka {
	t.Helper()
	if testing.Short() {
		t.Skip("a real Kafka takes some seconds to start")
	}
	k := &kafka{t: t, dir: filepath.Join(t.TempDir(), "kafka")}
	t.Cleanup(func() { k.script("kill") })
	k.start("--port", "0")
	return k
}

func (k *kafka) start(more ...string) {
	k.t.Helper()
	out := k.script("start", append(more, "--while", fmt.Sprint(os.Getpid()))...) // a test that is killed leaves none behind
	found := regexp.MustCompile(`bootstrap=(\S+)`).FindStringSubmatch(out)
	if found == nil {
		k.t.Fatalf("scripts/kafka start printed %q", out)
	}
	k.bootstrap = found[1]
}

func (k *kafka) stop() {
	k.t.Helper()
	k.script("stop")
}

// script runs scripts/kafka.
func (k *kafka) script(command string, more ...string) string {
	k.t.Helper()
	path := os.Getenv("PLANTGATE_KAFKA")
	if path == "" {
		path = "../../scripts/kafka"
	}
	// Not the test's context: at its end Kafka has to be stopped.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append([]string{command, "--dir", k.dir}, more...)...).Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out)
	case errors.As(err, &exit) && exit.ExitCode() == 4 && os.Getenv("PLANTGATE_REQUIRE_KAFKA") != "1":
		k.t.Skipf("no Kafka on this machine: %s", exit.Stderr)
	case errors.As(err, &exit):
		k.t.Fatalf("scripts/kafka %s: %v\n%s", command, err, exit.Stderr)
	default:
		k.t.Fatalf("scripts/kafka %s: %v", command, err)
	}
	return ""
}

// fakeKafka is a Kafka-protocol broker in this process, on any free port.
func fakeKafka(t *testing.T) (bootstrap string) {
	t.Helper()
	return fakeKafkaAt(t, freeAddress(t))
}

// fakeKafkaAt lets a Kafka come to an address where the gateway has looked for
// it in vain.
func fakeKafkaAt(t *testing.T, address string) (bootstrap string) {
	t.Helper()
	return clusterAt(t, address).ListenAddrs()[0]
}

// clusterAt is a fake Kafka that a test may close. Whatever starts a process at
// this moment holds the socket by which the address was found free until its
// exec, so that the address may be taken for some milliseconds.
func clusterAt(t *testing.T, address string) *kfake.Cluster {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	var c *kfake.Cluster
	becomes(5*time.Second, func() bool {
		c, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number), kfake.DefaultNumPartitions(3))
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// An arrival is a record as a consumer gets it.
type arrival struct {
	topic, key string
	value      gjson.Result
}

func (a arrival) id() string     { return a.value.Get("id").Str }
func (a arrival) seq() uint64    { return a.value.Get("seq").Uint() }
func (a arrival) device() string { return a.value.Get("device").Str }

// counter is what a device counted in its payload.
func (a arrival) counter() int { return int(math.Round(a.value.Get("energy_kwh").Num * 1000)) }

// readBack reads topics from their beginning to their present end, each
// partition in its order.
func readBack(t *testing.T, bootstrap string, topics ...string) []arrival {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	k, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	ends, err := kadm.NewClient(k).ListEndOffsets(ctx, topics...)
	if err != nil {
		t.Fatalf("ask for the end of the topics: %v", err)
	}
	missing := int64(0)
	ends.Each(func(o kadm.ListedOffset) { missing += max(o.Offset, 0) })
	var arrivals []arrival
	for missing > 0 {
		fetched := k.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records of %v could not be read: %v", missing, topics, fetched.Err())
		}
		fetched.EachRecord(func(r *kgo.Record) {
			end, _ := ends.Lookup(r.Topic, r.Partition)
			if r.Offset < end.Offset {
				missing--
				arrivals = append(arrivals, arrival{r.Topic, string(r.Key), gjson.ParseBytes(r.Value)})
			}
		})
	}
	return arrivals
}

// ofEvent returns the events of a type.
func ofEvent(arrivals []arrival, event string) (found []arrival) {
	for _, a := range arrivals {
		if a.topic == eventsTopic && a.value.Get("event").Str == event {
			found = append(found, a)
		}
	}
	return found
}
