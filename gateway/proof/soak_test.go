//go:build linux

package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/proof/relay"
)

// A gateway runs for years beside devices that come and go and a Kafka that does
// the same. It keeps what it acknowledged, stays within its memory, and holds
// no more goroutines, descriptors and bytes at the end than in the beginning.
//
// PLANTGATE_SOAK says for how long: 24h is the whole proof (`make soak`).
func TestSoak(t *testing.T) {
	t.Parallel()
	const most = 120 << 20 // bytes resident
	span := soakSpan(t)
	address := freeAddress(t)
	bootstrap := soakKafka(t, span, address)
	g, config := withGauge(t, sections{"buffer": "{limit: 256MiB, keep: 2m}"})
	s := newStation(t, address, config)
	s.program = plainProgram(t)
	k := &soak{
		t: t, station: s, gauge: g, end: time.Now().Add(span), random: rand.New(rand.NewPCG(seedOf(t), 0)),
		kafka: newRelay(t, address, bootstrap), devices: newRelay(t, freeAddress(t), s.mqtt), did: map[string]int{},
	}
	a := startAuditor(t, bootstrap)
	k.process = s.start()
	k.begin(span)
	through := *s
	through.mqtt = k.devices.Addr()
	devices := soakHome()
	finish := background(t, &through, devices)
	k.live()
	finish()
	s.awaitForwarded(10 * time.Minute)
	k.sample()
	t.Log(s.verify())
	k.process.stop()

	a.finish()
	sent := 0
	for _, d := range devices {
		sent += d.sent
		a.hold(d)
	}
	judged := judge(k.lastLife())
	t.Logf("\n%s%s", table(k.looks), judged)
	for _, why := range judged.grown {
		t.Error(why)
	}
	top := k.top()
	if top > most {
		t.Errorf("resident memory was %d MB at most, want at most %d", top>>20, most>>20)
	}
	if acknowledged(devices) == 0 || len(k.looks) < 10 {
		t.Errorf("%d messages acknowledged, %d looks: the soak was none", acknowledged(devices), len(k.looks))
	}
	proved(t, "soak", "%s at %d msg/s; %s; %d messages sent, %d acknowledged, all of those in Kafka, %d sent again with their id; resident %d MB at most; %s",
		span, sent/max(1, int(span.Seconds())), listed(k.did), sent, acknowledged(devices), a.twice, top>>20, judged.line())
}

// soakSpan is how long the soak lasts.
func soakSpan(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("PLANTGATE_SOAK")
	if text == "" {
		if torture() {
			return 5 * time.Minute
		}
		return 20 * time.Second
	}
	span, err := time.ParseDuration(text)
	if err != nil || span < 10*time.Second {
		t.Fatalf("PLANTGATE_SOAK=%s: a time of 10s or more is wanted", text)
	}
	return span
}

// soakKafka is a real Kafka where the soak is a long one and there is one to be
// had. The other keeps all in the memory of this process, and is there at once.
func soakKafka(t *testing.T, span time.Duration, address string) (direct string) {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil || span < time.Minute {
		return fakeKafkaBehind(t, address)
	}
	return realKafkaBehind(t, address)
}

// soakHome sends 50 messages a second.
func soakHome() []*device {
	return append(kinds("socket", 200*time.Millisecond, 0, 1, 2), kinds("meter", 200*time.Millisecond, 1, 2)...)
}

// A soak is the gateway under observation, and what befalls it.
type soak struct {
	t              *testing.T
	station        *station
	gauge          gauge
	process        *process
	kafka, devices *relay.Relay
	random         *rand.Rand
	end            time.Time
	restarts       time.Time // the gateway is stopped and started until then
	each, every    time.Duration
	did            map[string]int
	lives          int
	looks          []look
}

// begin says how often things happen: what is a day's worth of troubles for a
// long soak comes faster in a short one.
func (k *soak) begin(span time.Duration) {
	k.every = min(max(span/400, 200*time.Millisecond), 5*time.Minute)
	k.each = min(max(span/20, time.Second), 10*time.Minute)
	// What leaks slowly shows only in a long life, so that the last one takes
	// three quarters of the time.
	k.restarts = time.Now().Add(span / 4)
}

