package broker_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"
)

// What a client can say in a script. Each takes what it needs from the bytes
// that follow.
const (
	sayPublish0 byte = iota
	sayPublish1
	sayPublish2
	sayRelease
	sayAnswer
	saySubscribe
	sayUnsubscribe
	sayPing
	sayDisconnect
	sayRaw
	sayFrame
	sayHello
	sayAuth
	sayProperties
	sayReconnect
	saySpoil
	sayings

	second = 0x80 // the other client says it
)

// maxSayings bounds a conversation.
const maxSayings = 200

// Of the byte that gives a message's id.
const (
	isRetained = 0x40
	isDup      = 0x20
	idMask     = 0x03
)

func topics() []string {
	return []string{"a", "a/b", "tele/x/SENSOR", "$SYS/x", "a/+", "#", "", "a\x00", "/", "\xff", strings.Repeat("a/", 20), "$share/g/a", "a/#", "+/b", "+"}
}

// A conversation is one input: one or two clients and what they say.
type conversation struct {
	t      *testing.T
	net    *pipes
	ledger *fuzzLedger
	script []byte
	flags  byte // bits 0, 1: a client speaks MQTT 5; 2: a will; 3: there is only one client id; 4: the session is kept
	talks  [2]*talk
	spoil  func([]byte) []byte // the next packet
}

// A talk is one client of a conversation.
type talk struct {
	*fuzzClient
	name    string
	version byte
	keep    bool
	spoilt  bool           // it said what the grammar does not know
	asked   map[uint16]int // messages that want an answer, by id, on this connection
}

func newConversation(t *testing.T, net *pipes, l *fuzzLedger, script []byte) *conversation {
	c := &conversation{t: t, net: net, ledger: l, script: script}
	c.flags = c.next()
	l.reset()
	for i := range c.talks {
		c.talks[i] = &talk{name: "c" + string(rune('1'+i)), version: 4 + c.flags>>i&1, keep: c.flags&16 != 0}
	}
	if c.flags&8 != 0 {
		c.talks[1].name = c.talks[0].name
	}
	return c
}

func (c *conversation) next() byte {
	if len(c.script) == 0 {
		return 0
	}
	b := c.script[0]
	c.script = c.script[1:]
	return b
}

func (c *conversation) run() {
	for n := 0; len(c.script) > 0 && n < maxSayings; n++ {
		b := c.next()
		c.say(c.talks[b>>7], (b&^second)%sayings)
	}
	for _, one := range c.talks {
		c.end(one)
	}
}

// hear connects a client that is not. What an earlier input left under its name
// is discarded first.
func (c *conversation) hear(one *talk) {
	if one.fuzzClient != nil {
		return
	}
	if one.keep {
		clean := connect(c.t, c.net, one.version)
		clean.write(hello{id: one.name, version: one.version}.bytes())
		clean.write(ping)
		clean.awaitPongs()
		clean.write(disconnect)
		clean.leave()
	}
	c.connect(one)
}

func (c *conversation) connect(one *talk) {
	one.asked = map[uint16]int{}
	one.fuzzClient = connect(c.t, c.net, one.version)
	one.fuzzClient.acked = func(kind byte, id uint16) { c.ledger.check(c.t, one.name, kind, id) }
	h := hello{id: one.name, version: one.version, keep: one.keep}
	if one.keep && one.version == 5 {
		h.properties = []byte{0x11, 0, 0, 1, 0} // the session outlives the connection by 256 s
	}
	if c.flags&4 != 0 {
		h.will = &will{topic: "a/b", payload: "gone", retain: true}
	}
	one.write(h.bytes())
}

// end leaves, after it saw that all has been answered.
func (c *conversation) end(one *talk) {
	if one.fuzzClient == nil {
		return
	}
	if !one.spoilt && c.flags&8 == 0 {
		one.write(ping)
		one.awaitPongs()
		answers, admitted := one.answers()
		if !admitted {
			c.t.Errorf("client %s is not let in", one.name)
		}
		if one.alive() {
			for id, asked := range one.asked {
				if answers[id] < asked {
					c.t.Errorf("client %s has %d answers to %d messages with id %d", one.name, answers[id], asked, id)
				}
			}
		}
	}
	one.leave()
	one.fuzzClient = nil
}

// say writes one packet.
func (c *conversation) say(one *talk, what byte) {
	c.hear(one)
	switch what {
	case saySpoil:
		at, bits := int(c.next()), c.next()|1
		c.spoil = func(p []byte) []byte {
			p = bytes.Clone(p)
			p[at%len(p)] ^= bits
			return p
		}
		return
	case sayReconnect:
		how := c.next()
		one.keep = one.keep || how&2 != 0
		if how&1 != 0 {
			one.write(disconnect)
		}
		c.drop(one)
		return
	}
	p := c.packet(one, what)
	if len(p) == 0 {
		return
	}
	if c.spoil != nil {
		p, c.spoil, one.spoilt = c.spoil(p), nil, true
		c.ledger.doubt(one.name)
	}
	one.write(p)
}

