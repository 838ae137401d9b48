//go:build linux

package proof_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// Kafka is away when the gateway starts, comes, and goes again for a while, all
// under load. Nothing is lost, what comes afterwards is in the order of each
// device, and the gateway stays small: the card is the buffer, not the memory.
//
// PLANTGATE_TORTURE makes the outage a minute long.
func TestKafkaGoesAwayUnderLoad(t *testing.T) {
	t.Parallel()
	const most = 100 << 20 // bytes resident
	outage := 10 * time.Second
	if os.Getenv("PLANTGATE_TORTURE") != "" {
		outage = time.Minute
	}
	k := startKafka(t)
	k.stop()
	s := newStation(t, k.bootstrap, nil)
	s.program = plainProgram(t)
	p := s.start()

	var devices []*device
	for i := range 20 {
		devices = append(devices, &device{name: fmt.Sprintf("socket%02d", i), version: 4 + byte(i%2), qos: 1 + byte(i%2), window: 10, pace: 10 * time.Millisecond})
	}
	finish := background(t, s, devices)
	s.awaitStatus(time.Minute, "Kafka named as the problem", func(r report) bool {
		return r.hasProblem("kafka") && r.Buffer.Unsent > 2000
	})
	k.start()
	s.awaitStatus(time.Minute, "Kafka well", func(r report) bool { return len(r.Problems) == 0 && r.Buffer.Confirmed > 2000 })
	k.stop()
	select {
	case <-time.After(outage):
	case <-p.ended:
		t.Fatalf("the program ended: %v", p.err)
	}
	away := s.awaitStatus(time.Minute, "Kafka named as the problem", func(r report) bool { return r.hasProblem("kafka") })
	k.start()
	s.awaitStatus(time.Minute, "Kafka well", func(r report) bool { return len(r.Problems) == 0 && r.Buffer.Unsent < 2000 })
	finish()
	s.awaitForwarded(time.Minute)

	used := p.usage()
	if used.top > most {
		t.Errorf("resident memory was %d MB at most, want at most %d", used.top>>20, most>>20)
	}
	l := book(t, readBack(t, k.bootstrap, readingsTopic))
	for _, d := range devices {
		l.hold(d)
		if d.connections != 1 {
			t.Errorf("%s had to connect %d times: it noticed that Kafka was away", d.name, d.connections)
		}
	}
	t.Logf("%d readings, %d unsent at the end of the outage, %d sent twice with the same id; resident %d MB at most\n%s",
		l.total, away.Buffer.Unsent, l.twice, used.top>>20, s.verify())
	p.stop()
}

// background runs devices until finish is called, which returns when the last
// message of each is answered.
func background(t *testing.T, s *station, devices []*device) (finish func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, d := range devices {
		all.Go(func() {
			if err := d.run(ctx, s.mqtt, stop); err != nil {
				t.Error(err)
			}
		})
	}
	halt := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(func() { halt(); cancel(); all.Wait() })
	return func() {
		t.Helper()
		late := time.AfterFunc(time.Minute, cancel)
		defer late.Stop()
		halt()
		all.Wait()
	}
}
