package broker

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// refusedTopicName stands in for topics that begin with $. mochi does not even
// answer messages to some of them, and their clients wait for ever.
const refusedTopicName = "$refused"

// OnPacketRead implements mqtt.Hook.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	c := connOf(cl)
	c.pace.unbooked.packets++
	if pk.FixedHeader.Type != packets.Publish {
		return pk, nil
	}
	c.reader.resent = pk.FixedHeader.Qos == 2 && pk.FixedHeader.Dup
	if pk.FixedHeader.Qos == 1 || pk.FixedHeader.Qos == 2 && !pk.FixedHeader.Dup && !c.v5.Load() {
		h.startAnew(cl, pk.PacketID)
	}
	if strings.HasPrefix(pk.TopicName, "$") && !c.internal {
		pk.TopicName = refusedTopicName
	}
	return pk, nil
}

// startAnew forgets an unfinished QoS 2 message of this id. A client that
// restarted without its memory uses the id again for a new message, with DUP
// not set, or for one of QoS 1; mochi would answer it with the old one's PUBREC
// and not hand it on. An MQTT 5 client that uses it for another QoS 2 message is
// told that the id is in use.
func (h *hook) startAnew(cl *mqtt.Client, id uint16) {
	old, ok := cl.State.Inflight.Get(id)
	if ok && old.FixedHeader.Type == packets.Pubrec && cl.State.Inflight.Delete(id) {
		atomic.AddInt64(&h.b.server.Info.Inflight, -1)
		cl.State.Inflight.IncreaseReceiveQuota()
	}
}

// OnACLCheck implements mqtt.Hook: for each message published, each filter
// subscribed to, and each message on its way to a subscriber.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	c := connOf(cl)
	if c == nil {
		return !write // a session without connection: nothing is sent
	}
	who := c.account.Load()
	switch {
	case who == nil:
		return false
	case c.internal:
		return true
	case !write:
		return who.user.Role.MaySubscribe(topic)
	case h.b.allowed(&c.reader, who, topic):
		c.reader.denied = false
		return true
	}
	return h.deny(c, cl, *who, topic)
}

// allowed remembers the last topic: most clients have one or two.
func (b *Broker) allowed(r *reader, who *account, topic string) bool {
	if r.judged != who || r.topic != topic {
		r.judged, r.topic, r.may = who, topic, b.mayPublish(*who, topic)
	}
	return r.may
}

// deny turns a message down. An MQTT 5 client is told so, one of MQTT 3.1.1 is
// disconnected by mochi, as nothing else can tell it (section 3.3.5). But a
// device that sends what is only not its business, a command, would come back
// and send it again for ever: such a message is answered and dropped, which
// that section allows too. It is no reading, so nothing that had to be stored
// is lost.
func (h *hook) deny(c *conn, cl *mqtt.Client, who account, topic string) bool {
	h.b.strike(c, cl, refusedTopic, "message turned down: its user may not publish to this topic",
		"role", who.user.Role.String(), "topic", topic)
	c.reader.denied = !c.v5.Load() && who.user.Role != users.Reader && h.b.shallow(topic)
	return c.reader.denied
}

// OnPublish implements mqtt.Hook. It runs before the answer is written, in the
// same goroutine, so the answer finds the session's tag raised.
//
// An error other than ErrRejectPacket must not leave it: mochi would answer
// the message as stored (MQTT 3.1.1), or panic on a wrapped one (MQTT 5).
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	c := connOf(cl)
	switch {
	case c == nil || c.internal: // the broker itself
		return pk, nil
	case c.reader.denied:
		return pk, packets.CodeSuccessIgnore
	}
	if pk.FixedHeader.Retain && !h.retain(c, cl, pk.TopicName, len(pk.Payload)) {
		pk.FixedHeader.Retain = false
	}
	m := Message{
		Client: cl.ID, User: c.account.Load().user.Name, Topic: pk.TopicName, Payload: pk.Payload,
		QoS: pk.FixedHeader.Qos, Retained: pk.FixedHeader.Retain, Dup: pk.FixedHeader.Dup,
	}
	if m.QoS == 0 {
		_, _ = h.accept(m) // nobody waits; what was not stored Accept has counted
		return pk, nil
	}
	if h.room(c) != nil || m.QoS == 2 && !c.handover.begin() || !h.store(c, cl, m) {
		return pk, packets.ErrRejectPacket // closing: not taken, not answered
	}
	return pk, nil
}

