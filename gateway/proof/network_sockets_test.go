//go:build linux

package proof_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/proof/relay"
)

// Half of the sockets hang on a Wi-Fi that does everything a Wi-Fi does. What
// they were told is in Kafka, in order and once; the others notice nothing, and
// the gateway keeps nothing of the connections that broke.
//
// PLANTGATE_SEED repeats a run, PLANTGATE_TORTURE makes it a long one.
func TestNetworkBetweenSocketsAndGateway(t *testing.T) {
	t.Parallel()
	cycles := 20
	if torture() {
		cycles = 300
	}
	brokers := fakeKafka(t)
	g, config := withGauge(t, nil)
	s := newStation(t, brokers, config)
	p := s.start()
	r := newRelay(t, freeAddress(t), s.mqtt)

	near := kinds("near", 20*time.Millisecond, 1, 2)
	finishNear := background(t, s, near)
	before := g.await(time.Minute, "Kafka confirms", func(now map[string]float64) bool { return now[confirmed] > 50 })
	far := kinds("far", 10*time.Millisecond, 0, 1, 2)
	through := *s
	through.mqtt = r.Addr()
	finishFar := background(t, &through, far)
	w := newWeather(t, r)
	for range cycles {
		w.pass(p, w.upTo(300*time.Millisecond))
		w.cycle(p)
	}
	finishFar()
	after := g.awaitLevel(before)
	finishNear()
	s.awaitForwarded(time.Minute)

	l := book(t, readBack(t, brokers, readingsTopic))
	worst := undisturbed(t, near, patience)
	for _, d := range append(far, near...) {
		l.hold(d)
		if d.qos == 2 && l.again[d.name] > 0 {
			t.Errorf("%s: %d messages of QoS 2 came twice", d.name, l.again[d.name])
		}
	}
	for _, d := range far {
		if d.qos > 0 && (d.connections < 4 || len(d.told) == 0) {
			t.Errorf("%s connected %d times, and %d of its messages were acknowledged: the test was none", d.name, d.connections, len(d.told))
		}
	}
	if l.twice > 0 {
		t.Errorf("%d records came twice with their id although neither Kafka nor the gateway was away", l.twice)
	}
	s.verify()
	p.stop()
	proved(t, "network, sockets", "%v; %d messages acknowledged, none missing, out of order or unmarked twice; the others' longest wait %s; goroutines %v before and %v after, descriptors %v and %v",
		w, acknowledged(far, near), worst.Round(time.Millisecond), before[goroutines], after[goroutines], before[descriptors], after[descriptors])
}

// A socket whose power is cut says nothing any more: no FIN, no RST. The broker
// may let it go after one and a half times its keepalive, and must then (MQTT
// 3.1.1, [MQTT-3.1.2-24]); its will is how the home learns of it.
func TestNetworkDropsDeadClientsByKeepalive(t *testing.T) {
	t.Parallel()
	const keepalive, clients, late = 2 * time.Second, 25, 2 * time.Second
	g, config := withGauge(t, nil)
	s := newStation(t, fakeKafka(t), config)
	p := s.start()
	r := newRelay(t, freeAddress(t), s.mqtt)
	before := g.await(time.Minute, "metrics", func(now map[string]float64) bool { return now[mqttClients] == 0 })
	watcher := connect(t, s.mqtt, greeting{id: "watcher", version: 4})
	watcher.subscribe("tele/+/LWT")

	for i := range clients {
		name := fmt.Sprintf("socket%02d", i)
		hello := greeting{id: name, version: 4 + byte(i%2), willTopic: "tele/" + name + "/LWT", will: "Offline"}.bytes()
		binary.BigEndian.PutUint16(hello[10:], uint16(keepalive/time.Second)) // behind length, "MQTT", version and flags
		c := dial(t, r.Addr())
		c.send(hello)
		if head, body := c.packet(); head != connack || body[1] != 0 {
			t.Fatalf("answer to CONNECT: %x %x", head, body)
		}
	}
	begin := time.Now()
	if n := r.Vanish(relay.Client); n != clients {
		t.Fatalf("%d connections, want %d", n, clients)
	}
	dead := map[string]bool{}
	for len(dead) < clients {
		topic, payload, _ := watcher.message()
		if took := time.Since(begin); took < keepalive || took > keepalive*3/2+late {
			t.Errorf("%s %s after %s of silence, want it about %s after the last sign of life", topic, payload, took, keepalive*3/2)
		}
		dead[topic] = true
	}
	took := time.Since(begin)
	after := g.awaitLevel(before)
	if n := r.Open(); n > 0 {
		t.Errorf("%d connections of dead clients are still open", n)
	}
	watcher.Close()
	p.stop()
	proved(t, "network, keepalive", "%d half-open clients with a keepalive of %s gone after %s, each with its will; goroutines %v before and %v after",
		clients, keepalive, took.Round(10*time.Millisecond), before[goroutines], after[goroutines])
}

