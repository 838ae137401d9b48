//go:build linux

package proof_test

import "encoding/binary"

// Properties of MQTT 5 by their number.
const (
	messageExpiry   = 0x02
	contentType     = 0x03
	responseTopic   = 0x08
	correlation     = 0x09
	subscriptionID  = 0x0b
	sessionExpiry   = 0x11
	assignedID      = 0x12
	authMethod      = 0x15
	willDelay       = 0x18
	reasonString    = 0x1f
	receiveMaximum  = 0x21
	aliasMaximum    = 0x22
	topicAlias      = 0x23
	userProperty    = 0x26
	maximumPacket   = 0x27
	problemInfoFlag = 0x17
)

func seconds(property byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{property}, n)
}

func pair(key, value string) []byte {
	return append(append([]byte{userProperty}, text16(key)...), text16(value)...)
}

// propertiesOf cuts properties by their number; of one that is there several
// times the last stays.
func (e *exam) propertiesOf(p []byte) map[byte][]byte {
	e.Helper()
	all := make(map[byte][]byte)
	for len(p) > 0 {
		size := 2
		switch p[0] {
		case 0x01, problemInfoFlag, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a:
			size = 1
		case messageExpiry, sessionExpiry, willDelay, maximumPacket:
			size = 4
		case subscriptionID:
			_, size = binary.Uvarint(p[1:])
		case userProperty:
			key := 2 + int(binary.BigEndian.Uint16(p[1:]))
			size = key + 2 + int(binary.BigEndian.Uint16(p[1+key:]))
		case contentType, responseTopic, correlation, assignedID, authMethod, 0x16, 0x1a, 0x1c, reasonString:
			size = 2 + int(binary.BigEndian.Uint16(p[1:]))
		}
		all[p[0]], p = p[1:1+size], p[1+size:]
	}
	return all
}

// told are the properties of the CONNACK.
func (e *exam) told(s *speaker) map[byte][]byte {
	_, n := binary.Uvarint(s.told)
	return e.propertiesOf(s.told[n:])
}

// publication5 is a PUBLISH of MQTT 5.
func publication5(flags, qos byte, topic string, id uint16, properties []byte, payload string) []byte {
	body := text16(topic)
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	body = append(append(body, byte(len(properties))), properties...)
	return frame(0x30|flags|qos<<1, append(body, payload...))
}
