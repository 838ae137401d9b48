package broker

import (
	"encoding/binary"
	"io"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// direct takes the messages that only the card is waiting for, before mochi sees
// them: PUBLISH packets with QoS 0 or 1, not retained, without properties, whose
// topic nobody subscribes to. That is what sockets send all day. mochi would
// copy each of them twice, keep it in flight until its own answer, and search
// its tree for subscribers: a third of all the work (decision 11).
// Everything else passes, and so does whatever is not exactly as it should be:
// what is wrong with it is mochi's to say.
//
// Order is kept because mochi reads only when it is done with all it has got:
// messages are taken from the front of what comes in, and from the first packet
// on that is for mochi all of it is.
type direct struct {
	h  *hook
	c  *conn
	cl *mqtt.Client // nil: the session is not established yet

	within int    // bytes that mochi still has to get of a packet it has the beginning of
	tail   []byte // the beginning of a packet, kept back until it is known what it is
	broken bool   // a header that is none came by: everything is for mochi

	topic string // the last one, and whether nobody subscribed to it
	alone bool
	as    uint64 // Broker.subscribed at that time
	ack   [4]byte
}

// maxHeader is the longest fixed header (MQTT 5.0 section 2.1.1).
const maxHeader = 5

// A frame is a packet whose fixed header is complete.
type frame struct {
	first byte // type and flags
	head  int  // bytes of the fixed header
	size  int  // of the whole packet
}

// parseHeader reports false while the header is incomplete; broken says that it
// can never be one.
func parseHeader(p []byte) (f frame, ok, broken bool) {
	length := 0
	for i := 1; i < len(p) && i < maxHeader; i++ {
		length |= int(p[i]&0x7f) << (7 * (i - 1))
		if p[i] < 0x80 {
			return frame{p[0], i + 1, i + 1 + length}, true, false
		}
	}
	return frame{}, false, len(p) >= maxHeader
}

// begin is called when mochi has established the session.
func (d *direct) begin(h *hook, c *conn, cl *mqtt.Client) { d.h, d.c, d.cl = h, c, cl }

// restore puts what was kept back in front of what is read next. There is room:
// mochi reads into the whole of its buffer when it has all that it was given.
func (d *direct) restore(p []byte) int {
	n := copy(p, d.tail)
	d.tail = d.tail[:0]
	return n
}

// sift takes what it may from p and returns how much of the rest, which it moves
// to the front, is for mochi.
func (d *direct) sift(p []byte) (n int, err error) {
	at := min(d.within, len(p)) // of a packet that mochi has begun
	d.within -= at
	from := 0 // what mochi gets begins there
	for at < len(p) && !d.broken {
		f, ok, broken := parseHeader(p[at:])
		whole := ok && f.size <= len(p)-at
		switch {
		case broken:
			d.broken = true
		case !ok, !whole && at == from && d.wanted(f) && f.size < readBuffer:
			d.tail = append(d.tail, p[at:]...)
			return copy(p, p[from:at]), nil
		case !whole:
			d.within = f.size - (len(p) - at)
			return copy(p, p[from:]), nil
		case at > from: // it stands behind what mochi gets
			at += f.size
		default:
			taken, err := d.take(f, p[at:at+f.size])
			if err != nil {
				return 0, err
			}
			at += f.size
			if taken {
				from = at
			}
		}
	}
	return copy(p, p[from:]), nil
}

// wanted tells by the first byte whether a packet may be one to take.
func (d *direct) wanted(f frame) bool {
	const publish, retain, qos, qos1 = 0x30, 0x01, 0x06, 0x02
	return d.cl != nil && f.first&0xf0 == publish && f.first&retain == 0 && f.first&qos <= qos1
}

// take handles a packet, or reports false.
func (d *direct) take(f frame, p []byte) (taken bool, err error) {
	if !d.wanted(f) {
		return false, nil
	}
	topic, id, payload, ok := d.parse(f, p)
	if !ok || !d.mayTake(topic) {
		return false, nil
	}
	if d.c.closing.Load() {
		return false, io.EOF
	}
	d.c.pace.unbooked.packets++
	d.count(len(p))
	m := Message{Client: d.cl.ID, User: d.c.user(), Topic: d.topic, Payload: payload, QoS: f.first >> 1 & 1, Dup: f.first&0x08 != 0}
	if m.QoS == 0 {
		_, _ = d.h.accept(m) // nobody waits; what was not stored Accept has counted
		return true, nil
	}
	if d.h.room(d.c) != nil || !d.h.store(d.c, d.cl, m) {
		return false, io.EOF // closing: not taken, not answered
	}
	d.ack = [4]byte{0x40, 2, byte(id >> 8), byte(id)}
	_, err = d.c.Write(d.ack[:])
	return true, err
}

// count keeps the figures that mochi keeps.
func (d *direct) count(bytes int) {
	info := d.h.b.server.Info
	atomic.AddInt64(&info.PacketsReceived, 1)
	atomic.AddInt64(&info.MessagesReceived, 1)
	atomic.AddInt64(&info.BytesReceived, int64(bytes))
}

// parse reads the variable header (MQTT 5.0 section 3.3.2). It reports false for
// what mochi would refuse, and for properties.
func (d *direct) parse(f frame, p []byte) (topic []byte, id uint16, payload []byte, ok bool) {
	rest := p[f.head:]
	if len(rest) < 2 {
		return nil, 0, nil, false
	}
	n := int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; n == 0 || n > len(rest) {
		return nil, 0, nil, false
	}
	topic, rest = rest[:n], rest[n:]
	if f.first&0x02 != 0 {
		if len(rest) < 2 {
			return nil, 0, nil, false
		}
		if id, rest = binary.BigEndian.Uint16(rest), rest[2:]; id == 0 {
			return nil, 0, nil, false
		}
	} else if f.first&0x08 != 0 { // DUP with QoS 0 is a protocol error
		return nil, 0, nil, false
	}
	if d.c.v5.Load() {
		if len(rest) == 0 || rest[0] != 0 {
			return nil, 0, nil, false
		}
		rest = rest[1:]
	}
	return topic, id, rest, true
}

// mayTake reports whether the topic is one that nobody else waits for. What was
// found out about a topic holds until somebody subscribes.
func (d *direct) mayTake(topic []byte) bool {
	if d.cl.State.Inflight.Len() > 0 { // QoS 2 under way: its identifiers must not be used twice
		return false
	}
	now := d.h.b.subscribed.Load()
	if d.topic != string(topic) || d.as != now {
		d.topic, d.as = string(topic), now
		d.alone = plainTopic(d.topic) && d.noSubscriber(d.topic)
	}
	who := d.c.account.Load()
	return d.alone && who != nil && d.h.b.allowed(&d.c.reader, who, d.topic)
}

func (d *direct) noSubscriber(topic string) bool {
	s := d.h.b.server.Topics.Subscribers(topic)
	return len(s.Subscriptions) == 0 && len(s.Shared) == 0 && len(s.InlineSubscriptions) == 0
}

// plainTopic reports whether a name is an ordinary one to publish to (MQTT 5.0
// section 4.7; 1.5.4 for the text).
func plainTopic(topic string) bool {
	return topic != "" && topic[0] != '$' && !strings.ContainsAny(topic, "+#\x00") && utf8.ValidString(topic)
}
