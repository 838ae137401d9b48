//go:build linux

package proof_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// One device in the house does what it must not: sends without end, opens
// connection after connection, tries passwords, retains and subscribes without
// bounds. Each is cut off and told why, in one line of the log that names the
// limit. Meanwhile a socket at the same address is answered in time over the
// one connection that it made, and a station that was out of reach delivers all
// that it kept.
func TestAbusersAreCutOff(t *testing.T) {
	t.Parallel()
	const patience = 2500 * time.Millisecond // the socket's, as in TestHostileClientsDisturbNobody
	rounds := 1
	if torture() {
		rounds = 20
	}
	brokers := fakeKafka(t)
	s := newStation(t, brokers, nil)
	s.configure(brokers, sections{"mqtt": fmt.Sprintf("{listen: %q, anonymous: true, limits: {messages_per_client: 2500, bytes_per_client: 1MiB, "+
		"patience: 3s, connections_per_address: 60, retained_per_client: 50, subscriptions_per_client: 20}}", s.mqtt)})
	if err := os.MkdirAll(s.data, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, log, code := run(t, "right horse\n", s.program, s.env, "mqtt", "user", "add", "panel", "--password-file", "-", "--config", s.config); code != 0 {
		t.Fatalf("mqtt user add: %s", log)
	}
	p := s.start()
	socket := &device{name: "washer", version: 4, qos: 1, window: 1, pace: 10 * time.Millisecond}
	finish := background(t, s, []*device{socket})
	a := &abusers{t: t, s: s}
	var backlog int
	for round := range rounds {
		var all sync.WaitGroup
		all.Go(func() { a.flood(round, "messages_per_client", 0x96, []byte("x")) })
		all.Go(func() { a.flood(round, "bytes_per_client", 0x97, bytes.Repeat([]byte("x"), 20<<10)) })
		all.Go(func() { a.retain(round) })
		all.Go(func() { a.subscribe(round) })
		all.Wait()
		a.connections()
		a.passwords(p)
		station := deliver(t, s, fmt.Sprint("station", round), 10_000)
		backlog += len(station.told)
		a.stations = append(a.stations, station)
	}
	finish()
	a.judge(p)
	s.awaitForwarded(time.Minute)
	l := book(t, readBack(t, brokers, readingsTopic))
	for _, d := range append(a.stations, socket) {
		l.hold(d)
	}
	if socket.connections != 1 || socket.worst > patience || len(socket.told) < 50 {
		t.Errorf("the socket connected %d times, waited %s at most and was answered %d times; want 1, at most %s, 50 or more",
			socket.connections, socket.worst, len(socket.told), patience)
	}
	p.stop()
	proved(t, "abuse", "%d abusers cut off of %d, %d connections turned away, %d wrong passwords at %.2f ms CPU each; beside them %d messages answered within %s, and %d of a backlog of %d",
		a.cut.Load(), 4*rounds, a.turnedAway, a.guesses, 1000*a.guessing.Seconds()/float64(max(1, a.guesses)), len(socket.told), socket.worst.Round(time.Millisecond), backlog, 10_000*rounds)
}

// deliver plays a station with a backlog: it sends all at once and waits for no
// answer.
func deliver(t *testing.T, s *station, name string, messages int) *device {
	t.Helper()
	d := &device{name: name, version: 4, qos: 1, window: messages, limit: messages}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.run(ctx, s.mqtt, nil); err != nil {
		t.Fatal(err)
	}
	if len(d.told) != messages || d.connections != 1 {
		t.Errorf("%s: %d of %d messages acknowledged over %d connections", name, len(d.told), messages, d.connections)
	}
	return d
}

type abusers struct {
	t        *testing.T
	s        *station
	stations []*device

	cut                 atomic.Int64
	mu                  sync.Mutex
	expected            []string // what a line of the log must hold, of each that was cut off
	turnedAway, guesses int
	guessing            time.Duration // CPU
}

// flood publishes without waiting for anything until it is cut off.
func (a *abusers) flood(round int, limit string, want byte, payload []byte) {
	packet := appendPublish(nil, 5, 0, 0, "some/other/topic", 0, payload)
	burst := bytes.Repeat(packet, 1+4096/len(packet))
	a.provoke(fmt.Sprint("flooder", len(payload), "-", round), limit, want, func(int) []byte { return burst })
}

func (a *abusers) retain(round int) {
	a.provoke(fmt.Sprint("keeper", round), "retained_per_client", 0x97, func(n int) []byte {
		return appendPublish(nil, 5, flagRetain, 0, fmt.Sprintf("keep/%d/%d", round, n), 0, []byte("x"))
	})
}

func (a *abusers) subscribe(round int) {
	a.provoke(fmt.Sprint("listener", round), "subscriptions_per_client", 0x97, func(n int) []byte {
		return frame(0x82, append(append([]byte{0, 9, 0}, text16(fmt.Sprint("sub/", n))...), 0))
	})
}

// provoke sends until the broker says goodbye, and checks why.
func (a *abusers) provoke(id, limit string, want byte, packet func(n int) []byte) {
	conn, err := a.enter(greeting{id: id, version: 5})
	if err != nil {
		a.t.Error(err)
		return
	}
	defer conn.Close()
	var sending errgroup.Group
	sending.Go(func() error {
		for n := 0; ; n++ {
			if _, err := conn.Write(packet(n)); err != nil {
				return err // the end that is waited for
			}
		}
	})
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		a.t.Error(err)
	}
	r := bufio.NewReader(conn)
	for {
		head, body, err := readPacket(r)
		if err != nil {
			a.t.Errorf("%s: the connection ended without a reason: %v", id, err)
			break
		}
		if head == 0xe0 {
			if len(body) == 0 || body[0] != want {
				a.t.Errorf("%s: DISCONNECT %x, want the reason %x", id, body, want)
			}
			a.cut.Add(1)
			break
		}
	}
	conn.Close()
	_ = sending.Wait() // that of a closed connection
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expected = append(a.expected, "client="+id+" ", "setting=mqtt.limits."+limit)
}

