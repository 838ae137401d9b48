package forward_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/reading"
)

// A rig is the real buffer, the real clock and the forwarder, before a Kafka
// whose network lives in memory, so that in a synctest bubble days pass in
// milliseconds.
type rig struct {
	t             *testing.T
	net           *kfake.VirtualNetwork
	kafka         *kfake.Cluster
	dir           string
	options       forward.Options
	bufferOptions buffer.Options
	buffer        *buffer.Buffer
	clock         *clock.Clock
	forward       *forward.Forwarder
	log           *logBook
	stop          func()
	// patience is how long until waits: an hour in a bubble passes at once.
	patience time.Duration
	wrap     func(net.Conn) net.Conn // each connection to Kafka; nil: as it is
	rightTLS *tls.Config             // for a test that begins with a wrong one
	mayEnd   string                  // what forward may say when it ends by itself; "": it may not

	synced sync.Mutex   // of the board's clock; locked: not synchronised
	behind atomic.Int64 // by how much it is, while it is not

	mu     sync.Mutex
	events []reading.Event
	cut    bool // the network is down
	conns  []net.Conn
	muted  *atomic.Bool // of the present connections
	ended  error        // what forward ended with
}

var place = reading.Place{Gateway: "pi1", Site: "home"}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, net: new(kfake.VirtualNetwork), dir: t.TempDir(), log: new(logBook), patience: time.Hour, muted: new(atomic.Bool)}
	r.bufferOptions = buffer.Options{Limit: 64 << 20, SegmentSize: 1 << 20, Reserve: -1}
	r.options = forward.Options{
		Brokers:      []string{"localhost:9092"},
		CreateTopics: true,
		Place:        place,
		Dial:         r.dial,
		Log:          slog.New(r.log),
		// The client lets the runtime close its zstd decoders, which it may not
		// do with what was made in a bubble.
		Compression: "snappy",
		Event: func(e reading.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
	}
	t.Cleanup(func() {
		r.halt()
		if r.kafka != nil {
			r.kafka.Close()
		}
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
			if r.forward != nil {
				t.Logf("stats: %+v", r.forward.Stats())
			}
		}
	})
	return r
}

// dial reports a missing listener as TCP does.
func (r *rig) dial(ctx context.Context, network, address string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		return nil, refused
	}
	conn, err := r.net.DialContext(ctx, network, address)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, refused
	}
	if r.wrap != nil {
		conn = r.wrap(conn)
	}
	conn = &mutedConn{Conn: conn, muted: r.muted}
	r.conns = append(r.conns, conn)
	return conn, nil
}

// A mutedConn gives nothing back once it is muted: a half-open connection, as
// after a router forgot it.
type mutedConn struct {
	net.Conn
	muted *atomic.Bool
}

func (c *mutedConn) Read(b []byte) (n int, err error) {
	for n, err = c.Conn.Read(b); err == nil && c.muted.Load(); n, err = c.Conn.Read(b) {
	}
	return n, err
}

// mute makes all present connections half-open; later ones work.
func (r *rig) mute() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.muted.Store(true)
	r.muted = new(atomic.Bool)
}

// cutNetwork ends all connections and lets none be made until mendNetwork.
func (r *rig) cutNetwork() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *rig) mendNetwork() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = false
}

