package forward_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// These run against Apache Kafka itself: kfake is faithful in the protocol, not
// in what a real log does when its server dies.

// A server is one Apache Kafka, started by scripts/kafka.
type server struct {
	script, dir, port string
}

// shared is the server of this process; the first test that needs it starts it.
var shared struct {
	sync.Once
	server *server
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if k := shared.server; k != nil {
		_ = k.do("kill") // --while does it otherwise
		os.RemoveAll(k.dir)
	}
	os.Exit(code)
}

// realKafka returns the server that the tests of this file share. They skip
// where it cannot be started, unless PLANTGATE_REQUIRE_KAFKA=1.
func realKafka(t *testing.T) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("real Kafka is left out by -short")
	}
	shared.Do(func() { shared.server, shared.err = startServer() })
	k, err := shared.server, shared.err
	if err != nil && os.Getenv("PLANTGATE_REQUIRE_KAFKA") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("no real Kafka here (PLANTGATE_REQUIRE_KAFKA=1 makes this an error): %v", err)
	}
	if err := k.do("start"); err != nil { // a test before may have failed while it was down
		t.Fatal(err)
	}
	return k
}

func startServer() (*server, error) {
	script, err := findScript()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "plantgate-kafka-")
	if err != nil {
		return nil, err
	}
	k := &server{script: script, dir: dir, port: freePort()}
	return k, k.do("start")
}

// freePort is chosen before the server runs, for the test in which it comes
// late. It lies below the ports of outgoing connections: one that tries to reach
// the server while it is down could else be given its port, and meet itself.
func freePort() string {
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	return "0"
}

func findScript() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		script := filepath.Join(dir, "scripts", "kafka")
		if _, missing := os.Stat(script); missing == nil {
			return script, nil
		}
	}
	return "", fmt.Errorf("scripts/kafka is in no folder above %s", dir)
}

// do runs a command of the script. The server ends with this process.
func (k *server) do(command string) error {
	args := []string{command, "--dir", k.dir}
	if command == "start" {
		args = append(args, "--port", k.port, "--while", strconv.Itoa(os.Getpid()))
	}
	c := exec.Command(k.script, args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		return fmt.Errorf("scripts/kafka %s: %w\n%s", command, err, out.String())
	}
	return nil
}

func (k *server) mustDo(t *testing.T, command string) {
	t.Helper()
	if err := k.do(command); err != nil {
		t.Fatal(err)
	}
}

func (k *server) address() string { return net.JoinHostPort("127.0.0.1", k.port) }

func (k *server) admin(t *testing.T) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.address()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// newRealRig has topics of its own, named after the test.
func newRealRig(t *testing.T, k *server) *rig {
	t.Helper()
	r := newRig(t)
	r.patience = time.Minute
	r.options.Brokers = []string{k.address()}
	r.options.Dial = nil
	r.options.Compression = ""
	r.options.CreateTopics = false
	r.options.Topics = forward.Topics{Readings: t.Name() + ".readings", Events: t.Name() + ".events", DeadLetter: t.Name() + ".dead"}
	r.options.Backoff = func(int) time.Duration { return 200 * time.Millisecond }
	return r
}

// stream stores readings of ten devices until stop is called, which returns the
// last number.
func (r *rig) stream(every time.Duration) (stop func() uint64) {
	done, last := make(chan struct{}), make(chan uint64)
	go func() {
		var n uint64
		for i := 0; ; i++ {
			select {
			case <-done:
				last <- n
				return
			default:
				n = r.store(r.reading(fmt.Sprintf("device-%d", i%10), float64(i)))
				time.Sleep(every)
			}
		}
	}()
	return func() uint64 {
		close(done)
		n := <-last
		r.sync(n)
		return n
	}
}

