package broker

import (
	"errors"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// maxClientID bounds a client id, in bytes. A server may stop at 23 (MQTT 5.0
// section 3.1.3.1).
const maxClientID = 256

// An account is who a connection belongs to.
type account struct {
	user      users.User // Name "" for anonymous
	anonymous bool
}

// OnConnect implements mqtt.Hook. It decides alone who is let in, because only
// here the refusal can say why.
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	c := connOf(cl)
	code, reason := h.judge(c, cl, pk)
	if code == packets.CodeSuccess {
		return nil
	}
	h.b.refuse(c, reason, TurnedAway, cl.ID, string(pk.Connect.Username), "client turned away")
	if reason == refusedTooMany {
		h.hold(c)
	}
	c.v5.Store(cl.Properties.ProtocolVersion == 5)
	if err := h.b.server.SendConnack(cl, code, false, nil); err != nil {
		return err
	}
	return code
}

// judge goes through what can be wrong, the cheapest first, and prepares the
// connection when nothing is.
func (h *hook) judge(c *conn, cl *mqtt.Client, pk packets.Packet) (packets.Code, refusal) {
	c.reader.key = cl.ID
	if pk.Connect.ClientIdentifier == "" {
		c.reader.key = "@" + c.from.String() // its id is a new one each time
	}
	mayEnter, delayed := h.b.sessions.mayEnter(c.reader.key, time.Now())
	c.reader.delayed = delayed
	_, known := h.b.server.Clients.Get(cl.ID)
	switch {
	case pk.Properties.AuthenticationMethod != "":
		return packets.ErrBadAuthenticationMethod, refusedLogin
	case len(cl.ID) > maxClientID:
		return packets.ErrClientIdentifierNotValid, refusedClientID
	case !mayEnter:
		return packets.ErrServerBusy, refusedDelay
	case !known && !c.internal && h.b.server.Clients.Len() >= h.b.options.Limits.Sessions:
		return packets.ErrQuotaExceeded, refusedSessions
	}
	who, code, reason := h.identify(c, pk)
	if code != packets.CodeSuccess {
		return code, reason
	}
	if will := cl.Properties.Will; will.Flag != 0 && !h.b.mayPublish(who, will.TopicName) {
		return packets.ErrNotAuthorized, refusedWill
	}
	if !h.b.sessions.claim(c, cl.ID, who.user) {
		return packets.ErrClientIdentifierNotValid, refusedClientID
	}
	h.prepare(c, cl, who)
	return packets.CodeSuccess, 0
}

// identify finds out whose connection it is. Where anonymous clients are let
// in, a name that no user has is none: devices keep the name that they had with
// another broker.
func (h *hook) identify(c *conn, pk packets.Packet) (who account, code packets.Code, reason refusal) {
	if c.internal {
		return account{user: users.User{Role: users.Home}}, packets.CodeSuccess, 0
	}
	name, known := string(pk.Connect.Username), false
	if h.b.options.Users != nil && pk.Connect.UsernameFlag {
		known = h.b.options.Users.Known(name)
	}
	if c.listener.Anonymous && c.local && !known {
		return account{users.User{Role: c.listener.AnonymousRole}, true}, packets.CodeSuccess, 0
	}
	if h.b.options.Users == nil || !pk.Connect.UsernameFlag {
		return account{}, packets.ErrBadUsernameOrPassword, refusedLogin
	}
	u, err := h.login(c.from, name, pk.Connect.Password)
	switch {
	case err == nil:
		return account{user: u}, packets.CodeSuccess, 0
	case errors.Is(err, users.ErrDenied):
		return account{}, packets.ErrBadUsernameOrPassword, refusedLogin
	}
	return account{}, packets.ErrConnectionRateExceeded, refusedTooMany
}

// prepare sets what mochi must not do with this client.
func (h *hook) prepare(c *conn, cl *mqtt.Client, who account) {
	// mochi gives a topic its alias before it knows that the message will not be
	// dropped, and the client would never learn it.
	cl.Properties.Props.TopicAliasMaximum = 0
	// Without a send quota mochi never calls Inflight.NextImmediate, which takes
	// a read lock twice and can hang for ever (inflight.go). Nothing is sent at
	// QoS 1 or 2 that would need the quota.
	cl.Properties.Props.ReceiveMaximum = 0
	cl.State.Inflight.ResetSendQuota(0)
	cl.Properties.Will.WillDelayInterval = 0
	c.reader.will = cl.Properties.Will
	c.v5.Store(cl.Properties.ProtocolVersion == 5)
	h.limitKeepAlive(cl)
	c.admit(cl.State.Keepalive)
	c.account.Store(&who)
	c.client.Store(cl)
}

// limitKeepAlive bounds the silence of a client. Only MQTT 5 lets the broker say
// so (MQTT 5.0 section 3.2.2.3.14); a device of MQTT 3.1.1 keeps what it asked
// for, even for ever: when its network is gone, the probes of TCP find out.
func (h *hook) limitKeepAlive(cl *mqtt.Client) {
	longest := uint16(h.b.options.Limits.KeepAlive / time.Second)
	if cl.Properties.ProtocolVersion == 5 && (cl.State.Keepalive == 0 || cl.State.Keepalive > longest) {
		cl.State.Keepalive, cl.State.ServerKeepalive = longest, true
	}
}

// mayPublish judges a topic for a user. Topics that begin with $ belong to the
// broker (MQTT 5.0 section 4.7.2).
func (b *Broker) mayPublish(who account, topic string) bool {
	return !strings.HasPrefix(topic, "$") && b.shallow(topic) && who.user.Role.MayPublish(topic)
}

// shallow reports whether a topic has few enough levels: mochi's tree has a
// node for each, and its search takes time that grows with their square.
func (b *Broker) shallow(topic string) bool {
	return strings.Count(topic, "/") < b.options.Limits.TopicLevels
}