// A dashboard that freezes, or reads a byte a second, while the home talks on:
// stock mochi then stops every publisher for ever. Here the others wait for no
// longer than the write deadline, and the dashboard is cut off.
func TestNetworkFrozenSubscriberDelaysNobody(t *testing.T) {
	t.Parallel()
	rounds := 2
	if torture() {
		rounds = 20
	}
	brokers := fakeKafka(t)
	g, config := withGauge(t, nil)
	s := newStation(t, brokers, config)
	p := s.start()
	r := newRelay(t, freeAddress(t), s.mqtt)
	near := kinds("near", 20*time.Millisecond, 1, 2)
	finish := background(t, s, near)
	talker := connect(t, s.mqtt, greeting{id: "talker", version: 4})
	before := g.await(time.Minute, "all are connected", func(now map[string]float64) bool { return now[mqttClients] == float64(len(near)+1) })

	var longest time.Duration
	for round := range rounds {
		dashboard := connect(t, r.Addr(), greeting{id: fmt.Sprint("dashboard", round), version: 4})
		dashboard.subscribe("#")
		frozen := relay.Flow{Stopped: true}
		if round%2 == 1 {
			frozen = relay.Flow{Rate: 1}
		}
		r.Set(relay.Server, frozen)
		talkUntilHeld(t, g, talker)
		begin := time.Now()
		g.await(15*time.Second, "the frozen subscriber is cut off", func(now map[string]float64) bool { return now[mqttClients] == before[mqttClients] })
		longest = max(longest, time.Since(begin))
		r.Cut(relay.Reset)
		r.Set(relay.Server, relay.Flow{})
	}
	after := g.awaitLevel(before)
	finish()
	s.awaitForwarded(time.Minute)
	worst := undisturbed(t, near, patience)
	l := book(t, readBack(t, brokers, readingsTopic))
	for _, d := range near {
		l.hold(d)
	}
	p.stop()
	proved(t, "network, frozen subscriber", "cut off %d times of %d, %s after its buffers were full at most; the others' longest wait %s; goroutines %v before and %v after",
		rounds, rounds, longest.Round(10*time.Millisecond), worst.Round(time.Millisecond), before[goroutines], after[goroutines])
}

// talkUntilHeld publishes until answers for a frozen subscriber fill all buffers
// on the way to it and the gateway has to hold them. Nothing more than that: who
// is sent more than the gateway may hold is cut off for that alone.
func talkUntilHeld(t *testing.T, g gauge, talker *client) {
	t.Helper()
	const size = 60 << 10
	much := appendPublish(nil, 4, 0, 0, "some/other/topic", 0, bytes.Repeat([]byte("x"), size))
	stuck := 0 // looks in a row: the kernel's buffers grow when they are full
	g.await(40*time.Second, "messages for the frozen subscriber are held", func(now map[string]float64) bool {
		if now[heldBytes] >= size {
			stuck++
			return stuck == 5
		}
		stuck = 0
		talker.send(much)
		talker.send(much)
		return false
	})
}