// The gateway is up before the server, the server is killed twice under load:
// nothing is missing, nothing is out of order.
func TestRealKafkaComesLateAndIsKilled(t *testing.T) {
	k := realKafka(t)
	k.mustDo(t, "stop")
	r := newRealRig(t, k)
	r.options.CreateTopics = true
	r.start()
	stop := r.stream(200 * time.Microsecond)
	time.Sleep(500 * time.Millisecond)
	k.mustDo(t, "start")
	r.until("some are confirmed", func(s forwardStats) bool { return s.Confirmed > 1000 })
	for range 2 {
		k.mustDo(t, "kill")
		time.Sleep(300 * time.Millisecond)
		k.mustDo(t, "start")
		from := r.forward.Stats().Confirmed
		r.until("it goes on", func(s forwardStats) bool { return s.Confirmed > from+1000 })
	}
	r.await(stop())
	wantComplete(t, r.forward.Stats().Confirmed, r.topic(r.options.Topics.Readings))
	if report := r.verify(); !report.OK() {
		t.Errorf("verify says:\n%s", report)
	}
	if n := r.log.count("kafka does not take records", "do="); n < 1 || n > 3 {
		t.Errorf("%d lines say that Kafka is away, want one for each time", n)
	}
}

// The broker makes no topics by itself and we may not: forward waits for a
// person. What it does make has its settings.
func TestRealKafkaTopics(t *testing.T) {
	k := realKafka(t)
	r := newRealRig(t, k)
	r.start()
	last := r.put("washer", 10)
	r.until("it says what is missing", func(s forwardStats) bool { return strings.Contains(s.LastError, "is missing") })
	topics := r.options.Topics
	if _, err := k.admin(t).CreateTopics(t.Context(), 1, 1, nil, topics.Readings, topics.Events, topics.DeadLetter); err != nil {
		t.Fatal(err)
	}
	r.await(last)
	wantSequence(t, r.topic(topics.Readings), upTo(10)...)

	made := newRealRig(t, k)
	made.options.CreateTopics = true
	made.options.Topics.Readings += ".made"
	made.start()
	made.await(made.put("washer", 1))
	configs, err := k.admin(t).DescribeTopicConfigs(t.Context(), made.options.Topics.Readings)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, c := range configs[0].Configs {
		have[c.Key] = c.MaybeValue()
	}
	for key, want := range map[string]string{"retention.ms": "34560000000", "flush.ms": "1000",
		"message.timestamp.after.max.ms": "9223372036854775807", "message.timestamp.type": "CreateTime"} {
		if have[key] != want {
			t.Errorf("topic has %s %s, want %s", key, have[key], want)
		}
	}
}

// Batches fit a topic with a small limit; one reading does not.
func TestRealKafkaWithSmallMessages(t *testing.T) {
	k := realKafka(t)
	r := newRealRig(t, k)
	topics := r.options.Topics
	admin := k.admin(t)
	small := map[string]*string{"max.message.bytes": kadm.StringPtr("6000")}
	if _, err := admin.CreateTopics(t.Context(), 1, 1, small, topics.Readings, topics.DeadLetter); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopics(t.Context(), 1, 1, nil, topics.Events); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.put("washer", 100)
	e := r.reading("washer", 1)
	e.Body = append(e.Body[:len(e.Body)-1], `,"x_long":"`+strings.Repeat("long ", 2000)+`"}`...)
	r.store(e)
	last := r.put("washer", 100)
	r.await(last)
	wantSequence(t, r.topic(topics.Readings), append(upTo(100), between(102, 201)...)...)
	aside := r.topic(topics.DeadLetter)
	wantSequence(t, aside, 101)
	if header(aside[0].Record, "bytes") == "" {
		t.Errorf("dead letter of %d bytes does not say how long it was", len(aside[0].Value))
	}
}

