package broker

import (
	"github.com/mochi-mqtt/server/v2/packets"
)

// DecodeRetained reads a value of the file of retained messages and returns how
// it would be written again.
func DecodeRetained(value []byte) (topic string, payload, again []byte, err error) {
	pk, err := decodeRetained(value)
	if err != nil {
		return "", nil, nil, err
	}
	again, err = encodeRetained(pk)
	return pk.TopicName, pk.Payload, again, err
}

// EncodeRetained makes such a value.
func EncodeRetained(topic, client string, payload []byte) ([]byte, error) {
	return encodeRetained(packets.Packet{TopicName: topic, Payload: payload, Origin: client, Created: 1795507951, Expiry: 1795507952})
}
