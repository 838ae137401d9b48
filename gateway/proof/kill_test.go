//go:build linux

package proof_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// The program is killed at random moments, in its first milliseconds as well,
// while sockets with both versions of MQTT and all levels of QoS send and send
// again. Whatever was acknowledged is in Kafka, in the order of each device,
// what comes twice is what no written position covered, and what is missing is
// explained.
//
// PLANTGATE_SEED repeats a run, PLANTGATE_TORTURE makes it a long one.
func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	rounds, kills := 1, 30
	if torture() {
		rounds, kills = 10, 50
	}
	random := rand.New(rand.NewPCG(seedOf(t), 0))
	var all outcome
	for range rounds { // each with a Kafka of its own, which keeps all in memory
		t.Run("", func(t *testing.T) { all.add(killAtRandom(t, random, fakeKafka(t), kills)) })
	}
	proved(t, "kill -9 at random moments", "%s", all)
}

// The same with a real Kafka, whose answers take longer and come in other
// pieces.
func TestKilledBesideRealKafka(t *testing.T) {
	t.Parallel()
	kills := 5
	if torture() {
		kills = 50
	}
	random := rand.New(rand.NewPCG(seedOf(t), 0))
	all := killAtRandom(t, random, startKafka(t).bootstrap, kills)
	proved(t, "kill -9 at random moments, Apache Kafka", "%s", all)
}

func killAtRandom(t *testing.T, random *rand.Rand, brokers string, kills int) outcome {
	t.Helper()
	s := newStation(t, brokers, sections{"buffer": "{commit_every: 500ms, keep: 0s}"})
	home := startHome(t, s, 4*time.Millisecond)
	var marks []mark
	for range kills {
		p := s.launch()
		if random.IntN(4) > 0 { // else it may be killed while it starts
			p.awaitReady()
		}
		select {
		case <-time.After(time.Duration(random.Int64N(int64(1500 * time.Millisecond)))):
		case <-p.ended:
			t.Fatalf("the program ended by itself: %v\n%s", p.err, tail(p.log.String()))
		}
		at := time.Now()
		p.kill()
		marks = append(marks, s.mark(at))
	}
	return judgeKills(t, s, home, brokers, marks)
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("PLANTGATE_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("PLANTGATE_SEED: %v", err)
		}
		seed = given
	}
	t.Logf("PLANTGATE_SEED=%d", seed)
	return seed
}

// A homeful is the devices that live through a test and publish all the time.
type homeful struct {
	t       *testing.T
	devices []*device
	stop    chan struct{}
	all     sync.WaitGroup
	errs    chan error
}

// startHome starts devices of every kind: raw ones, and both clients of the
// Eclipse Foundation, which resend as their authors understand the standard.
func startHome(t *testing.T, s *station, pace time.Duration) *homeful {
	ctx, cancel := context.WithCancel(context.Background())
	h := &homeful{t: t, stop: make(chan struct{}), errs: make(chan error, 20)}
	t.Cleanup(func() { cancel(); h.all.Wait() })
	for version := byte(4); version <= 5; version++ {
		for qos := byte(0); qos <= 2; qos++ {
			for i := range 2 {
				d := &device{name: fmt.Sprintf("v%d-qos%d-%d", version, qos, i), version: version, qos: qos, window: 10, pace: pace}
				h.start(d, func() error { return d.run(ctx, s.mqtt, h.stop) })
			}
		}
	}
	for qos := byte(1); qos <= 2; qos++ {
		d3 := &device{name: fmt.Sprintf("paho3-qos%d", qos), version: 4, qos: qos}
		h.start(d3, func() error { return h.paho3(ctx, d3, s.mqtt) })
		d5 := &device{name: fmt.Sprintf("paho5-qos%d", qos), version: 5, qos: qos}
		h.start(d5, func() error { return h.paho5(ctx, d5, s.mqtt) })
	}
	return h
}

func (h *homeful) start(d *device, play func() error) {
	h.devices = append(h.devices, d)
	h.all.Go(func() { h.errs <- play() })
}

