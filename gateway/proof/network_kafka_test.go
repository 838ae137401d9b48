//go:build linux

package proof_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/plantgate/plantgate/gateway/proof/relay"
)

// How long forward may need to find out that its connections are dead, and to
// try again: an answer to produce is awaited for 15 s and 10 s more; what is
// asked next goes over a second connection, whose answer is awaited for 10 s;
// between two tries lie 15 s at most.
const (
	deadConnections = 35 * time.Second
	betweenTries    = 15 * time.Second
)

// Between the gateway and Kafka lies a network that does everything a network
// does. Nothing is lost, the order holds, no device notices, and each time the
// network is well again readings flow within the limits of the forwarder.
//
// PLANTGATE_SEED repeats a run, PLANTGATE_TORTURE makes it a long one and adds
// one before a real Kafka.
func TestNetworkBetweenGatewayAndKafka(t *testing.T) {
	t.Parallel()
	t.Run("fake", func(t *testing.T) { behindBadNetwork(t, fakeKafkaBehind) })
	if torture() {
		t.Run("real", func(t *testing.T) { behindBadNetwork(t, realKafkaBehind) })
	}
}

func behindBadNetwork(t *testing.T, kafkaBehind func(t *testing.T, address string) (direct string)) {
	cycles := 14
	if torture() {
		cycles = 300
	}
	address := freeAddress(t)
	direct := kafkaBehind(t, address)
	r := newRelay(t, address, direct)
	g, config := withGauge(t, nil)
	s := newStation(t, address, config)
	p := s.start()
	devices := kinds("socket", 10*time.Millisecond, 0, 1, 2)
	finish := background(t, s, devices)
	before := g.await(time.Minute, "Kafka confirms", func(now map[string]float64) bool { return now[confirmed] > 50 })

	w := newWeather(t, r)
	var longest time.Duration
	for range cycles {
		w.cycle(p)
		longest = max(longest, g.flowsAgain(deadConnections+betweenTries))
	}
	finish()
	s.awaitForwarded(time.Minute)
	after := g.awaitLevel(before)
	l := book(t, readBack(t, direct, readingsTopic))
	worst := undisturbed(t, devices[1:3], patience) // QoS 0 is never answered
	for _, d := range devices {
		l.hold(d)
		if len(l.numbers[d.name]) != d.sent || l.again[d.name] > 0 {
			t.Errorf("%s: %d of %d messages are in Kafka, %d twice; want all of them once", d.name, len(l.numbers[d.name]), d.sent, l.again[d.name])
		}
	}
	s.verify()
	p.stop()
	proved(t, "network, Kafka", "%v; %d messages acknowledged, none missing or out of order, %d sent again with their id; readings flow again after %s at most; devices' longest wait %s; goroutines %v before and %v after",
		w, acknowledged(devices), l.twice, longest.Round(10*time.Millisecond), worst.Round(time.Millisecond), before[goroutines], after[goroutines])
}

// flowsAgain returns how long it takes until Kafka has confirmed what is durable
// now.
func (g gauge) flowsAgain(within time.Duration) time.Duration {
	g.t.Helper()
	begin := time.Now()
	now := g.await(10*time.Second, "metrics", func(map[string]float64) bool { return true })
	g.await(within, fmt.Sprintf("everything through %.0f confirmed", now[durable]), func(later map[string]float64) bool {
		return later[confirmed] >= now[durable]
	})
	return time.Since(begin)
}

// A firewall that forgot the connection to Kafka drops what comes and tells
// nobody. New connections work, so the gateway must give the old one up by
// itself.
func TestNetworkHalfOpenKafkaIsGivenUp(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	direct := fakeKafkaBehind(t, address)
	r := newRelay(t, address, direct)
	g, config := withGauge(t, nil)
	s := newStation(t, address, config)
	p := s.start()
	devices := kinds("socket", 50*time.Millisecond, 1, 2)
	finish := background(t, s, devices)
	g.await(time.Minute, "Kafka confirms", func(now map[string]float64) bool { return now[confirmed] > 50 })

	if r.Vanish(relay.Server) == 0 {
		t.Fatal("the gateway has no connection to Kafka")
	}
	took := g.flowsAgain(deadConnections + betweenTries)
	finish()
	s.awaitForwarded(time.Minute)
	l := book(t, readBack(t, direct, readingsTopic))
	worst := undisturbed(t, devices, patience)
	for _, d := range devices {
		l.hold(d)
	}
	s.verify()
	p.stop()
	proved(t, "network, half-open Kafka", "readings flow again after %s, devices' longest wait %s, %d of %d sent again with their id",
		took.Round(10*time.Millisecond), worst.Round(time.Millisecond), l.twice, l.total)
}

// fakeKafkaBehind is a Kafka-protocol broker in this process that tells its
// clients to come by way of address, where a relay can stand.
func fakeKafkaBehind(t *testing.T, address string) (direct string) {
	t.Helper()
	own := freeAddress(t)
	_, port, err := net.SplitHostPort(own)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	advertised, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	listen := func(network, own string) (net.Listener, error) {
		l, err := net.Listen(network, own)
		return advertising{l, advertised}, err
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number), kfake.DefaultNumPartitions(3), kfake.ListenFn(listen))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return own
}

// An advertising listener has another address for those who ask: kfake
// advertises what its listener says.
type advertising struct {
	net.Listener
	address net.Addr
}

func (a advertising) Addr() net.Addr { return a.address }

// realKafkaBehind does the same with a real Kafka.
func realKafkaBehind(t *testing.T, address string) (direct string) {
	t.Helper()
	k := &kafka{t: t, dir: filepath.Join(t.TempDir(), "kafka")}
	t.Cleanup(func() { k.script("kill") })
	k.start("--port", "0", "--set", "advertised.listeners=PLAINTEXT://"+address)
	return k.bootstrap
}