func (a *abusers) enter(g greeting) (net.Conn, error) {
	conn, err := net.Dial("tcp", a.s.mqtt)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(g.bytes()); err != nil {
		conn.Close()
		return nil, err
	}
	if head, body, err := readPacket(bufio.NewReader(conn)); err != nil || head != connack || len(body) < 2 || body[1] != 0 {
		conn.Close()
		return nil, fmt.Errorf("answer to CONNECT: %x %x %v", head, body, err)
	}
	return conn, nil
}

// connections opens more than an address may have.
func (a *abusers) connections() {
	var open []net.Conn
	for i := range 90 {
		if conn, err := a.enter(greeting{id: fmt.Sprint("many", i), version: 4}); err == nil {
			open = append(open, conn)
		} else {
			a.turnedAway++
		}
	}
	if n := len(open); n < 50 || n > 59 { // the socket has one of them, those just cut off may still have some
		a.t.Errorf("%d connections of 90 were let in, want 59 at most", n)
	}
	for _, conn := range open {
		conn.Close()
	}
	a.s.awaitStatus(20*time.Second, "one client", func(r report) bool { return r.MQTT.Clients == 1 })
}

// passwords tries wrong ones over thirty connections at a time. The right one
// gets in nevertheless, when it is repeated as a device does.
func (a *abusers) passwords(p *process) {
	before, end := p.usage(), time.Now().Add(3*time.Second)
	var tries atomic.Int64
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			for time.Now().Before(end) {
				a.login("guesser", fmt.Sprint("guess", tries.Add(1)))
			}
		})
	}
	inAfter := time.Duration(0)
	for begin := time.Now(); inAfter == 0 && time.Since(begin) < 20*time.Second; {
		if a.login("the panel", "right horse") == 0 {
			inAfter = time.Since(begin)
		}
	}
	all.Wait()
	a.guesses += int(tries.Load())
	a.guessing += p.usage().cpu - before.cpu
	if inAfter == 0 {
		a.t.Error("the right password was not let in within 20 s")
	}
	a.t.Logf("%d guesses; the right password was let in after %s", tries.Load(), inAfter)
	if n := tries.Load(); n > 150 {
		a.t.Errorf("%d guesses over 30 connections in 3 s: nobody had to wait", n)
	}
}

// login returns the answer to a CONNECT as the user panel; 255: none.
func (a *abusers) login(id, password string) byte {
	conn, err := net.Dial("tcp", a.s.mqtt)
	if err != nil {
		return 255
	}
	defer conn.Close()
	body := append(text16("MQTT"), 4, 0xc2, 0, 60)
	for _, text := range []string{id, "panel", password} {
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(text))), text...)
	}
	if _, err := conn.Write(frame(0x10, body)); err != nil {
		return 255
	}
	if head, body, err := readPacket(bufio.NewReader(conn)); err == nil && head == connack && len(body) == 2 {
		return body[1]
	}
	return 255
}

// judge looks for what a person is told: in the log one line of each, and in
// the status.
func (a *abusers) judge(p *process) {
	log := p.log.String()
	for i := 0; i < len(a.expected); i += 2 {
		lines := 0
		for line := range strings.Lines(log) {
			if strings.Contains(line, "cut off") && strings.Contains(line, a.expected[i]) {
				lines++
				if !strings.Contains(line, a.expected[i+1]) || !strings.Contains(line, "event=client_refused") {
					a.t.Errorf("the line %q does not hold %q and the event", line, a.expected[i+1])
				}
			}
		}
		if lines != 1 {
			a.t.Errorf("%d lines of the log say that %s was cut off, want 1", lines, a.expected[i])
		}
	}
	for _, name := range []string{"messages_per_client", "bytes_per_client", "retained_per_client", "subscription", "address", "too_many_logins"} {
		a.s.awaitStatus(10*time.Second, name+" counted and named", func(r report) bool { return r.MQTT.Refused[name] > 0 && r.hasProblem(name) })
	}
}