// startKafka starts a cluster of one broker with one partition for each topic,
// unless the options say otherwise.
func (r *rig) startKafka(opts ...kfake.Opt) {
	r.t.Helper()
	all := append([]kfake.Opt{kfake.NumBrokers(1), kfake.Ports(9092), kfake.DefaultNumPartitions(1), kfake.ListenFn(r.net.Listen)}, opts...)
	c, err := kfake.NewCluster(all...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.kafka = c
}

func (r *rig) stopKafka() {
	r.kafka.Close()
	r.kafka = nil
}

// start runs everything but Kafka. Run again after halt, it is a restart of the
// program.
func (r *rig) start() {
	r.t.Helper()
	r.open()
	r.run()
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	r.clock, err = clock.Open(clock.Options{
		Path: filepath.Join(r.dir, "clock"), Hold: time.Hour,
		BootID: "boot", NetworkUp: func() bool { return true },
		Boottime: func() time.Duration { return time.Since(bootTime) },
		Wall:     func() time.Time { return time.Now().Add(-time.Duration(r.behind.Load())) },
		Synchronised: func() bool {
			if !r.synced.TryLock() {
				return false
			}
			r.synced.Unlock()
			return true
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.buffer, err = buffer.Open(filepath.Join(r.dir, "buffer"), r.bufferOptions)
	if err != nil {
		r.t.Fatal(err)
	}
}

// In a bubble time starts at midnight of 2000-01-01.
var bootTime = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.forward = forward.New(r.options, r.buffer, r.clock)
	var group sync.WaitGroup
	for name, run := range map[string]func(context.Context, func()) error{
		"buffer": r.buffer.Run, "clock": r.clock.Run, "forward": r.forward.Run,
	} {
		ready := make(chan struct{})
		group.Go(func() {
			err := run(ctx, sync.OnceFunc(func() { close(ready) }))
			if err != nil && (name != "forward" || r.mayEnd == "" || !strings.Contains(err.Error(), r.mayEnd)) {
				r.t.Errorf("%s ends with %v, want nil", name, err)
			}
			if name == "forward" {
				r.mu.Lock()
				r.ended = err
				r.mu.Unlock()
			}
		})
		<-ready
	}
	r.stop = func() {
		cancel()
		group.Wait()
		if err := r.buffer.Close(); err != nil {
			r.t.Errorf("close buffer: %v", err)
		}
	}
}

func (r *rig) halt() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// put stores n readings of a device and returns the number of the last one.
func (r *rig) put(device string, n int) uint64 {
	r.t.Helper()
	var last uint64
	for i := range n {
		last = r.store(r.reading(device, float64(i)))
	}
	r.sync(last)
	return last
}

// putUnread stores n readings before anything runs; the buffer makes them
// durable once it does.
func (r *rig) putUnread(device string, n int) (last uint64) {
	r.t.Helper()
	for i := range n {
		last = r.store(r.reading(device, float64(i)))
	}
	return last
}

func (r *rig) reading(device string, watts float64) envelope.Envelope {
	r.t.Helper()
	body, err := reading.AppendBody(nil, place, reading.Reading{
		Device: device, Source: "tasmota", Values: []reading.Value{{Metric: reading.Power, Number: watts}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return envelope.Envelope{Kind: envelope.Reading, Taken: r.clock.Now(), Key: device, Body: body}
}

func (r *rig) store(e envelope.Envelope) uint64 {
	r.t.Helper()
	last, err := r.buffer.Append(context.Background(), e.Append(nil))
	if err != nil {
		r.t.Fatal(err)
	}
	return last
}

func (r *rig) sync(number uint64) {
	r.t.Helper()
	if err := r.buffer.Wait(context.Background(), number); err != nil {
		r.t.Fatal(err)
	}
}

// await waits until forward has confirmed number.
func (r *rig) await(number uint64) {
	r.t.Helper()
	r.until(fmt.Sprintf("number %d is confirmed", number), func(s forward.Stats) bool { return s.Confirmed >= number })
}

// until waits for what Stats show.
func (r *rig) until(what string, ok func(forward.Stats) bool) {
	r.t.Helper()
	for end := time.Now().Add(r.patience); !ok(r.forward.Stats()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited %v until %s; stats: %+v", r.patience, what, r.forward.Stats())
		}
	}
}

// restartKafka closes the cluster, lets change touch its files, and starts it
// again.
func (r *rig) restartKafka(change func(), opts ...kfake.Opt) {
	r.t.Helper()
	r.stopKafka()
	if change != nil {
		change()
	}
	r.startKafka(opts...)
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

type forwardStats = forward.Stats

func refilled(s forwardStats) bool { return s.State != forward.Refilling && s.Replayed > 0 }

// foreign writes n records of another gateway to all partitions of a topic.
func (r *rig) foreign(topic string, n int) {
	r.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.options.Brokers...), kgo.Dialer(r.net.DialContext))
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	for i := range n {
		id := fmt.Sprintf("pi1-cellar-0badcafe-%d", i+1)
		cl.Produce(context.Background(), &kgo.Record{
			Topic: topic, Key: []byte(strconv.Itoa(i)), Value: []byte(`{"id":"` + id + `"}`),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				r.t.Error(err)
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// addPartitions raises the number of partitions of a topic.
func (r *rig) addPartitions(topic string, to int32) {
	r.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.options.Brokers...), kgo.Dialer(r.net.DialContext))
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	res, err := kadm.NewClient(cl).UpdatePartitions(context.Background(), int(to), topic)
	if err == nil {
		err = res.Error()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}
