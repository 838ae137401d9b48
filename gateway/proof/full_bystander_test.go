//go:build linux

package proof_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// A fullSum collects what parts that run side by side have to say.
type fullSum struct {
	mu    sync.Mutex
	parts []string
}

func (s *fullSum) add(part string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, part)
}

// Bystanders are a door and a dashboard, whose messages carry no reading.
type bystanders struct {
	t               *testing.T
	door, dashboard *client
}

func newBystanders(t *testing.T, s *station) *bystanders {
	t.Helper()
	b := &bystanders{t, connect(t, s.mqtt, greeting{id: "door", version: 4}), connect(t, s.mqtt, greeting{id: "dashboard", version: 4})}
	b.dashboard.subscribe("home/door")
	return b
}

// talk sends messages through the broker for a while and returns how long the
// slowest took: the door's acknowledgement, and the way to the dashboard.
func (b *bystanders) talk(p *process, while time.Duration) (slowest time.Duration) {
	b.t.Helper()
	const most = 2 * time.Second
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for n, end := 0, time.Now().Add(while); time.Now().Before(end); n++ {
		if !p.running() {
			b.t.Fatalf("the program ended: %v\n%s", p.err, tail(p.log.String()))
		}
		text, begin := fmt.Sprint("open ", n), time.Now()
		b.door.publish("home/door", text, false)
		if topic, payload, _ := b.dashboard.message(); topic != "home/door" || payload != text {
			b.t.Errorf("the dashboard got %s %s, want %s", topic, payload, text)
		}
		slowest = max(slowest, time.Since(begin))
		<-again.C
	}
	if slowest > most {
		b.t.Errorf("a message without a reading took %s on a full card, want at most %s", slowest, most)
	}
	return slowest
}