// The limit is lowered while the gateway runs, so that Kafka itself refuses.
func TestRealKafkaRefusesWhatItTookBefore(t *testing.T) {
	k := realKafka(t)
	r := newRealRig(t, k)
	r.options.CreateTopics = true
	r.options.Compression = "none"
	r.start()
	r.await(r.put("washer", 10))
	limit := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("3000")}}
	if _, err := k.admin(t).AlterTopicConfigs(t.Context(), limit, r.options.Topics.Readings); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // a broker takes up settings a little later
	for i := range 40 {
		r.store(r.reading("washer", float64(i)))
	}
	e := r.reading("washer", 1)
	e.Body = append(e.Body[:len(e.Body)-1], `,"x_long":"`+strings.Repeat("long ", 1000)+`"}`...)
	r.store(e)
	last := r.put("washer", 9)
	r.await(last)
	wantSequence(t, r.topic(r.options.Topics.Readings), append(upTo(50), between(52, 60)...)...)
	wantSequence(t, r.topic(r.options.Topics.DeadLetter), 51)
}

// A broker of today minds a time that is more than an hour ahead, and its owner has
// made it mind old ones. Only the time of the record changes.
func TestRealKafkaRefusesATime(t *testing.T) {
	k := realKafka(t)
	r := newRealRig(t, k)
	topics := r.options.Topics
	strict := map[string]*string{"message.timestamp.after.max.ms": kadm.StringPtr("3600000"), "message.timestamp.before.max.ms": kadm.StringPtr("86400000")}
	if _, err := k.admin(t).CreateTopics(t.Context(), 1, 1, strict, topics.Readings, topics.Events, topics.DeadLetter); err != nil {
		t.Fatal(err)
	}
	r.start()
	now := time.Now()
	for _, off := range []time.Duration{24 * time.Hour, -48 * time.Hour, 0} {
		e := r.reading("washer", 1)
		e.Taken.Wall = now.Add(off).UnixMilli()
		r.store(e)
	}
	last := r.put("washer", 47)
	r.await(last)
	all := r.topic(topics.Readings)
	wantSequence(t, all, upTo(50)...)
	for i, off := range []time.Duration{24 * time.Hour, -48 * time.Hour} {
		if d := all[i].Timestamp.Sub(now).Abs(); d > time.Minute || all[i].Fields["ts_ms"] != float64(now.Add(off).UnixMilli()) {
			t.Errorf("number %d has CreateTime %v and ts_ms %v, want now and %v ago", i+1, all[i].Timestamp, all[i].Fields["ts_ms"], -off)
		}
	}
	if n := len(r.topic(topics.DeadLetter)); n > 0 {
		t.Errorf("%d dead letters for a time", n)
	}
	proved(t, "real kafka refuses a time", "a day ahead and two days back among 50 readings, all there in order")
}

// The server dies and loses the end of a log that it had confirmed. It is filled
// again without anybody doing anything.
func TestRealKafkaLosesItsPageCache(t *testing.T) {
	k := realKafka(t)
	r := newRealRig(t, k)
	topics := r.options.Topics
	if _, err := k.admin(t).CreateTopics(t.Context(), 1, 1, nil, topics.Readings, topics.Events, topics.DeadLetter); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.await(r.put("washer", 100))
	k.mustDo(t, "stop") // all of it is on the disk
	log := filepath.Join(k.dir, "data", topics.Readings+"-0", "00000000000000000000.log")
	whole, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	k.mustDo(t, "start")
	r.await(r.put("washer", 50))
	k.mustDo(t, "kill")
	if err := os.Truncate(log, whole.Size()); err != nil {
		t.Fatal(err)
	}
	// What Kafka noted about the lost part is lost with it.
	for _, pattern := range []string{"*/*.snapshot", "*/*index", "*-checkpoint", ".kafka_cleanshutdown"} {
		files, err := filepath.Glob(filepath.Join(k.dir, "data", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.Contains(f, topics.Readings) || filepath.Dir(f) == filepath.Join(k.dir, "data") {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	k.mustDo(t, "start")
	last := r.put("washer", 30)
	r.await(last)
	r.until("the refill is done", refilled)
	wantRefilled(t, r.topic(topics.Readings), last, 101, 150)
	if es := r.rewindEvents(); len(es) != 1 {
		t.Errorf("events are %v, want one", es)
	}
	if report := r.verify(); !report.OK() {
		t.Errorf("verify says:\n%s", report)
	}
}