// drop breaks the connection and makes another one.
func (c *conversation) drop(one *talk) {
	one.leave()
	c.connect(one)
}

func (c *conversation) packet(one *talk, what byte) []byte {
	switch what {
	case sayPublish0, sayPublish1, sayPublish2:
		return c.message(one, what, nil)
	case sayProperties:
		one.spoilt = true // some of them are not allowed
		return c.message(one, 1, c.properties())
	case sayRelease:
		return ack(pubrel, c.id())
	case sayAnswer:
		return ack([]byte{puback, pubrec, pubcomp}[c.next()%3], c.id())
	case saySubscribe, sayUnsubscribe:
		return c.filters(one, what)
	case sayPing:
		return ping
	}
	one.spoilt = true // the broker may close
	switch what {
	case sayDisconnect:
		return frame(0xe0, make([]byte, c.next()%3))
	case sayRaw:
		c.ledger.doubt(one.name)
		return c.bytes()
	case sayFrame:
		c.ledger.doubt(one.name)
		head := c.next()
		return frame(head, c.bytes())
	case sayHello:
		return hello{id: one.name, version: one.version, password: "x"}.bytes()
	default:
		return frame(0xf0, []byte{0x18, 0})
	}
}

func (c *conversation) id() uint16 { return uint16(c.next() & idMask) }

func (c *conversation) bytes() []byte {
	n := min(int(c.next()%64), len(c.script))
	b := c.script[:n]
	c.script = c.script[n:]
	return append([]byte(nil), b...)
}

func (c *conversation) topic() string {
	all := topics()
	return all[int(c.next())%len(all)]
}

// message makes a PUBLISH whose payload tells client and id, for the ledger.
func (c *conversation) message(one *talk, qos byte, properties []byte) []byte {
	b := c.next()
	id, topic := uint16(b&idMask), c.topic()
	body := str(topic)
	head := byte(0x30) | qos<<1
	if b&isRetained != 0 {
		head |= retain
	}
	if b&isDup != 0 && qos > 0 {
		head |= dup
	}
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	if one.version == 5 {
		body = append(append(body, byte(len(properties))), properties...)
	}
	if id == 0 || !plain(topic) {
		one.spoilt = one.spoilt || id == 0 && qos > 0 || !plain(topic)
	} else if qos > 0 {
		one.asked[id]++
		c.ledger.sent(one.name, id, topic)
	}
	return frame(head, append(body, byte(id)))
}

// plain: a message to the topic is no mistake of the client's.
func plain(topic string) bool {
	return topic != "" && !strings.ContainsAny(topic, "+#\x00") && utf8.ValidString(topic) && strings.Count(topic, "/") < 16
}

// properties of MQTT 5, most of them right.
func (c *conversation) properties() (p []byte) {
	for range c.next() % 4 {
		switch c.next() % 8 {
		case 0:
			p = append(p, 0x01, c.next()&1) // Payload Format Indicator
		case 1:
			p = append(p, 0x02, 0, 0, 0, c.next()) // Message Expiry Interval
		case 2:
			p = append(p, 0x23, 0, c.next()&3) // Topic Alias
		case 3:
			p = append(append(p, 0x08), str(c.topic())...) // Response Topic
		case 4:
			p = append(append(p, 0x09), str(string(c.bytes()))...) // Correlation Data
		case 5:
			p = append(append(append(p, 0x26), str("k")...), str(string(c.bytes()))...) // User Property
		case 6:
			p = append(p, 0x0b, c.next()&0x7f) // Subscription Identifier
		default:
			p = append(p, c.next())
		}
	}
	return p[:min(len(p), 127)]
}

func (c *conversation) filters(one *talk, what byte) []byte {
	body := []byte{0, 9}
	if one.version == 5 {
		body = append(body, 0)
	}
	count := 1 + c.next()%3
	for range count {
		filter := c.topic()
		one.spoilt = one.spoilt || filter == "" || strings.Contains(filter, "\x00") || !utf8.ValidString(filter)
		body = append(body, str(filter)...)
		if what == saySubscribe {
			options := c.next()
			one.spoilt = one.spoilt || options > 2
			body = append(body, options)
		}
	}
	return frame(map[byte]byte{saySubscribe: 0x82, sayUnsubscribe: 0xa2}[what], body)
}
