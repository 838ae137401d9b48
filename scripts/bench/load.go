//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A load is sockets that publish. Each has its own connection, topic and energy
// counter, by which its messages are found again in Kafka.
type load struct {
	address string
	name    string // beginning of the devices' names
	clients int
	window  int // messages in flight of each client; QoS 0: in one write
	qos     byte
	total   int // messages of all clients together

	// rate makes the load an open one: messages a second of all clients
	// together, sent when their time has come whether or not earlier ones are
	// answered. Their latency counts from that time (what a client waits before
	// it can send belongs to it).
	rate float64
}

// A result is what a load met.
type result struct {
	took    time.Duration
	latency histogram
}

func (r result) rate(total int) float64 { return float64(total) / r.took.Seconds() }

// run connects every client, then lets all of them publish.
func (l load) run(ctx context.Context) (result, error) {
	clients := make([]*client, l.clients)
	for i := range clients {
		c, err := l.connect(ctx, i)
		if err != nil {
			return result{}, err
		}
		defer c.conn.Close()
		clients[i] = c
	}
	begin := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for i, c := range clients {
		stop := context.AfterFunc(ctx, func() { c.conn.Close() })
		defer stop()
		g.Go(func() error {
			if err := c.publish(l, begin, i); err != nil {
				return fmt.Errorf("client %s: %w", c.name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return result{}, err
	}
	r := result{took: time.Since(begin)}
	for _, c := range clients {
		r.latency.add(&c.latency)
	}
	return r, nil
}

// each is how many messages client i sends.
func (l load) each(i int) int {
	n := l.total / l.clients
	if i < l.total%l.clients {
		n++
	}
	return n
}

// A client is one connection.
type client struct {
	name    string
	conn    net.Conn
	in      *bufio.Reader
	message message
	latency histogram

	mu   sync.Mutex // sent, of an open load
	sent []time.Time
}

func (l load) connect(ctx context.Context, i int) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s%d", l.name, i)
	c := &client{name: name, conn: conn, in: bufio.NewReaderSize(conn, 4<<10), message: newMessage(name, l.qos), sent: make([]time.Time, 1<<16)}
	body := append(text16("MQTT"), 4, 2, 0, 0) // MQTT 3.1.1, clean session, no keepalive
	body = append(body, text16(name)...)
	var answer [4]byte
	if _, err = conn.Write(frame(0x10, body)); err == nil {
		_, err = io.ReadFull(c.in, answer[:])
	}
	if err == nil && answer[3] != 0 {
		err = fmt.Errorf("CONNACK says %d", answer[3])
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect %s: %w", name, err)
	}
	return c, nil
}

func (c *client) publish(l load, begin time.Time, i int) error {
	switch {
	case l.rate > 0:
		return c.publishOpen(l, begin, i)
	case l.qos == 0:
		return c.publishUnanswered(l.each(i), l.window)
	default:
		return c.publishClosed(l.each(i), l.window, l.qos)
	}
}

// publishUnanswered ends when the broker has read everything: it answers a ping
// behind the last message.
func (c *client) publishUnanswered(total, window int) error {
	var out []byte
	for n := 1; n <= total; n++ {
		out = c.message.append(out, n)
		if n%window > 0 && n < total {
			continue
		}
		if _, err := c.conn.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
	if _, err := c.conn.Write([]byte{0xc0, 0}); err != nil {
		return err
	}
	var pong [2]byte
	_, err := io.ReadFull(c.in, pong[:])
	return err
}

// publishClosed sends the next message for each that is answered.
func (c *client) publishClosed(total, window int, qos byte) error {
	var out []byte
	sent, done, now := 0, 0, time.Now()
	for done < total {
		for sent < total && sent-done < window {
			sent++
			c.sent[sent&0xffff] = now
			out = c.message.append(out, sent)
		}
		if len(out) > 0 {
			if _, err := c.conn.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		var err error
		var finished int
		if out, finished, now, err = c.answers(out, qos); err != nil {
			return err
		}
		done += finished
	}
	return nil
}

// answers waits for an answer, takes all that came with it, and adds what QoS 2
// wants to be said to them.
func (c *client) answers(out []byte, qos byte) (_ []byte, finished int, now time.Time, err error) {
	for first := true; first || c.in.Buffered() >= 4; first = false {
		var a [4]byte
		if _, err := io.ReadFull(c.in, a[:]); err != nil {
			return out, finished, now, err
		}
		if first {
			now = time.Now()
		}
		switch {
		case a[0] == 0x40 && qos == 1, a[0] == 0x70: // PUBACK, PUBCOMP
			finished++
			c.latency.observe(now.Sub(c.sentAt(a)))
		case a[0] == 0x50: // PUBREC
			out = append(out, 0x62, 2, a[2], a[3])
		default:
			return out, finished, now, fmt.Errorf("got packet %x", a)
		}
	}
	return out, finished, now, nil
}

func (c *client) sentAt(a [4]byte) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[binary.BigEndian.Uint16(a[2:])]
}

// publishOpen sends by the clock; answers are read beside it.
func (c *client) publishOpen(l load, begin time.Time, i int) error {
	total := l.each(i)
	between := time.Duration(float64(time.Second) * float64(l.clients) / l.rate)
	next := begin.Add(between * time.Duration(i) / time.Duration(l.clients))
	var g errgroup.Group
	g.Go(func() error {
		if l.qos == 0 {
			return nil
		}
		for done := 0; done < total; {
			_, finished, _, err := c.answers(nil, 1)
			if err != nil {
				return err
			}
			done += finished
		}
		return nil
	})
	g.Go(func() error {
		var out []byte
		for n := 1; n <= total; {
			time.Sleep(time.Until(next))
			out = out[:0]
			for now := time.Now(); n <= total && !next.After(now); n++ {
				c.mu.Lock()
				c.sent[n&0xffff] = next
				c.mu.Unlock()
				out = c.message.append(out, n)
				next = next.Add(between)
			}
			if _, err := c.conn.Write(out); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// A message is what a socket with the usual firmware says, made once: only the
// packet identifier and the counter change.
type message struct {
	packet      []byte
	id, counter int // where they stand in packet
}

const counterDigits = 10 // as in 0000123.456

func newMessage(device string, qos byte) message {
	head := `{"Time":"2026-11-24T08:12:31","ENERGY":{"TotalStartTime":"2026-01-29T20:23:40","Total":`
	tail := `,"Yesterday":1.234,"Today":0.456,"Period":0,"Power":123.0,"ApparentPower":130,"ReactivePower":20,"Factor":0.95,"Voltage":231,"Current":0.545}}`
	var m message
	body := text16("tele/" + device + "/SENSOR")
	m.id = len(body)
	if qos > 0 {
		body = append(body, 0, 0)
	}
	m.counter = len(body) + len(head)
	body = append(body, head...)
	body = append(body, "1000000.000"...)
	body = append(body, tail...)
	m.packet = frame(0x30|qos<<1, body)
	shift := len(m.packet) - len(body)
	m.id, m.counter = m.id+shift, m.counter+shift
	if qos == 0 {
		m.id = 0
	}
	return m
}

// append adds message n, which counts n/1000 kWh above a million.
func (m *message) append(out []byte, n int) []byte {
	if m.id > 0 {
		binary.BigEndian.PutUint16(m.packet[m.id:], packetID(n))
	}
	at := m.counter + counterDigits
	for i, rest := 0, n; i < counterDigits-1; i++ { // the first digit stays 1
		if i == 3 {
			at-- // the point
		}
		m.packet[at] = byte('0' + rest%10)
		rest /= 10
		at--
	}
	return append(out, m.packet...)
}

// packetID is never 0: MQTT does not allow it (2.3.1). It is n again in its low
// 16 bits for all but each 65,536th message, which takes an identifier that was
// free long ago.
func packetID(n int) uint16 {
	if id := uint16(n); id != 0 {
		return id
	}
	return 0x8000
}

// counterOf finds n in what became of a message in Kafka: the gateway writes
// "energy_kwh":1000000.001, Telegraf "ENERGY_Total":1000000.001, and both drop
// zeros at the end.
func counterOf(value []byte, name string) (n int, err error) {
	text, ok := after(value, name)
	if !ok {
		return 0, errors.New("record without the counter " + name)
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("counter: %w", err)
	}
	return int(number*1000+0.5) - 1_000_000_000, nil
}