// live lets troubles come until the end, and looks at the gateway meanwhile.
func (k *soak) live() {
	k.t.Helper()
	for time.Now().Before(k.end) {
		k.watch(k.upTo(k.each))
		k.trouble()
	}
}

func (k *soak) upTo(most time.Duration) time.Duration {
	return time.Duration(k.random.Int64N(int64(most)))
}

// trouble is one thing that goes wrong and becomes well again. An outage of
// Kafka is shorter than what the buffer can hold by far.
func (k *soak) trouble() {
	k.t.Helper()
	outage := k.upTo(k.each / 2)
	all := []string{"Kafka away", "Kafka silent", "Kafka slow", "devices reconnect", "devices cut off", "gateway stopped", "gateway killed"}
	if time.Now().After(k.restarts) {
		all = all[:5]
	}
	what := all[k.random.IntN(len(all))]
	k.did[what]++
	switch what {
	case "Kafka away":
		k.kafka.Refuse()
		k.kafka.Cut(relay.Reset)
		k.watch(outage)
	case "Kafka silent":
		k.kafka.Set(relay.Server, relay.Flow{Stopped: true})
		k.watch(outage)
	case "Kafka slow":
		k.kafka.Set(relay.Client, relay.Flow{Delay: 300 * time.Millisecond})
		k.watch(outage)
	case "devices reconnect":
		k.devices.Cut(relay.Finish)
	case "devices cut off":
		k.devices.Refuse()
		k.devices.Cut(relay.Reset)
		k.watch(min(outage, 10*time.Second))
	case "gateway stopped":
		k.process.stop()
		k.restart()
	case "gateway killed":
		k.process.kill()
		k.restart()
	}
	k.mend()
}

func (k *soak) restart() {
	k.t.Helper()
	k.lives++
	k.process = k.station.start()
}

func (k *soak) mend() {
	k.t.Helper()
	for _, r := range []*relay.Relay{k.kafka, k.devices} {
		r.Set(relay.Client, relay.Flow{})
		r.Set(relay.Server, relay.Flow{})
		if err := r.Admit(); err != nil {
			k.t.Fatal(err)
		}
	}
}

// watch looks for a while.
func (k *soak) watch(d time.Duration) {
	k.t.Helper()
	again := time.NewTicker(k.every)
	defer again.Stop()
	over := time.After(d)
	for {
		select {
		case <-again.C:
			k.sample()
		case <-over:
			return
		case <-k.process.ended:
			k.t.Fatalf("the program ended by itself: %v\n%s", k.process.err, tail(k.process.log.String()))
		}
	}
}

// sample takes one look at the gateway.
func (k *soak) sample() {
	k.t.Helper()
	m, ok := k.gauge.read()
	if !ok {
		k.t.Errorf("the gateway does not show its metrics at %s", time.Now().Format(time.TimeOnly))
		return
	}
	pid := k.process.cmd.Process.Pid
	open, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd"))
	if err != nil {
		k.t.Fatal(err)
	}
	used := k.process.usage()
	k.looks = append(k.looks, look{
		at: time.Now(), life: k.lives, top: used.top,
		figures: [figureCount]float64{
			resident:      float64(used.resident) / (1 << 20),
			heap:          m[heapTarget] / 2 / (1 << 20),
			goroutineRow:  m[goroutines],
			descriptorRow: float64(len(open)),
			onCard:        m["plantgate_buffer_bytes"] / (1 << 20),
		},
		unsent: m[durable] - m[confirmed],
	})
}

// top is the most that was resident in any life.
func (k *soak) top() (most int64) {
	for _, s := range k.looks {
		most = max(most, s.top)
	}
	return most
}

// lastLife is the looks since the gateway was started last.
func (k *soak) lastLife() []look {
	for i, s := range k.looks {
		if s.life == k.lives {
			return k.looks[i:]
		}
	}
	return nil
}
