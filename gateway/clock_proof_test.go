package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
)

// The clock of the board jumps by years and hours, at any moment, before NTP
// was heard and after, while sockets publish, Kafka comes and goes, the program
// is started again and the board's power is cut. Nothing reaches Kafka with a
// wrong time that is called good, what was taken while the time was known is
// called good, and nothing stalls.
//
// The real clock, ingest, buffer and forwarder run in a bubble of synctest with
// the system's clocks injected: no tool can step the clock of one Go program
// (they preload the C library, which it does not use), and the kernel's time
// namespaces move CLOCK_BOOTTIME, which does not step.
//
// PLANTGATE_SEED repeats a run, PLANTGATE_TORTURE makes 200 of it.
func TestClockStepsOverTheWholePath(t *testing.T) {
	runs, seed := 25, rand.Uint64()
	if os.Getenv("PLANTGATE_TORTURE") != "" {
		runs = 200
	}
	if text := os.Getenv("PLANTGATE_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("PLANTGATE_SEED: %v", err)
		}
		seed = given
	}
	t.Logf("PLANTGATE_SEED=%d", seed)
	total := counts{}
	for run := range runs {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			total.add(liveWithClock(t, dir, run%4 == 3, rand.New(rand.NewPCG(seed, uint64(run)))))
		})
		if t.Failed() {
			t.Fatalf("run %d of seed %d", run, seed)
		}
	}
	if total.good == 0 || total.uncertain == 0 || total.corrected == 0 || total.steps < runs {
		t.Errorf("%+v: the test was none", total)
		return
	}
	t.Logf("PROOF clock: %d runs, %d steps (-10 y, +2 y, +-1 h), %d restarts, %d boots; %d readings in Kafka, all of those sent: %d good (%d of them corrected), all within %s, %d uncertain",
		runs, total.steps, total.restarts, total.boots, total.good+total.uncertain, total.good, total.corrected, sameTime, total.uncertain)
}

// sameTime is what a right time may differ by: readings of one device in one
// millisecond are set apart.
const sameTime = 100 * time.Millisecond

type counts struct{ steps, restarts, boots, good, corrected, uncertain int }

func (c *counts) add(o counts) {
	c.steps += o.steps
	c.restarts += o.restarts
	c.boots += o.boots
	c.good += o.good
	c.corrected += o.corrected
	c.uncertain += o.uncertain
}

// liveWithClock is one run: sixty things happen, then all is well again.
func liveWithClock(t *testing.T, dir string, trust bool, random *rand.Rand) counts {
	t.Helper()
	b := newBoard(t, dir, trust, random)
	defer b.close()
	b.publish()
	for range 60 {
		b.happen()
		if t.Failed() {
			return b.counts
		}
	}
	b.settle()
	return b.counts
}

// A board is a gateway without its broker and sensors, its clocks, and the Kafka
// that it forwards to. True time is that of the bubble.
type board struct {
	t       *testing.T
	dir     string
	trust   bool
	random  *rand.Rand
	network kfake.VirtualNetwork
	kafka   *kfake.Cluster

	id      string
	booted  time.Time
	wrong   atomic.Int64 // wall clock minus true time
	synced  atomic.Bool  // what the kernel says
	online  atomic.Bool
	refuses atomic.Bool // Kafka is away
	sent    []taken
	counts  counts

	*gateway
	store *buffer.Buffer
	halt  func()
}

// A taken reading is what is true of it.
type taken struct {
	at     time.Time
	synced bool // the gateway knew the time
}

func newBoard(t *testing.T, dir string, trust bool, random *rand.Rand) *board {
	t.Helper()
	b := &board{t: t, dir: dir, trust: trust, random: random}
	var err error
	if b.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.DefaultNumPartitions(1), kfake.ListenFn(b.network.Listen)); err != nil {
		t.Fatal(err)
	}
	b.power()
	return b
}

func (b *board) close() {
	b.halt()
	b.kafka.Close()
}

// power is the start of a boot, with a clock that is wrong in one way or
// another, and knows nothing of it.
func (b *board) power() {
	b.counts.boots++
	b.id = fmt.Sprint("boot ", b.counts.boots)
	b.booted = time.Now().Add(-5 * time.Second)
	b.wrong.Store(int64(b.anyStep()))
	b.synced.Store(false)
	b.start()
}

const year = 365 * 24 * time.Hour

func (b *board) anyStep() time.Duration {
	return []time.Duration{-10 * year, 2 * year, time.Hour, -time.Hour}[b.random.IntN(4)]
}

