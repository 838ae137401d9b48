//go:build linux

package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A fullness is one way in which a card fills up while Kafka is away, and what
// the gateway is told to do then.
type fullness struct {
	name   string
	policy string
	filled int    // bytes of the file system that somebody else has taken
	why    string // part of what the gateway says of it
}

// A card fills up under load of all kinds. Whatever the policy, the gateway goes
// on by itself once Kafka is back, other messages pass meanwhile, memory stays
// bounded, and what was dropped or refused is reported: no more and no less than
// what the devices miss.
//
// PLANTGATE_TORTURE makes the time without room longer.
func TestFullCardLosesNothingUnsaid(t *testing.T) {
	t.Parallel()
	const others = 6500 << 10
	var sum fullSum
	t.Run("", func(t *testing.T) { // returns when its parallel parts have ended
		for _, f := range []fullness{
			{"limit reached, drop_oldest", "drop_oldest", 0, "the limit of"},
			{"limit reached, refuse", "refuse", 0, "the limit of"},
			{"file system full, drop_oldest", "drop_oldest", others, "the disk has"},
			{"file system full, refuse", "refuse", others, "the disk has"},
		} {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				sum.add(f.play(t))
			})
		}
	})
	if len(sum.parts) == 0 && !t.Failed() {
		t.Skip("skipped, as its parts say why")
	}
	proved(t, "full card", "%s", strings.Join(sum.parts, "; "))
}

