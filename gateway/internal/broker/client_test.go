package broker_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// A hello is a CONNECT packet. Its zero value is a clean MQTT 3.1.1 session
// with a keep-alive of a minute.
type hello struct {
	version        byte // 4 or 5; 0: 4
	id             string
	user, password string
	keepAlive      uint16 // seconds; 0: 60
	forever        bool   // keep-alive 0
	keep           bool   // not a clean session
	properties     []byte // MQTT 5
	will           *will
}

type will struct {
	topic, payload string
	qos            byte
	retain         bool
	delay          uint32 // MQTT 5, seconds
}

func (h hello) bytes() []byte {
	version, keepAlive := h.version, h.keepAlive
	if version == 0 {
		version = 4
	}
	if keepAlive == 0 && !h.forever {
		keepAlive = 60
	}
	var flags byte
	if !h.keep {
		flags |= 0x02
	}
	tail := str(h.id)
	if w := h.will; w != nil {
		flags |= 0x04 | w.qos<<3
		if w.retain {
			flags |= 0x20
		}
		if version == 5 {
			tail = append(tail, 5, 0x18) // Will Delay Interval
			tail = binary.BigEndian.AppendUint32(tail, w.delay)
		}
		tail = append(tail, str(w.topic)...)
		tail = append(tail, str(w.payload)...)
	}
	if h.user != "" {
		flags |= 0x80
		tail = append(tail, str(h.user)...)
	}
	if h.password != "" {
		flags |= 0x40
		tail = append(tail, str(h.password)...)
	}
	body := append(str("MQTT"), version, flags)
	body = binary.BigEndian.AppendUint16(body, keepAlive)
	if version == 5 {
		body = append(body, byte(len(h.properties)))
		body = append(body, h.properties...)
	}
	return frame(0x10, append(body, tail...))
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func frame(head byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{head}, uint64(len(body))), body...)
}

// A client speaks MQTT byte by byte, so that a test sees what leaves.
type client struct {
	net.Conn
	t        testing.TB
	r        *bufio.Reader
	version  byte
	patience time.Duration // to wait for a packet; 0: ten seconds
}

// client connects over TCP and expects to be let in.
func (r *rig) client(t testing.TB, h hello) *client {
	t.Helper()
	return letIn(t, r.dial(t), h)
}

// newClient has not yet said hello; version 0 is 4.
func newClient(t testing.TB, conn net.Conn, version byte) *client {
	return &client{Conn: conn, t: t, r: bufio.NewReader(conn), version: max(version, 4)}
}

func letIn(t testing.TB, conn net.Conn, h hello) *client {
	t.Helper()
	c := newClient(t, conn, h.version)
	c.send(h.bytes())
	if head, body := c.packet(); head != 0x20 || len(body) < 2 || body[1] != 0 {
		t.Fatalf("answer to CONNECT: %x %x, want a CONNACK with code 0", head, body)
	}
	return c
}

func (c *client) send(p []byte) {
	c.t.Helper()
	if _, err := c.Write(p); err != nil {
		c.t.Fatalf("send %x: %v", p[:min(len(p), 32)], err)
	}
}

// publish sends a message; the reader must expect its answer.
func (c *client) publish(topic string, qos byte, id uint16, payload string) {
	c.t.Helper()
	c.send(c.message(0, topic, qos, id, payload))
}

const (
	retain = 0x01
	dup    = 0x08
)

func (c *client) message(flags byte, topic string, qos byte, id uint16, payload string) []byte {
	body := str(topic)
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	if c.version == 5 {
		body = append(body, 0)
	}
	return frame(0x30|flags|qos<<1, append(body, payload...))
}

func (c *client) subscribe(filters ...string) {
	c.t.Helper()
	c.send(c.subscription(filters...))
	if head, body := c.packet(); head != 0x90 || body[len(body)-1] >= 0x80 {
		c.t.Fatalf("answer to SUBSCRIBE: %x %x", head, body)
	}
}

func (c *client) subscription(filters ...string) []byte {
	body := []byte{0, 9}
	if c.version == 5 {
		body = append(body, 0)
	}
	for _, f := range filters {
		body = append(append(body, str(f)...), 1) // asks for QoS 1
	}
	return frame(0x82, body)
}

// packet reads one packet.
func (c *client) packet() (head byte, body []byte) {
	c.t.Helper()
	head, body, err := c.read(cmp.Or(c.patience, 10*time.Second))
	if err != nil {
		c.t.Fatalf("read packet: %v", err)
	}
	return head, body
}

func (c *client) read(within time.Duration) (head byte, body []byte, err error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return 0, nil, err
	}
	if head, err = c.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	size, err := binary.ReadUvarint(c.r)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, size)
	_, err = io.ReadFull(c.r, body)
	return head, body, err
}

// want reads a packet and compares it, byte for byte.
func (c *client) want(want ...byte) {
	c.t.Helper()
	head, body := c.packet()
	if got := frame(head, body); !bytes.Equal(got, want) {
		c.t.Fatalf("got packet %x, want %x", got, want)
	}
}

// wantMessage reads a PUBLISH.
func (c *client) wantMessage(topic, payload string) (flags byte) {
	c.t.Helper()
	head, body := c.packet()
	if head>>4 != 3 || len(body) < 2 {
		c.t.Fatalf("got packet %x %x, want a message", head, body)
	}
	n := int(binary.BigEndian.Uint16(body)) + 2
	rest := body[n:]
	if c.version == 5 {
		rest = rest[1+int(rest[0]):]
	}
	if got := fmt.Sprintf("%s %s", body[2:n], rest); got != topic+" "+payload {
		c.t.Fatalf("got message %q, want %q", got, topic+" "+payload)
	}
	return head & 0x0f
}

// wantClosed expects the end of the connection, and nothing before it.
func (c *client) wantClosed() {
	c.t.Helper()
	if head, body, err := c.read(10 * time.Second); err == nil {
		c.t.Fatalf("got packet %x %x, want the connection closed", head, body)
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		c.t.Fatal("connection stays open")
	}
}

// wantSilence expects that no byte comes within d.
func (c *client) wantSilence(d time.Duration) {
	c.t.Helper()
	if head, body, err := c.read(d); err == nil {
		c.t.Fatalf("got packet %x %x, want none", head, body)
	} else if e, ok := err.(net.Error); !ok || !e.Timeout() {
		c.t.Fatalf("connection ended: %v", err)
	}
}

var (
	ping       = []byte{0xc0, 0}
	pong       = []byte{0xd0, 0}
	disconnect = []byte{0xe0, 0}
)

// puback, pubrec and so on are answers without reason code.
func ack(head byte, id uint16) []byte { return []byte{head, 2, byte(id >> 8), byte(id)} }

const (
	puback  = 0x40
	pubrec  = 0x50
	pubrel  = 0x62
	pubcomp = 0x70
)

// ping proves that the client is still served.
func (c *client) ping() {
	c.t.Helper()
	c.send(ping)
	c.want(pong...)
}
