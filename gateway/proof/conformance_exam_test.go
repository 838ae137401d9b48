//go:build linux

package proof_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"
)

// The flags of a CONNECT.
const (
	cleanSession = 0x02
	hasWill      = 0x04
	willAtQoS1   = 0x08
	willAtQoS2   = 0x10
	willRetained = 0x20
	hasPassword  = 0x40
	hasUser      = 0x80
)

// More packets by their first byte.
const (
	subscribing   = 0x82
	unsubscribing = 0xa2
	unsuback      = 0xb0
	disconnecting = 0xe0
)

// pinging and pong are whole packets.
var (
	pinging = []byte{0xc0, 0}
	pong    = []byte{0xd0, 0}
	goodbye = []byte{disconnecting, 0}
)

// An exam is one test against a gateway that others use too: its clients and
// its topics have names that no other test has.
type exam struct {
	*testing.T
	address, name string
	clients       int
	last          string // what was tried last
}

// trying is said when the test fails.
func (e *exam) trying(format string, args ...any) {
	if e.last == "" {
		e.Cleanup(func() {
			if e.Failed() {
				e.Logf("the last of many: %s", e.last)
			}
		})
	}
	e.last = fmt.Sprintf(format, args...)
}

func (e *exam) id() string {
	e.clients++
	return fmt.Sprintf("%s-%d", e.name, e.clients)
}

func (e *exam) topic(last string) string { return e.name + "/" + last }

// A hello is a CONNECT, right or wrong.
type hello struct {
	protocol   string // default MQTT
	level      byte   // default 4: MQTT 3.1.1
	flags      byte
	keepAlive  uint16
	properties []byte   // MQTT 5
	will       []byte   // the properties of the will
	fields     []string // client id, and what the flags announce
	tail       []byte   // more than a CONNECT has
}

func (h hello) bytes() []byte {
	if h.protocol == "" {
		h.protocol = "MQTT"
	}
	if h.level == 0 {
		h.level = 4
	}
	body := append(text16(h.protocol), h.level, h.flags, byte(h.keepAlive>>8), byte(h.keepAlive))
	if h.level == 5 {
		body = append(append(body, byte(len(h.properties))), h.properties...)
	}
	for i, field := range h.fields {
		if i == 1 && h.level == 5 && h.flags&hasWill != 0 {
			body = append(append(body, byte(len(h.will))), h.will...)
		}
		body = append(body, text16(field)...)
	}
	return frame(0x10, append(body, h.tail...))
}

// A speaker is a client that was let in.
type speaker struct {
	*client
	version byte
	resumed bool       // CONNACK says that the session is an old one
	told    []byte     // the properties of the CONNACK
	early   []delivery // came while an answer was awaited
}

// enter connects; without fields under an id of its own.
func (e *exam) enter(h hello) *speaker {
	e.Helper()
	if h.level == 0 {
		h.level = 4
	}
	if len(h.fields) == 0 {
		h.fields = []string{e.id()}
	}
	s := &speaker{client: dial(e.T, e.address), version: h.level}
	s.send(h.bytes())
	head, body := s.packet()
	if head != connack || len(body) < 2 || body[1] != 0 {
		e.Fatalf("answer to CONNECT %x: %x %x", h.bytes(), head, body)
	}
	s.resumed, s.told = body[0] == 1, body[2:]
	return s
}

// guest is a client with a session of its own that ends with it.
func (e *exam) guest(version byte) *speaker {
	e.Helper()
	return e.enter(hello{level: version, flags: cleanSession})
}

// wants takes the next packet.
func (c *client) wants(want ...byte) {
	c.t.Helper()
	head, body := c.packet()
	if got := frame(head, body); !bytes.Equal(got, want) {
		c.t.Fatalf("got % x, want % x", got, want)
	}
}

// gone expects that the broker closes the connection and says nothing.
func (c *client) gone() {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	// A connection that is reset is closed too.
	defer c.Close() // else the broker waits a second for it
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		c.t.Fatalf("got % x, want the end of the connection", rest)
	}
	if late(err) {
		c.t.Fatal("the connection is still open after 10 s")
	}
}

func late(err error) bool {
	e, ok := err.(interface{ Timeout() bool })
	return ok && e.Timeout()
}