// start runs the gateway's parts until halt.
func (b *board) start() {
	b.t.Helper()
	booted := b.booted
	c, err := clock.Open(clock.Options{
		Path: filepath.Join(b.dir, clockFile), Hold: 2 * time.Minute, Trust: b.trust, BootID: b.id,
		Wall:         b.wall,
		Boottime:     func() time.Duration { return time.Since(booted) },
		Synchronised: b.synced.Load,
		NetworkUp:    b.online.Load,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.gateway = &gateway{cfg: config.Config{Gateway: "pi1", Site: "home", DataDir: b.dir}, log: slog.New(slog.DiscardHandler), clock: c, mappings: new(mapping.Decoder)}
	if err := b.makeIngest(); err != nil {
		b.t.Fatal(err)
	}
	b.store, err = buffer.Open(filepath.Join(b.dir, bufferDir), buffer.Options{Limit: 64 << 20, SegmentSize: 1 << 20, Reserve: -1, Now: c.Trusted})
	if err != nil {
		b.t.Fatal(err)
	}
	b.attach(b.store)
	b.halt = b.runParts(c.Run, b.store.Run, b.ingest.Run, b.forwarder().Run)
}

func (b *board) wall() time.Time { return time.Now().Add(time.Duration(b.wrong.Load())) }

func (b *board) forwarder() *forward.Forwarder {
	return forward.New(forward.Options{
		Brokers: []string{"localhost:9092"}, CreateTopics: true, Place: place(b.cfg), Dial: b.dial, Event: b.ingest.Event,
		Compression: "snappy", // what zstd leaves to the runtime to close must not come from a bubble
	}, b.store, b.clock)
}

func (b *board) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if b.refuses.Load() {
		return nil, errors.New("no route to host")
	}
	return b.network.DialContext(ctx, network, address)
}

func (b *board) runParts(parts ...func(context.Context, func()) error) (halt func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range parts {
		ready := make(chan struct{})
		all.Go(func() {
			if err := run(ctx, sync.OnceFunc(func() { close(ready) })); err != nil {
				b.t.Error(err)
			}
		})
		<-ready
	}
	store := b.store
	return func() {
		cancel()
		all.Wait()
		if err := store.Close(); err != nil {
			b.t.Error(err)
		}
	}
}

// happen is one thing that befalls the board.
func (b *board) happen() {
	switch b.random.IntN(12) {
	case 0, 1, 2:
		b.publish()
	case 3, 4:
		time.Sleep(time.Duration(b.random.Int64N(int64(200 * time.Second))))
	case 5, 6:
		b.step(b.anyStep())
	case 7:
		b.ntp()
	case 8:
		b.synced.Store(false) // what the kernel says after hours without NTP
	case 9:
		b.online.Store(!b.online.Load())
	case 10:
		b.refuses.Store(!b.refuses.Load())
	case 11:
		b.again()
	}
	b.publish()
}

// step is somebody with `date -s`, or a program that believes a broken server:
// the kernel takes its word back that the clock is synchronised
// (kernel/time/ntp.c, ntp_clear).
func (b *board) step(wrong time.Duration) {
	b.counts.steps++
	b.synced.Store(false)
	b.wrong.Store(int64(wrong))
}

// ntp sets the clock, and says so. The gateway notices within a second.
func (b *board) ntp() {
	b.wrong.Store(0)
	b.synced.Store(true)
	time.Sleep(1500 * time.Millisecond)
}

// again is a restart of the program, or of the board.
func (b *board) again() {
	b.halt()
	if b.random.IntN(2) == 0 {
		b.counts.restarts++
		b.start()
		return
	}
	b.power()
}

// publish is a socket that says something and waits for the acknowledgement,
// which no clock may keep from coming.
func (b *board) publish() {
	b.t.Helper()
	begin := time.Now()
	n := len(b.sent) + 1
	now := taken{at: begin, synced: b.clock.Now().Synced}
	if b.trust {
		now.at = b.wall() // the owner's word
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tag, err := b.ingest.Accept(ctx, ingest.Message{Client: "washer", Topic: "tele/washer/SENSOR", QoS: 1,
		Payload: fmt.Appendf(nil, `{"ENERGY":{"Total":%d.%03d,"Power":7}}`, n/1000, n%1000)})
	if err == nil {
		err = b.store.Wait(ctx, tag)
	}
	if took := time.Since(begin); err != nil || took > time.Second {
		b.t.Errorf("reading %d: acknowledged after %v, %v", n, took, err)
	}
	b.sent = append(b.sent, now)
}

// settle gives network and Kafka back, but not the time, and checks what came.
func (b *board) settle() {
	b.t.Helper()
	b.online.Store(true)
	b.refuses.Store(false)
	last := b.store.Stats().Next - 1
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(time.Second) {
		confirmed, _ := b.store.Confirmed()
		if confirmed >= last {
			break
		}
		if time.Now().After(end) {
			b.t.Fatalf("number %d of %d is confirmed ten minutes after all is well", confirmed, last)
		}
	}
	b.check()
}

// check holds what is in Kafka against what is true.
func (b *board) check() {
	b.t.Helper()
	there := map[int]bool{}
	for _, r := range b.readBack() {
		n := int(r.Get("energy_kwh").Num*1000 + 0.5)
		if n < 1 || n > len(b.sent) {
			b.t.Fatalf("nobody sent %s", r.Raw)
		}
		if there[n] {
			continue // after a restart, with its id
		}
		there[n] = true
		b.judge(n, r)
	}
	if len(there) != len(b.sent) {
		b.t.Errorf("%d of %d readings are in Kafka", len(there), len(b.sent))
	}
}

func (b *board) judge(n int, r gjson.Result) {
	b.t.Helper()
	truth := b.sent[n-1]
	off := time.UnixMilli(r.Get("ts_ms").Int()).Sub(truth.at)
	switch good := r.Get("quality").Str == "good"; {
	case good && off.Abs() > sameTime:
		b.t.Errorf("reading %d is called good and wrong by %v (time known then: %v, trust %v): %s", n, off, truth.synced, b.trust, r.Raw)
	case good:
		b.counts.good++
		if !truth.synced {
			b.counts.corrected++
		}
	case truth.synced:
		b.t.Errorf("reading %d was taken while the time was known, and is called %s", n, r.Get("quality").Str)
	default:
		b.counts.uncertain++
	}
}

// readBack returns the readings in Kafka in their order.
func (b *board) readBack() (all []gjson.Result) {
	b.t.Helper()
	topic := forward.DefaultTopics().Readings
	k, err := kgo.NewClient(kgo.SeedBrokers("localhost:9092"), kgo.Dialer(b.network.DialContext), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer k.Close()
	ends, err := kadm.NewClient(k).ListEndOffsets(context.Background(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	for int64(len(all)) < end.Offset {
		k.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) { all = append(all, gjson.ParseBytes(r.Value)) })
	}
	return all
}
