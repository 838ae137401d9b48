//go:build linux && (amd64 || arm64)

package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/proof/card"
)

// The plug of the whole gateway is pulled at random moments, also while it
// starts, while sockets send and send again and Kafka takes what comes. What was
// acknowledged to a socket before any of the cuts is in Kafka in the end, in
// order, and what is missing is explained.
func TestPowerCutsUnderTheProgram(t *testing.T) {
	t.Parallel()
	cuts := 5
	if torture() {
		cuts = 100
	}
	random := rand.New(rand.NewPCG(seedOf(t), 3))
	c := card.New(t, 32<<20)
	brokers := fakeKafka(t)
	s := newStation(t, brokers, sections{"data_dir": filepath.Join(c.Dir(), "data"), "buffer": "{commit_every: 500ms}"})
	devices := sockets()
	finish := background(t, s, devices)
	for range cuts {
		p := s.plugIn(c)
		if random.IntN(4) > 0 { // else it may be cut while it starts
			p.awaitReady()
		}
		select {
		case <-time.After(time.Duration(random.Int64N(int64(1500 * time.Millisecond)))):
		case <-p.ended:
			t.Fatalf("the program ended by itself: %v\n%s", p.err, tail(p.log.String()))
		}
		s.pullPlug(c, p, random)
	}
	p := s.plugIn(c)
	p.awaitReady()
	finish()
	s.awaitForwarded(2 * time.Minute)
	arrivals := readBack(t, brokers, readingsTopic, eventsTopic)
	l := book(t, arrivals)
	acknowledged := 0
	for _, d := range devices {
		l.hold(d)
		acknowledged += len(d.told)
	}
	if acknowledged < 20*cuts {
		t.Errorf("only %d messages were acknowledged", acknowledged)
	}
	if len(ofEvent(arrivals, "gap")) > 0 {
		t.Errorf("a power cut left a gap: %v", ofEvent(arrivals, "gap"))
	}
	s.verify()
	p.stop()
	proved(t, "power cuts, program", "%d cuts under load, %d messages acknowledged: all in Kafka, in order, no gap; %d readings, %d sent twice with the same id", cuts, acknowledged, l.total, l.twice)
}

// sockets publish all the time, each in its own way.
func sockets() (devices []*device) {
	for version := byte(4); version <= 5; version++ {
		for qos := byte(1); qos <= 2; qos++ {
			devices = append(devices, &device{name: fmt.Sprintf("v%d-qos%d", version, qos), version: version, qos: qos, window: 10, pace: 4 * time.Millisecond})
		}
	}
	return devices
}

// plugIn starts the gateway on a card that is put in.
func (s *station) plugIn(c *card.Card) *process {
	s.t.Helper()
	if err := c.Mount(); err != nil {
		s.t.Fatalf("the card cannot be read after a power cut: %v", err)
	}
	return s.launch()
}

// pullPlug leaves of the card what a power cut leaves, and of the memory nothing:
// /run begins empty.
func (s *station) pullPlug(c *card.Card, p *process, random *rand.Rand) {
	s.t.Helper()
	log := c.PullOut()
	p.kill()
	if err := c.Unmount(); err != nil {
		s.t.Fatal(err)
	}
	c.Insert(log.Cut(log.Len(), random, card.Honest))
	s.clearRun()
}

func (s *station) clearRun() {
	s.t.Helper()
	for _, e := range s.env {
		dir, ok := strings.CutPrefix(e, "RUNTIME_DIRECTORY=")
		if !ok {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			s.t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
}