// dismissed expects a DISCONNECT of MQTT 5 and the end.
func (c *client) dismissed(reason byte) {
	c.t.Helper()
	head, body := c.packet()
	if head != disconnecting || len(body) == 0 || body[0] != reason {
		c.t.Fatalf("got %x % x, want a DISCONNECT with reason %#x", head, body, reason)
	}
	c.gone()
}

// here expects that the connection is open and nothing was said on it.
func (c *client) here() {
	c.t.Helper()
	c.send(pinging)
	c.wants(pong...)
}

// asking is a SUBSCRIBE or UNSUBSCRIBE. options follow each filter: none for
// UNSUBSCRIBE.
func asking(head, version byte, id uint16, options []byte, filters ...string) []byte {
	body := binary.BigEndian.AppendUint16(nil, id)
	if version == 5 {
		body = append(body, 0)
	}
	for _, f := range filters {
		body = append(append(body, text16(f)...), options...)
	}
	return frame(head, body)
}

// follow subscribes with QoS 2.
func (s *speaker) follow(filters ...string) {
	s.t.Helper()
	s.send(asking(subscribing, s.version, 9, []byte{2}, filters...))
	head, body := s.answer()
	for _, code := range body[len(body)-len(filters):] {
		if head != suback || code > 2 {
			s.t.Fatalf("answer to SUBSCRIBE: %x % x", head, body)
		}
	}
}

// drop unsubscribes.
func (s *speaker) drop(filters ...string) {
	s.t.Helper()
	s.send(asking(unsubscribing, s.version, 10, nil, filters...))
	if head, body := s.answer(); head != unsuback || body[1] != 10 {
		s.t.Fatalf("answer to UNSUBSCRIBE: %x % x", head, body)
	}
}

// say publishes with QoS 1 and returns when the message is acknowledged.
func (s *speaker) say(topic, payload string, flags byte) {
	s.t.Helper()
	s.send(appendPublish(nil, s.version, flags, 1, topic, 7, []byte(payload)))
	if head, body := s.answer(); head != puback || body[1] != 7 || len(body) > 2 {
		s.t.Fatalf("answer to PUBLISH: %x % x", head, body)
	}
	s.send(pinging) // PUBACK comes before the message goes to subscribers
	if head, body := s.answer(); !bytes.Equal(frame(head, body), pong) {
		s.t.Fatalf("answer to PINGREQ: %x %x", head, body)
	}
}

// answer is the next packet that is no message.
func (s *speaker) answer() (head byte, body []byte) {
	s.t.Helper()
	for {
		head, body = s.packet()
		if head>>4 != 3 {
			return head, body
		}
		s.early = append(s.early, s.deliver(head, body))
	}
}

// A delivery is a PUBLISH as a subscriber gets it.
type delivery struct {
	head           byte
	topic, payload string
	properties     []byte
}

// next takes a delivery.
func (s *speaker) next() delivery {
	s.t.Helper()
	if len(s.early) > 0 {
		d := s.early[0]
		s.early = s.early[1:]
		return d
	}
	return s.deliver(s.packet())
}

func (s *speaker) deliver(head byte, body []byte) delivery {
	s.t.Helper()
	d := delivery{head: head}
	if head>>4 != 3 || len(body) < 2 || len(body) < 2+int(binary.BigEndian.Uint16(body)) {
		s.t.Fatalf("got %x % x, want a message", head, body)
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	d.topic, body = string(body[2:n]), body[n:]
	if head&0x06 != 0 {
		s.t.Fatalf("%s came with QoS %d, and 0 was granted", d.topic, head>>1&3)
	}
	if s.version == 5 {
		size, n := binary.Uvarint(body)
		d.properties, body = body[n:n+int(size)], body[n+int(size):]
	}
	d.payload = string(body)
	return d
}

// until returns what arrives before the first message to a topic.
func (s *speaker) until(topic string) (all []delivery) {
	s.t.Helper()
	for {
		d := s.next()
		if d.topic == topic {
			return all
		}
		all = append(all, d)
	}
}

// hears expects these messages, each written as topic=payload, and no other
// before the one to end.
func (s *speaker) hears(end string, want ...string) []delivery {
	s.t.Helper()
	all := s.until(end)
	got := make([]string, len(all))
	for i, d := range all {
		got[i] = d.topic + "=" + d.payload
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		s.t.Fatalf("heard %q, want %q", got, want)
	}
	return all
}
