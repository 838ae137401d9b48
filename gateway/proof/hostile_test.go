//go:build linux

package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"
)

// While others do their worst, a socket publishes and notices nothing: its
// messages are answered in time over the one connection that it made, and all
// of them are in Kafka.
func TestHostileClientsDisturbNobody(t *testing.T) {
	t.Parallel()
	const patience = 2500 * time.Millisecond // the write deadline, and what a busy machine adds
	brokers := fakeKafka(t)
	s := newStation(t, brokers, nil)
	s.configure(brokers, sections{"mqtt": fmt.Sprintf("{listen: %q, anonymous: true, limits: {connect_timeout: 1s, write_timeout: 2s}}", s.mqtt)})
	p := s.start()
	socket := &device{name: "washer", version: 4, qos: 1, window: 1, pace: 10 * time.Millisecond}
	finish := background(t, s, []*device{socket})

	silent := dial(t, s.mqtt) // never sends CONNECT
	for _, attack := range []struct {
		name string
		run  func(t *testing.T, s *station)
	}{
		{"a SUBSCRIBE of MQTT 5 without options", subscribeWithoutOptions},
		{"a header of 256 MiB", longHeader},
		{"a subscriber that stops reading", deafSubscriber},
		{"malformed packets", malformedPackets},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.run(t, s) })
	}
	t.Run("a client that never sends CONNECT", func(t *testing.T) {
		if _, err := silent.ended(20 * time.Second); err != nil {
			t.Error(err)
		}
	})
	finish()
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
	t.Logf("%d messages, the longest wait for an answer was %s", len(socket.told), socket.worst)
	p.stop()
}

// Stock mochi dies of these eight bytes (issue 501 there).
func subscribeWithoutOptions(t *testing.T, s *station) {
	for i := range 20 {
		c := connect(t, s.mqtt, greeting{id: fmt.Sprintf("crasher%d", i), version: 5})
		c.send([]byte{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61})
		if _, err := c.ended(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// longHeader announces the longest packet that MQTT knows, before and after
// CONNECT, and sends the beginning of it.
func longHeader(t *testing.T, s *station) {
	for i := range 20 {
		before := dial(t, s.mqtt)
		before.send([]byte{0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, 'M', 'Q'})
		if _, err := before.ended(20 * time.Second); err != nil {
			t.Errorf("before CONNECT: %v", err)
		}
		after := connect(t, s.mqtt, greeting{id: fmt.Sprintf("long%d", i), version: 4})
		after.send([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 4, 'M', 'Q'})
		if _, err := after.ended(20 * time.Second); err != nil {
			t.Errorf("after CONNECT: %v", err)
		}
	}
}

// deafSubscriber wants everything and reads nothing, until the broker cuts it
// off.
func deafSubscriber(t *testing.T, s *station) {
	deaf := connect(t, s.mqtt, greeting{id: "dashboard", version: 4})
	deaf.subscribe("#")
	if err := deaf.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	talker := connect(t, s.mqtt, greeting{id: "talker", version: 4})
	much := appendPublish(nil, 4, 0, 0, "some/other/topic", 0, bytes.Repeat([]byte("x"), 60<<10))
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); <-again.C {
		talker.send(much)
		if cutOff(deaf.Conn) {
			return
		}
	}
	t.Error("a subscriber that reads nothing was not cut off in 40 s")
}

// cutOff reports whether the other side has reset the connection, without
// reading from it.
func cutOff(conn net.Conn) bool {
	_, err := conn.Write([]byte{0xc0, 0}) // a ping
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// malformedPackets sends a thousand frames that are wrong in one way or
// another: ordinary packets with bytes changed, cut off or put in, and noise.
func malformedPackets(t *testing.T, s *station) {
	random := rand.New(rand.NewPCG(seedOf(t), 0))
	for i := range 1000 {
		c := dial(t, s.mqtt)
		var all []byte
		if random.IntN(3) > 0 {
			all = greeting{id: fmt.Sprintf("broken%d", i%50), version: 4 + byte(random.IntN(2))}.bytes()
		}
		c.send(append(all, spoil(random, ordinaryPacket(random))...))
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
			t.Fatal(err)
		}
		if _, err := c.ended(20 * time.Second); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		c.Close()
	}
}

func ordinaryPacket(random *rand.Rand) []byte {
	switch random.IntN(6) {
	case 0:
		return greeting{id: "second", version: 5, willTopic: "tele/x/LWT", will: "Offline"}.bytes()
	case 1:
		return frame(0x82, append(append([]byte{0, 9, 0}, text16("tele/+/SENSOR")...), 1))
	case 2:
		return frame(0xa2, append([]byte{0, 9}, text16("#")...))
	case 3:
		return []byte{pubrel, 2, 0, 9}
	case 4:
		noise := make([]byte, 1+random.IntN(200))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		return noise
	default:
		return appendPublish(nil, 4+byte(random.IntN(2)), 0, byte(random.IntN(4)), "some/topic", 7, []byte("payload"))
	}
}

func spoil(random *rand.Rand, packet []byte) []byte {
	for range 1 + random.IntN(3) {
		i := random.IntN(len(packet))
		switch random.IntN(3) {
		case 0:
			packet[i] = byte(random.Uint32())
		case 1:
			packet = packet[:i+1]
		default:
			packet = append(packet[:i+1], append([]byte{byte(random.Uint32())}, packet[i+1:]...)...)
		}
	}
	return packet
}