// finish lets every device bring what it has in flight to its end.
func (h *homeful) finish() {
	h.t.Helper()
	close(h.stop)
	late := time.After(time.Minute)
	for range h.devices {
		select {
		case err := <-h.errs:
			if err != nil {
				h.t.Error(err)
			}
		case <-late:
			h.t.Fatal("a device still waits for an answer after a minute")
		}
	}
}

func (h *homeful) stopped() bool {
	select {
	case <-h.stop:
		return true
	default:
		return false
	}
}

// hold checks each device, and that the test was one: messages were acknowledged
// over many connections.
func (h *homeful) hold(l *ledger, kills int) {
	h.t.Helper()
	few := max(2, kills/6) // a program that is killed while it starts takes no connection
	told := 0
	for _, d := range h.devices {
		l.hold(d)
		told += len(d.told)
		if d.qos > 0 && len(d.told) == 0 {
			h.t.Errorf("device %s: no message was acknowledged", d.name)
		}
		if d.qos == 0 && len(l.numbers[d.name]) == 0 {
			h.t.Errorf("device %s: nothing of it is in Kafka", d.name)
		}
		if d.window > 0 && d.connections < few {
			h.t.Errorf("device %s connected only %d times", d.name, d.connections)
		}
	}
	if told < 500 {
		h.t.Errorf("only %d messages were acknowledged", told)
	}
}

// paho3 publishes one message after the other with the client for MQTT 3.1.1,
// which keeps what is in flight and sends it again by itself.
func (h *homeful) paho3(ctx context.Context, d *device, address string) error {
	store := &answeredStore{mqtt.NewOrderedMemoryStore(), make(chan string, 64)}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID(d.name).SetCleanSession(false).SetStore(store).
		SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).SetMaxReconnectInterval(100 * time.Millisecond)
	c := mqtt.NewClient(o)
	defer c.Disconnect(0)
	select {
	case <-c.Connect().Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	for !h.stopped() {
		d.sent++
		token := c.Publish(d.topic(), d.qos, false, energy(nil, d.sent)).(*mqtt.PublishToken)
		if err := store.await(ctx, token.MessageID()); err != nil {
			return fmt.Errorf("%s: message %d was never answered: %w", d.name, d.sent, err)
		}
		d.told = append(d.told, d.sent)
	}
	return nil
}

// An answeredStore says when the client deletes a message because its answer
// came. The token that Publish returns cannot be used for that: it is completed
// as well when the message is sent again (messageids.go, claimID).
type answeredStore struct {
	mqtt.Store
	answered chan string
}

func (s *answeredStore) Del(key string) {
	s.Store.Del(key)
	select {
	case s.answered <- key:
	default: // nobody waits any more
	}
}

func (s *answeredStore) await(ctx context.Context, id uint16) error {
	for {
		select {
		case key := <-s.answered:
			if key == fmt.Sprintf("o.%d", id) { // outbound
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// paho5 does the same with the client for MQTT 5. Its Publish gives up when the
// connection breaks, although the message is sent again in the session; what
// was told so late does not count as acknowledged.
func (h *homeful) paho5(ctx context.Context, d *device, address string) error {
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{{Scheme: "tcp", Host: address}}, KeepAlive: 60, SessionExpiryInterval: 3600,
		ReconnectBackoff: autopaho.NewConstantBackoff(50 * time.Millisecond), ConnectTimeout: 5 * time.Second,
		ClientConfig: paho.ClientConfig{ClientID: d.name},
	})
	if err != nil {
		return err
	}
	for !h.stopped() {
		if err := cm.AwaitConnection(ctx); err != nil {
			return err
		}
		d.sent++
		answer, err := cm.Publish(ctx, &paho.Publish{Topic: d.topic(), QoS: d.qos, Payload: energy(nil, d.sent)})
		switch {
		case err == nil:
			d.told = append(d.told, d.sent)
		case answer != nil && answer.ReasonCode >= 0x80:
			d.refused = append(d.refused, fmt.Sprintf("message %d: reason %#x", d.sent, answer.ReasonCode))
		}
	}
	if err := cm.Disconnect(ctx); err != nil && !errors.Is(err, autopaho.ConnectionDownError) {
		return err
	}
	return nil
}
