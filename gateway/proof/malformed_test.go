//go:build linux

package proof_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// A broken device, a port scanner or an attacker sends anything. Whatever it
// is, the program lives, costs no more memory than before, and the socket beside
// it notices nothing.
func TestMalformedFramesDisturbNobody(t *testing.T) {
	t.Parallel()
	const patience = 2500 * time.Millisecond
	growth := int64(12 << 20) // bytes
	if withRace {
		growth = 96 << 20 // its own tables grow with each goroutine
	}
	brokers := fakeKafka(t)
	s := newStation(t, brokers, nil)
	s.configure(brokers, sections{"mqtt": fmt.Sprintf("{listen: %q, anonymous: true, limits: {connections_per_address: 500, connect_timeout: 2s}}", s.mqtt)})
	p := s.start()
	socket := &device{name: "washer", version: 4, qos: 1, window: 1, pace: 10 * time.Millisecond}
	finish := background(t, s, []*device{socket})

	frames := corpus()
	if len(frames) < 1000 {
		t.Fatalf("the corpus has %d frames, want 1,000", len(frames))
	}
	rounds := 2
	if torture() {
		rounds = 10
	}
	var sent atomic.Int64
	sendAll(t, s, frames, &sent)
	before := p.usage()
	for range rounds - 1 {
		sendAll(t, s, frames, &sent)
	}
	after := p.usage()
	if after.resident > before.resident+growth {
		t.Errorf("%d MB resident after a round, %d MB after %d", before.resident>>20, after.resident>>20, rounds)
	}
	finish()
	s.awaitStatus(time.Minute, "no client is left", func(r report) bool { return r.MQTT.Clients == 0 })
	s.awaitForwarded(time.Minute)
	if !p.running() {
		t.Fatalf("the program ended: %v", p.err)
	}
	l := book(t, readBack(t, brokers, readingsTopic))
	l.hold(socket)
	if socket.connections != 1 || socket.worst > patience || len(socket.told) < 50 {
		t.Errorf("the socket connected %d times, waited %s at most and was answered %d times; want 1, at most %s, 50 or more",
			socket.connections, socket.worst, len(socket.told), patience)
	}
	proved(t, "malformed frames", "%d frames, %d times sent, one a connection; a socket beside them: %d messages acknowledged over one connection, longest wait %s; memory %d MB, then %d MB",
		len(frames), sent.Load(), len(socket.told), socket.worst.Round(time.Millisecond), before.resident>>20, after.resident>>20)
	p.stop()
}

// sendAll gives each frame a connection, half of which it closes behind it, and
// waits until the broker has ended it.
func sendAll(t *testing.T, s *station, frames []malformed, sent *atomic.Int64) {
	t.Helper()
	var workers errgroup.Group
	workers.SetLimit(8)
	for i, m := range frames {
		workers.Go(func() error {
			if err := m.send(s.mqtt, fmt.Sprintf("broken%d", i%50)); err != nil {
				return fmt.Errorf("frame %d, %s, % x: %w", i, m.what, m.bytes[:min(len(m.bytes), 100)], err)
			}
			sent.Add(1)
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (m malformed) send(address, id string) error {
	conn, err := dialTCP(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	var all []byte
	if m.version != 0 {
		all = hello{level: m.version, flags: cleanSession, keepAlive: 60, fields: []string{id}}.bytes()
	}
	// An error says that the broker has closed already, which it may.
	if _, err := conn.Write(append(all, m.bytes...)); err != nil && !closedByOther(err) {
		return err
	}
	if err := conn.CloseWrite(); err != nil && !closedByOther(err) {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	for buffer := make([]byte, 4096); ; {
		if _, err := conn.Read(buffer); late(err) {
			return errors.New("the connection is still open after 20 s")
		} else if err != nil {
			return nil
		}
	}
}

func closedByOther(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ENOTCONN)
}
