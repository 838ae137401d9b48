package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The value of a retained message in the file:
//
//	1 byte   format, 1
//	4 bytes  CRC-32C of all that follows, big endian
//	varint   time of arrival, Unix seconds
//	varint   time at which it expires; 0: never
//	uvarint  length of the client id, and the client id
//	rest     the message as an MQTT 5 PUBLISH packet, QoS 0
const retainedFormat = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeRetained(pk packets.Packet) ([]byte, error) {
	v := make([]byte, 5, 64+len(pk.TopicName)+len(pk.Payload))
	v[0] = retainedFormat
	v = binary.AppendVarint(v, pk.Created)
	v = binary.AppendVarint(v, pk.Expiry)
	v = binary.AppendUvarint(v, uint64(len(pk.Origin)))
	v = append(v, pk.Origin...)
	pk.ProtocolVersion = 5
	pk.FixedHeader = packets.FixedHeader{Type: packets.Publish, Retain: true}
	pk.Properties.MessageExpiryInterval = 0 // the time above holds
	pk.Mods = packets.Mods{AllowResponseInfo: true}
	buf := bytes.NewBuffer(v)
	if err := pk.PublishEncode(buf); err != nil {
		return nil, err
	}
	v = buf.Bytes()
	binary.BigEndian.PutUint32(v[1:], crc32.Checksum(v[5:], castagnoli))
	return v, nil
}

var errValue = errors.New("value is cut short or of another format")

// decodeRetained copies: bbolt's memory ends with the transaction.
func decodeRetained(v []byte) (pk packets.Packet, err error) {
	if len(v) < 5 || v[0] != retainedFormat {
		return pk, errValue
	}
	if binary.BigEndian.Uint32(v[1:]) != crc32.Checksum(v[5:], castagnoli) {
		return pk, errors.New("checksum is wrong")
	}
	r := bytes.NewReader(bytes.Clone(v[5:]))
	created, err1 := binary.ReadVarint(r)
	expiry, err2 := binary.ReadVarint(r)
	size, err3 := binary.ReadUvarint(r)
	if errors.Join(err1, err2, err3) != nil || size > uint64(r.Len()) {
		return pk, errValue
	}
	origin := make([]byte, size)
	_, _ = r.Read(origin) // cannot fail: so many are there
	if pk, err = decodePublish(r); err != nil {
		return pk, err
	}
	pk.Created, pk.Expiry, pk.Origin = created, expiry, string(origin)
	return pk, nil
}

func decodePublish(r *bytes.Reader) (pk packets.Packet, err error) {
	head, err := r.ReadByte()
	if err != nil {
		return pk, errValue
	}
	if err := pk.FixedHeader.Decode(head); err != nil || pk.FixedHeader.Type != packets.Publish {
		return pk, errValue
	}
	size, _, err := packets.DecodeLength(r)
	if err != nil || size != r.Len() {
		return pk, errValue
	}
	body := make([]byte, size)
	_, _ = r.Read(body) // cannot fail: so many are there
	pk.FixedHeader.Remaining = size
	pk.ProtocolVersion = 5
	if err := pk.PublishDecode(body); err != nil {
		return pk, fmt.Errorf("decode message: %w", err)
	}
	return pk, nil
}