// store hands a message on and raises the session's tag. It reports false when
// that failed; the client is disconnected then.
func (h *hook) store(c *conn, cl *mqtt.Client, m Message) bool {
	tag, err := h.accept(m)
	if err != nil {
		h.turnAway(c, cl, err)
		return false
	}
	if c.reader.delayed {
		c.reader.delayed = false
		h.b.sessions.taken(c.reader.key)
	}
	c.session.Load().raise(tag)
	return true
}

// retain reports whether a message may be retained. One that may not is a
// message like any other.
func (h *hook) retain(c *conn, cl *mqtt.Client, topic string, size int) bool {
	why, ok := h.b.retained.fits(cl.ID, topic, size)
	switch {
	case ok:
	case why == refusedRetainClient:
		h.b.strike(c, cl, why, "message not retained: its client has too many", "topic", topic)
	default:
		h.b.refuse(c, why, TurnedDown, cl.ID, c.user(), "message not retained: there are too many", "topic", topic)
	}
	return ok
}

// turnAway disconnects a client whose message could not be stored. Its answer
// never leaves, so the client keeps the message and sends it again. mochi reads
// no further packet of a client that is stopped.
func (h *hook) turnAway(c *conn, cl *mqtt.Client, err error) {
	wait := h.b.sessions.turnedAway(c.reader.key, time.Now())
	if !h.b.stopping.Load() {
		h.b.refuse(c, refusedMessage, CutOff, cl.ID, c.user(), "message could not be stored; its client was disconnected and will send it again",
			"cause", err, "not_before", wait.String())
	}
	cl.Stop(err)
}

// OnWill implements mqtt.Hook. A will of a connection that another one took the
// session from is none: the client lives.
func (h *hook) OnWill(cl *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	c := connOf(cl)
	if c == nil || !h.b.sessions.has(c) {
		return mqtt.Will{}, nil
	}
	if will.Retain {
		_, will.Retain = h.b.retained.fits(cl.ID, will.TopicName, len(will.Payload))
	}
	h.will(willOf(c, cl.ID, will))
	return will, nil
}

func willOf(c *conn, id string, w mqtt.Will) Message {
	return Message{
		Client: id, User: c.account.Load().user.Name, Topic: w.TopicName, Payload: w.Payload,
		QoS: w.Qos, Retained: w.Retain, Will: true,
	}
}

// acceptWill hands a will on, unless the broker stops: then not the device fell
// silent, but the gateway. Subscribers and the retained messages get it in any
// case, because nobody will watch the device until the next start.
func (b *Broker) acceptWill(ctx context.Context, m Message) {
	if b.stopping.Load() {
		return
	}
	// A will never waits and is never refused: Accept counts what it loses.
	_, _ = b.options.Accept(context.WithoutCancel(ctx), m)
}

// publishWill does what mochi does for a broken connection.
func (b *Broker) publishWill(ctx context.Context, c *conn, cl *mqtt.Client) {
	will := c.reader.will
	if will.Flag == 0 || !b.sessions.has(c) {
		return
	}
	b.acceptWill(ctx, willOf(c, cl.ID, will))
	retain := will.Retain
	if retain {
		_, retain = b.retained.fits(cl.ID, will.TopicName, len(will.Payload))
	}
	inline := b.server.NewClient(nil, "plantgate", cl.ID, true)
	err := b.server.InjectPacket(inline, packets.Packet{
		FixedHeader: packets.FixedHeader{
			Type:   packets.Publish,
			Retain: retain,
		},
		TopicName: will.TopicName,
		Payload:   will.Payload,
	})
	if err != nil {
		b.log.Debug("will not published", "client", cl.ID, "error", err)
	}
}
