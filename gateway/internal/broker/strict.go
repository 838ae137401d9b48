package broker

import (
	"bytes"
	"strings"
	"unicode/utf8"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// strict is the hook that asks of a packet what the standard asks and mochi does
// not. It comes before the broker's own hook. What breaks the protocol ends its
// connection unanswered (MQTT 3.1.1, MQTT-3.1.4-1 and MQTT-4.8.0-1).
type strict struct {
	mqtt.HookBase
	nothing []byte // stands in for an empty will, which mochi refuses
}

func newStrict() *strict { return &strict{nothing: []byte{0}} }

// ID implements mqtt.Hook.
func (s *strict) ID() string { return "strict" }

// Provides implements mqtt.Hook.
func (s *strict) Provides(b byte) bool {
	return b == mqtt.OnPacketRead || b == mqtt.OnConnect || b == mqtt.OnPacketEncode
}

// OnPacketRead implements mqtt.Hook.
func (s *strict) OnPacketRead(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Connect:
		if !conforms(&pk) {
			return pk, packets.ErrRejectPacket
		}
		s.allowEmpty(&pk.Connect)
	case packets.Auth: // no method is known to the broker that would need it
		return pk, packets.ErrRejectPacket
	case packets.Subscribe:
		for i := range pk.Filters {
			if !wellFormed(pk.Filters[i].Filter) {
				pk.Filters[i].Filter = "" // mochi answers that it is not valid
			}
		}
	}
	return pk, nil
}

// OnConnect implements mqtt.Hook.
func (s *strict) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	if will := &cl.Properties.Will; len(will.Payload) > 0 && &will.Payload[0] == &s.nothing[0] {
		will.Payload = nil
	}
	return nil
}

// OnPacketEncode implements mqtt.Hook. MQTT 3.1 has no session present flag, and
// mochi answers MQTT 3.1.1 with a reason of MQTT 5 when the packet id of a
// SUBSCRIBE is in use (MQTT-3.9.3-2).
func (s *strict) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch version := cl.Properties.ProtocolVersion; {
	case pk.FixedHeader.Type == packets.Connack && version == 3:
		pk.SessionPresent = false
	case pk.FixedHeader.Type == packets.Suback && version != 5:
		for i, code := range pk.ReasonCodes {
			if code > packets.CodeGrantedQos2.Code {
				pk.ReasonCodes[i] = packets.ErrUnspecifiedError.Code
			}
		}
	}
	return pk
}

// allowEmpty lets a will and a password of no bytes pass, which both standards
// allow (MQTT 3.1.1, 3.1.3.3 and 3.1.3.5).
func (s *strict) allowEmpty(c *packets.ConnectParams) {
	if c.WillFlag && len(c.WillPayload) == 0 {
		c.WillPayload = s.nothing
	}
	if len(c.Password) == 0 {
		c.PasswordFlag = false
	}
}

// conforms judges a CONNECT by MQTT 3.1.1 section 3.1.2 and 3.1.3. One of a
// level that is not served is left to mochi, which refuses it with 0x01.
func conforms(pk *packets.Packet) bool {
	c := &pk.Connect
	switch {
	case string(c.ProtocolName) == "MQIsdp" && pk.ProtocolVersion == 3: // MQTT 3.1
	case string(c.ProtocolName) != "MQTT":
		return false
	case pk.ProtocolVersion != 4 && pk.ProtocolVersion != 5:
		return true
	}
	switch {
	case pk.ReservedBit != 0:
	case !c.WillFlag && (c.WillQos > 0 || c.WillRetain):
	case c.WillFlag && (c.WillQos > 2 || c.WillTopic == "" || strings.ContainsAny(c.WillTopic, "+#")):
	case !utf8.Valid(c.Username) || bytes.IndexByte(c.Username, 0) >= 0:
	case pk.ProtocolVersion == 5: // a password needs no user name; properties have a length of their own
		return true
	case c.PasswordFlag && !c.UsernameFlag:
	default:
		return length(c) == pk.FixedHeader.Remaining
	}
	return false
}

// length of a CONNECT without properties: what is longer has a field that its
// flags do not announce.
func length(c *packets.ConnectParams) int {
	n := 2 + len(c.ProtocolName) + 4 + 2 + len(c.ClientIdentifier)
	if c.WillFlag {
		n += 2 + len(c.WillTopic) + 2 + len(c.WillPayload)
	}
	if c.UsernameFlag {
		n += 2 + len(c.Username)
	}
	if c.PasswordFlag {
		n += 2 + len(c.Password)
	}
	return n
}

// wellFormed reports whether wildcards are levels of their own and # is the last
// (MQTT 3.1.1 section 4.7.1). mochi asks only the last of it.
func wellFormed(filter string) bool {
	for filter != "" {
		level, rest, more := strings.Cut(filter, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && more {
			return false
		}
		filter = rest
	}
	return true
}
