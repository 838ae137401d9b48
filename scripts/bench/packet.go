//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
)

func text16(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

// frame puts the fixed header before a packet's body.
func frame(head byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{head}, uint64(len(body))), body...) // MQTT 2.2.3 counts as protobuf does
}

// after returns the number that follows name in JSON.
func after(value []byte, name string) (text string, ok bool) {
	i := bytes.Index(value, []byte(name))
	if i < 0 {
		return "", false
	}
	rest := value[i+len(name):]
	end := bytes.IndexAny(rest, ",}")
	if end < 0 {
		return "", false
	}
	return string(rest[:end]), true
}
