package broker

import (
	"context"
	"net/netip"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// A hook is what mochi calls. Its functions are bound to the context of Run,
// because mochi passes none.
type hook struct {
	mqtt.HookBase
	b      *Broker
	accept func(Message) (uint64, error)
	will   func(Message)
	login  func(from netip.Addr, name string, password []byte) (users.User, error)
	room   func(*conn) error
	hold   func(*conn) // an answer that says no, so that nobody can ask often
}

func newHook(ctx context.Context, b *Broker) *hook {
	return &hook{
		b:      b,
		accept: func(m Message) (uint64, error) { return b.options.Accept(ctx, m) },
		will:   func(m Message) { b.acceptWill(ctx, m) },
		room:   func(c *conn) error { return c.waitForRoom(ctx) },
		hold:   func(c *conn) { _ = c.rest(time.Now().Add(loginPause)) }, // its end is that of the connection
		login: func(from netip.Addr, name string, password []byte) (users.User, error) {
			ctx, cancel := context.WithTimeout(ctx, b.options.Limits.ConnectTimeout)
			defer cancel()
			return b.options.Users.Check(ctx, from, name, password)
		},
	}
}

// loginPause is how long a client waits for its answer whose password was not
// even looked at. Until then it holds one of the connections that its address
// may have.
const loginPause = time.Second

// ID implements mqtt.Hook.
func (h *hook) ID() string { return "plantgate" }

// Provides implements mqtt.Hook.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablish,
		mqtt.OnSessionEstablished, mqtt.OnDisconnect, mqtt.OnPacketRead, mqtt.OnPacketEncode,
		mqtt.OnPacketProcessed, mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnPublish, mqtt.OnRetainMessage,
		mqtt.OnRetainedExpired, mqtt.OnWill, mqtt.OnClientExpired:
		return true
	}
	return false
}

// connOf returns the connection of a client; nil for a session without one.
func connOf(cl *mqtt.Client) *conn {
	c, _ := cl.Net.Conn.(*conn)
	return c
}

// OnConnectAuthenticate implements mqtt.Hook. OnConnect has decided.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	return connOf(cl).client.Load() != nil
}

// OnSessionEstablish implements mqtt.Hook: before mochi takes over the session
// of an older connection.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) { h.b.sessions.attach(connOf(cl)) }

// OnSessionEstablished implements mqtt.Hook: after that.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	c := connOf(cl)
	h.b.sessions.attached(c)
	h.b.subscribed.Add(1) // it may have brought subscriptions
	if !c.internal {
		c.direct.begin(h, c, cl)
	}
}

// OnDisconnect implements mqtt.Hook: before mochi decides what becomes of the
// session. When it found the client closed between two packets it took that for
// a farewell, whoever closed it, and forgot the will.
func (h *hook) OnDisconnect(cl *mqtt.Client, err error, _ bool) {
	c := connOf(cl)
	c.reader.ended = true
	c.reader.willOwed = err == nil && cl.StopCause() != packets.CodeDisconnect
	h.b.sessions.detach(c)
}

// OnClientExpired implements mqtt.Hook. mochi drops the session, but not its
// subscriptions.
func (h *hook) OnClientExpired(cl *mqtt.Client) {
	h.b.server.UnsubscribeClient(cl)
	h.b.sessions.forget(cl.ID)
}

// OnRetainMessage implements mqtt.Hook.
func (h *hook) OnRetainMessage(*mqtt.Client, packets.Packet, int64) { h.b.retained.touch() }

// OnRetainedExpired implements mqtt.Hook.
func (h *hook) OnRetainedExpired(string) { h.b.retained.touch() }

// OnPacketEncode implements mqtt.Hook. It corrects what mochi answers.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		if cl.Properties.ProtocolVersion == 5 {
			pk.Properties.MaximumPacketSize = h.b.options.Limits.PacketSize
		} else {
			pk.ReasonCode = returnCode(pk.ReasonCode)
		}
	case packets.Pubrec:
		// A QoS 2 message sent again is answered like the first time (MQTT 5.0
		// section 4.3.3); mochi calls its packet id in use, and the client would
		// give the message up.
		if c := connOf(cl); c != nil && c.reader.resent && pk.ReasonCode == packets.ErrPacketIdentifierInUse.Code {
			pk.ReasonCode = packets.CodeSuccess.Code
			pk.Properties.ReasonString = ""
		}
	}
	return pk
}

// returnCode is the MQTT 3.1.1 return code (table 3.1) for an MQTT 5 reason
// code. mochi has one for some of them and sends the others as they are.
func returnCode(reason byte) byte {
	switch reason {
	case packets.ErrMalformedPacket.Code, packets.ErrProtocolViolation.Code, packets.ErrUnsupportedProtocolVersion.Code:
		return packets.Err3UnsupportedProtocolVersion.Code
	case packets.ErrUnspecifiedError.Code, packets.ErrClientIdentifierNotValid.Code: // mochi's for an empty client id
		return packets.Err3ClientIdentifierNotValid.Code
	case packets.ErrServerBusy.Code, packets.ErrServerUnavailable.Code, packets.ErrQuotaExceeded.Code,
		packets.ErrConnectionRateExceeded.Code:
		return packets.Err3ServerUnavailable.Code
	}
	if reason >= packets.ErrUnspecifiedError.Code {
		return packets.Err3NotAuthorized.Code
	}
	return reason
}
