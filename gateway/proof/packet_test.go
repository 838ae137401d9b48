//go:build linux

package proof_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// The packets of MQTT that the tests send and get, by their first byte.
const (
	connack    = 0x20
	puback     = 0x40
	pubrec     = 0x50
	pubrel     = 0x62
	pubcomp    = 0x70
	suback     = 0x90
	flagDup    = 0x08
	flagRetain = 0x01
)

func frame(head byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{head}, uint64(len(body))), body...)
}

func text16(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// A greeting is a CONNECT. The session outlives the connection, as a device
// that resends needs it.
type greeting struct {
	id        string
	version   byte // 4 (MQTT 3.1.1) or 5
	willTopic string
	will      string // at QoS 1, retained
}

func (g greeting) bytes() []byte {
	var flags byte
	tail := text16(g.id)
	if g.willTopic != "" {
		flags |= 0x2c // retain, QoS 1, will
		if g.version == 5 {
			tail = append(tail, 0) // no properties
		}
		tail = append(append(tail, text16(g.willTopic)...), text16(g.will)...)
	}
	body := append(text16("MQTT"), g.version, flags, 0, 60)
	if g.version == 5 {
		body = append(body, 5, 0x11, 0, 0, 0x0e, 0x10) // session expiry: one hour
	}
	return frame(0x10, append(body, tail...))
}

// appendPublish adds a PUBLISH to dst.
func appendPublish(dst []byte, version, flags, qos byte, topic string, id uint16, payload []byte) []byte {
	size := 2 + len(topic) + len(payload)
	if qos > 0 {
		size += 2
	}
	if version == 5 {
		size++
	}
	dst = binary.AppendUvarint(append(dst, 0x30|flags|qos<<1), uint64(size))
	dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(topic))), topic...)
	if qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	if version == 5 {
		dst = append(dst, 0)
	}
	return append(dst, payload...)
}

func readPacket(r *bufio.Reader) (head byte, body []byte, err error) {
	if head, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, size)
	_, err = io.ReadFull(r, body)
	return head, body, err
}

// A client is a connection over which a test speaks byte by byte.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{conn, t, bufio.NewReader(conn)}
}

func connect(t *testing.T, address string, g greeting) *client {
	t.Helper()
	c := dial(t, address)
	c.send(g.bytes())
	if head, body := c.packet(); head != connack || len(body) < 2 || body[1] != 0 {
		t.Fatalf("answer to CONNECT: %x %x", head, body)
	}
	return c
}

func (c *client) send(p []byte) {
	c.t.Helper()
	if _, err := c.Write(p); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) packet() (head byte, body []byte) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	head, body, err := readPacket(c.r)
	if err != nil {
		c.t.Fatalf("read packet: %v", err)
	}
	return head, body
}

// publish sends a message of MQTT 3.1.1 and returns when it is acknowledged.
func (c *client) publish(topic, payload string, retain bool) {
	c.t.Helper()
	var flags byte
	if retain {
		flags = flagRetain
	}
	c.send(appendPublish(nil, 4, flags, 1, topic, 7, []byte(payload)))
	if head, body := c.packet(); head != puback {
		c.t.Fatalf("answer to PUBLISH: %x %x", head, body)
	}
}

func (c *client) subscribe(filter string) {
	c.t.Helper()
	c.send(frame(0x82, append(append([]byte{0, 9}, text16(filter)...), 1)))
	if head, body := c.packet(); head != suback || body[2] >= 0x80 {
		c.t.Fatalf("answer to SUBSCRIBE: %x %x", head, body)
	}
}

// message reads a PUBLISH at QoS 0.
func (c *client) message() (topic, payload string, retained bool) {
	c.t.Helper()
	head, body := c.packet()
	if head>>4 != 3 || len(body) < 2 {
		c.t.Fatalf("got packet %x %x, want a message", head, body)
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	return string(body[2:n]), string(body[n:]), head&flagRetain != 0
}

// ended returns how long it took the broker to close the connection.
func (c *client) ended(within time.Duration) (time.Duration, error) {
	begin := time.Now()
	if err := c.SetReadDeadline(begin.Add(within)); err != nil {
		return 0, err
	}
	_, err := io.Copy(io.Discard, c.r)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return 0, fmt.Errorf("the connection is still open after %s", within)
	}
	return time.Since(begin), nil
}