func (f fullness) play(t *testing.T) string {
	t.Helper()
	card, address := mountCard(t, "8m"), freeAddress(t) // the limit is a quarter of the card
	filler := filepath.Join(card, "photos")
	if err := os.WriteFile(filler, make([]byte, f.filled), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStation(t, address, sections{"data_dir": filepath.Join(card, "data"), "buffer": "{when_full: " + f.policy + "}"})
	s.program = plainProgram(t)
	p := s.start()
	others := newBystanders(t, s)
	devices := crowd()
	finish := background(t, s, devices)
	s.awaitStatus(time.Minute, "a full buffer", func(r report) bool {
		return r.Buffer != nil && (r.Buffer.Dropped > 0 || r.Buffer.Full && f.policy == "refuse" && r.hasProblem("full"))
	})
	if log := p.log.String(); !strings.Contains(log, "the buffer is full") || !strings.Contains(log, f.why) {
		t.Errorf("the log does not say that the buffer is full because %s ...:\n%s", f.why, tail(log))
	}
	slowest := others.talk(p, fullFor())
	brokers := fakeKafkaAt(t, address)
	s.awaitStatus(time.Minute, "room again, made by itself", func(r report) bool { return !r.Buffer.Full && r.Buffer.Confirmed > 0 })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	finish()
	s.awaitForwarded(2 * time.Minute)
	if top, most := p.usage().top, int64(100<<20); top > most {
		t.Errorf("resident memory was %d MB at most, want at most %d", top>>20, most>>20)
	}
	if n := strings.Count(p.log.String(), "event=buffer_full"); n > 3 {
		t.Errorf("the log says %d times that the buffer became full: once is news", n)
	}
	lost := f.hold(t, brokers, devices)
	s.verify()
	s.awaitStatus(time.Minute, "nothing wrong any more", func(r report) bool { return len(r.Problems) == 0 })
	memory := p.usage().top
	p.stop()
	return fmt.Sprintf("%s: %s, other messages took %d ms at most, %d MB resident at most", f.name, lost, slowest.Milliseconds(), memory>>20)
}

func fullFor() time.Duration {
	if torture() {
		return 20 * time.Second
	}
	return 4 * time.Second
}

// crowd fills a small card within seconds with messages of every kind.
func crowd() (devices []*device) {
	for version := byte(4); version <= 5; version++ {
		for qos := byte(0); qos <= 2; qos++ {
			devices = append(devices, &device{
				name: fmt.Sprintf("v%d-qos%d", version, qos), version: version, qos: qos, window: 20, pace: 2 * time.Millisecond, payload: noise,
			})
		}
	}
	return devices
}

// hold compares what the devices miss with what the events say.
func (f fullness) hold(t *testing.T, brokers string, devices []*device) string {
	t.Helper()
	if f.policy == "refuse" {
		return holdRefused(t, brokers, devices)
	}
	return holdDropped(t, brokers, devices)
}

// holdDropped expects an event for each number that is not there and for no
// other, and that no device noticed anything.
func holdDropped(t *testing.T, brokers string, devices []*device) string {
	t.Helper()
	arrivals := readBack(t, brokers, readingsTopic, eventsTopic, deadLetterTopic)
	l := book(t, arrivals)
	lost := 0
	for _, d := range devices {
		owed := len(d.told)
		if d.qos == 0 {
			owed = d.sent
		}
		lost += owed - len(l.numbers[d.name])
		if d.connections != 1 {
			t.Errorf("%s had to connect %d times", d.name, d.connections)
		}
	}
	there := map[uint64]bool{}
	for _, a := range arrivals {
		there[a.seq()] = true
	}
	for _, e := range ofEvent(arrivals, "gap") {
		for n := e.value.Get("from").Uint(); n <= e.value.Get("to").Uint(); n++ {
			if there[n] {
				t.Errorf("number %d is in Kafka, and was dropped as this says: %s", n, e.value.Raw)
				break
			}
		}
	}
	// The gateway's own events and readings have numbers as well.
	const own = 60
	given := gapNumbers(arrivals, "dropped")
	if lost == 0 || given < lost || given > lost+own {
		t.Errorf("the devices miss %d messages, events tell of %d dropped", lost, given)
	}
	if n := refusedIn(t, arrivals); n > 0 {
		t.Errorf("%d readings were refused although older ones could be dropped", n)
	}
	return fmt.Sprintf("%d in Kafka, %d dropped, all of them told", l.total, lost)
}

// holdRefused expects that messages that want an answer are all there, and that
// events count each of the others that is not.
func holdRefused(t *testing.T, brokers string, devices []*device) string {
	t.Helper()
	var l *ledger
	lost, told := 0, 0
	compare := func() bool {
		l = book(t, readBack(t, brokers, readingsTopic))
		lost = 0
		for _, d := range devices {
			if d.qos == 0 {
				lost += d.sent - len(l.numbers[d.name])
			}
		}
		events := readBack(t, brokers, eventsTopic)
		told = refusedIn(t, events)
		return lost > 0 && told >= lost
	}
	if !becomes(30*time.Second, compare) {
		t.Errorf("the devices miss %d messages of QoS 0, events tell of %d refused", lost, told)
	}
	events := readBack(t, brokers, eventsTopic)
	if own := ownRefused(events); told > lost+own {
		t.Errorf("the devices miss %d messages of QoS 0, events tell of %d refused", lost, told)
	}
	if n := gapNumbers(events, "dropped"); n > 0 {
		t.Errorf("%d readings were dropped although that is not allowed", n)
	}
	turnedAway := 0
	for _, d := range devices {
		l.hold(d)
		switch {
		case d.qos == 0 && d.connections != 1:
			t.Errorf("%s, which waits for no answer, had to connect %d times", d.name, d.connections)
		case d.qos > 0: // one whose whole window waits for room sends nothing that could be turned away
			turnedAway += d.connections - 1
		}
	}
	if turnedAway == 0 {
		t.Error("no device was turned away")
	}
	return fmt.Sprintf("%d in Kafka, %d of QoS 0 refused, all of them told, devices with QoS 1 and 2 turned away %d times and none of their messages lost", l.total, lost, turnedAway)
}

// refusedIn adds up what refused events count. Their totals go on from one to
// the next.
func refusedIn(t *testing.T, arrivals []arrival) int {
	t.Helper()
	seen := map[string]bool{}
	sum := 0
	for _, e := range ofEvent(arrivals, "refused") {
		if seen[e.id()] {
			continue
		}
		seen[e.id()] = true
		if from := int(e.value.Get("from_total").Int()); from != sum {
			t.Errorf("a refused event begins at %d, those before it end at %d: %s", from, sum, e.value.Raw)
		}
		sum += int(e.value.Get("count").Int())
	}
	return sum
}

// ownRefused is how many of the gateway's own readings, one a minute, may be
// among the refused ones: its name is in the events then.
func ownRefused(events []arrival) int {
	for _, e := range ofEvent(events, "refused") {
		if strings.Contains(e.value.Get("devices").Str, "pi1") {
			return 2
		}
	}
	return 0
}
