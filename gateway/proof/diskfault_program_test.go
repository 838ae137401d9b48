//go:build linux && (amd64 || arm64)

package proof_test

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/proof/card"
)

// The card of a running gateway begins to fail, or the kernel makes it read-only.
// The program ends by itself with an error that names the card, as systemd needs
// it; when the card is mended, or at least mounted anew, everything that was
// acknowledged gets to Kafka, also after a power cut on top.
func TestProgramEndsWhenTheCardFails(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(seedOf(t), 9))
	nth := func(op card.Op) func(*card.Card) error {
		return func(c *card.Card) error {
			c.Fail(card.Fault{Op: op, Nth: 1 + random.IntN(40)})
			return nil
		}
	}
	faults := []struct {
		name string
		hit  func(*card.Card) error
	}{{"write", nth(card.Write)}, {"flush", nth(card.Flush)}, {"read-only", (*card.Card).ReadOnly}}
	rounds := 1
	if torture() {
		rounds = 20
	}
	c := card.New(t, 32<<20)
	brokers := fakeKafka(t)
	s := newStation(t, brokers, sections{"data_dir": filepath.Join(c.Dir(), "data"), "buffer": "{commit_every: 500ms}"})
	devices := sockets()
	finish := background(t, s, devices)
	for range rounds {
		for _, f := range faults {
			p := s.plugIn(c)
			p.awaitReady()
			s.someAcknowledged()
			if err := f.hit(c); err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			p.awaitEnd(time.Minute)
			if p.err == nil || !strings.Contains(p.log.String(), "card") {
				t.Errorf("%s: ended with %v and says\n%s", f.name, p.err, tail(p.log.String()))
			}
			s.pullPlug(c, p, random)
		}
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
	s.verify()
	p.stop()
	proved(t, "disk errors, program", "%d failures of the card under load (write, flush, read-only), %d messages acknowledged: ended each time with an error, all in Kafka; %d gap events", rounds*len(faults), acknowledged, len(ofEvent(arrivals, "gap")))
}

// someAcknowledged returns when the gateway works.
func (s *station) someAcknowledged() {
	s.t.Helper()
	before := s.awaitStatus(time.Minute, "a buffer", func(r report) bool { return r.Buffer != nil })
	s.awaitStatus(time.Minute, "readings that became durable", func(r report) bool {
		return r.Buffer != nil && r.Buffer.Durable > before.Buffer.Durable+50
	})
}

// The card does not read for a while, with a backlog on it that Kafka waits for.
// That is no damage: the gateway tries again, nothing is set aside, and all of it
// gets to Kafka once the card reads again.
func TestCardThatDoesNotReadForAWhile(t *testing.T) {
	t.Parallel()
	c := card.New(t, 32<<20)
	address := freeAddress(t)
	s := newStation(t, address, sections{"data_dir": filepath.Join(c.Dir(), "data")})
	devices := noisyDevices()
	p := s.plugIn(c)
	p.awaitReady()
	finish := background(t, s, devices)
	s.awaitStatus(2*time.Minute, "three segments", func(r report) bool { return r.Buffer != nil && r.Buffer.Segments >= 3 })
	finish()
	p.stop()
	if err := c.Unmount(); err != nil {
		t.Fatal(err)
	}
	p = s.plugIn(c)
	p.awaitReady()
	c.Fail(card.Fault{Op: card.Read, Nth: 1})
	brokers := fakeKafkaAt(t, address)
	eventually(t, time.Minute, "the log says that the card does not read", func() bool {
		return strings.Contains(p.log.String(), "buffer cannot be read") || !p.running()
	})
	c.Heal()
	if !p.running() { // it may have ended for good: systemd starts it again
		p = s.launch()
		p.awaitReady()
	}
	s.awaitForwarded(2 * time.Minute)
	arrivals := readBack(t, brokers, readingsTopic, eventsTopic)
	l := book(t, arrivals)
	for _, d := range devices {
		l.hold(d)
	}
	for _, event := range []string{"gap", "file_set_aside"} {
		if found := ofEvent(arrivals, event); len(found) > 0 {
			t.Errorf("%d events %s: %s", len(found), event, found[0].value.Raw)
		}
	}
	s.verify()
	p.stop()
	proved(t, "unreadable card, program", "%d reads failed with a backlog of %d readings: nothing set aside, all in Kafka afterwards", c.Failed(), l.total)
}
