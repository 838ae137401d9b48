package broker

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// A subscription is one filter of a SUBSCRIBE.
type subscription struct {
	filter   string
	handling byte // of retained messages, MQTT 5.0 section 3.8.3.1
	noLocal  bool
	existed  bool
	over     bool // the client has too many
}

const (
	retainedIfNew = 1 // Retain Handling
	retainedNever = 2
)

// OnSubscribe implements mqtt.Hook. It grants QoS 0, and takes the sending of
// retained messages from mochi, which would drop those that do not fit into the
// client's queue: a home automation asks for a thousand at once.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c := connOf(cl)
	c.reader.asked = c.reader.asked[:0]
	room := h.b.options.Limits.Subscriptions
	if c.account.Load().user.Role == users.Device {
		room = min(room, h.b.options.Limits.DeviceSubscriptions)
	}
	room -= cl.State.Subscriptions.Len()
	for i := range pk.Filters {
		f := &pk.Filters[i]
		asked := subscription{filter: f.Filter, handling: f.RetainHandling, noLocal: f.NoLocal}
		if _, asked.existed = cl.State.Subscriptions.Get(f.Filter); !asked.existed {
			room--
			asked.over = room < 0
		}
		f.Qos = 0
		f.RetainHandling = retainedNever
		switch {
		case asked.over:
			h.b.strike(c, cl, refusedSubscribe, "subscription turned down", "topic", f.Filter)
			f.Filter = "" // mochi answers that it is not valid
		case !h.b.shallow(f.Filter):
			h.b.strike(c, cl, refusedFilter, "subscription turned down", "topic", f.Filter)
			f.Filter = ""
		}
		c.reader.asked = append(c.reader.asked, asked)
	}
	return pk
}

// OnSubscribed implements mqtt.Hook. An MQTT 5 client is told that it has too
// many (MQTT 5.0 section 3.9.3).
func (h *hook) OnSubscribed(cl *mqtt.Client, _ packets.Packet, codes []byte) {
	c := connOf(cl)
	granted := c.reader.asked[:0]
	for i, s := range c.reader.asked {
		switch {
		case codes[i] < packets.ErrUnspecifiedError.Code:
			granted = append(granted, s)
		case s.over && c.v5.Load():
			codes[i] = packets.ErrQuotaExceeded.Code
		}
	}
	c.reader.asked = granted
	h.b.subscribed.Add(1)
}

// OnPacketProcessed implements mqtt.Hook: a message is noted, or the SUBACK
// written.
func (h *hook) OnPacketProcessed(cl *mqtt.Client, pk packets.Packet, err error) {
	if c := connOf(cl); c != nil {
		c.handover.end()
	}
	if err != nil || pk.FixedHeader.Type != packets.Subscribe {
		return
	}
	c := connOf(cl)
	for _, s := range c.reader.asked {
		if s.handling == retainedNever || s.handling == retainedIfNew && s.existed || mqtt.IsSharedFilter(s.filter) {
			continue
		}
		if h.sendRetained(c, cl, s) != nil {
			return // closing
		}
	}
}

// sendRetained waits for the client to take what it was sent before, so it gets
// all. Each message is looked up again just before it is sent: one published
// meanwhile may have left already, and the older must not come after it.
func (h *hook) sendRetained(c *conn, cl *mqtt.Client, s subscription) error {
	for _, topic := range h.b.retained.matching(s.filter) {
		if err := h.room(c); err != nil {
			return err
		}
		now, ok := h.b.server.Topics.Retained.Get(topic)
		if !ok || s.noLocal && now.Origin == cl.ID || !h.OnACLCheck(cl, now.TopicName, false) {
			continue
		}
		out := now.Copy(false)
		out.FixedHeader.Qos = 0
		out.FixedHeader.Retain = true
		if err := cl.WritePacket(out); err != nil {
			return err
		}
	}
	return nil
}
