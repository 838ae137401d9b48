//go:build linux

package proof_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Fifty sockets that come back at once after an outage of the network, each
// with ten messages in flight, are served: nothing is missing, nothing is there
// twice, and each device's messages are in their order. The figures are those
// of the program as it is installed; run the test without -race, or what plays
// the sockets is the slower part.
func TestFiftySocketsAtFullSpeed(t *testing.T) {
	const sockets, each = 50, 2000
	k := startKafka(t)
	s := newStation(t, k.bootstrap, nil)
	s.program = plainProgram(t)
	p := s.start()
	s.awaitForwarded(time.Minute) // the topics are there
	idle := p.usage()

	var devices []*device
	for i := range sockets {
		devices = append(devices, &device{name: fmt.Sprintf("socket%02d", i), version: 4 + byte(i%2), qos: 1, window: 10, limit: each})
	}
	begin := time.Now()
	play(t, s, devices)
	answered := time.Since(begin)
	s.awaitForwarded(2 * time.Minute)
	forwarded := time.Since(begin)
	used := p.usage()

	l := book(t, readBack(t, k.bootstrap, readingsTopic))
	for _, d := range devices {
		l.hold(d)
		if got := len(l.numbers[d.name]); got != each || len(d.told) != each || d.connections != 1 {
			t.Errorf("%s: %d of %d messages in Kafka, %d acknowledged, %d connections", d.name, got, each, len(d.told), d.connections)
		}
	}
	if l.total != sockets*each || l.twice > 0 || len(l.again) > 0 {
		t.Errorf("%d readings, want %d; %d with an id that was there, again %v", l.total, sockets*each, l.twice, l.again)
	}
	s.verify()
	t.Logf("%d messages: %.0f acknowledged/s, %.0f/s until confirmed by Kafka, %.1f us CPU each; resident: %.1f MB idle, %.1f MB at most",
		l.total, float64(l.total)/answered.Seconds(), float64(l.total)/forwarded.Seconds(),
		float64((used.cpu-idle.cpu).Microseconds())/float64(l.total), float64(idle.resident)/1e6, float64(used.top)/1e6)
	p.stop()
}

// play runs devices until each has reached its limit.
func play(t *testing.T, s *station, devices []*device) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var all errgroup.Group
	for _, d := range devices {
		all.Go(func() error { return d.run(ctx, s.mqtt, nil) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}
