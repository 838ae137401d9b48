//go:build linux

package proof_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
)

func dialTCP(address string) (*net.TCPConn, error) {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	return net.DialTCP("tcp", nil, a)
}

// A malformed frame is wrong in one way. It follows a good CONNECT of version;
// 0: it is the first thing that is said.
type malformed struct {
	what    string
	version byte
	bytes   []byte
}

// corpus is the same each time.
func corpus() (all []malformed) {
	for _, version := range []byte{4, 5} {
		for _, p := range wholePackets(version) {
			all = append(all, truncated(p)...)
			all = append(all, lying(p)...)
			all = append(all, flagged(p)...)
			all = append(all, malformed{"before CONNECT: " + p.what, 0, p.bytes})
		}
		all = append(all, badTexts(version)...)
		all = append(all, badNumbers(version)...)
	}
	all = append(all, badProperties()...)
	return append(all, killers()...)
}

// wholePackets are good ones, each of a kind.
func wholePackets(version byte) []malformed {
	will := append([]byte(nil), seconds(willDelay, 5)...)
	full := hello{level: version, flags: cleanSession | hasWill | willAtQoS1 | willRetained | hasUser | hasPassword, keepAlive: 60,
		fields: []string{"full", "malformed/will", "gone", "alice", "secret"}}
	if version == 5 {
		full.properties = slices.Concat(seconds(sessionExpiry, 5), []byte{receiveMaximum, 0, 9}, pair("a", "b"))
		full.will = will
	}
	property := []byte(nil)
	if version == 5 {
		property = slices.Concat([]byte{1, 1}, seconds(messageExpiry, 9), pair("key", "value"))
	}
	publish := func(qos byte) []byte {
		if version == 5 {
			return publication5(0, qos, "malformed/x", 7, property, "21.5")
		}
		return publication(0, qos, "malformed/x", 7, "21.5")
	}
	packets := []malformed{
		{"CONNECT", 0, full.bytes()},
		{"PUBLISH 0", version, publish(0)}, {"PUBLISH 1", version, publish(1)}, {"PUBLISH 2", version, publish(2)},
		{"SUBSCRIBE", version, asking(subscribing, version, 9, []byte{1}, "malformed/+", "malformed/y/#")},
		{"UNSUBSCRIBE", version, asking(unsubscribing, version, 9, nil, "malformed/+", "malformed/y/#")},
		{"PINGREQ", version, pinging}, {"DISCONNECT", version, goodbye},
		{"CONNACK", version, []byte{connack, 2, 0, 0}}, {"SUBACK", version, []byte{suback, 3, 0, 9, 0}},
		{"UNSUBACK", version, []byte{unsuback, 2, 0, 9}}, {"PINGRESP", version, pong},
	}
	for _, head := range []byte{puback, pubrec, pubrel, pubcomp} {
		body := []byte{0, 7}
		if version == 5 {
			body = slices.Concat(body, []byte{0x10}, sized(slices.Concat([]byte{reasonString}, text16("why"))))
		}
		packets = append(packets, malformed{ackNames[head>>4], version, frame(head, body)})
	}
	if version == 5 {
		packets = append(packets,
			malformed{"DISCONNECT with a reason", 5, frame(disconnecting, slices.Concat([]byte{4}, sized(seconds(sessionExpiry, 9))))},
			malformed{"AUTH", 5, frame(0xf0, slices.Concat([]byte{0x18}, sized(slices.Concat([]byte{authMethod}, text16("SCRAM")))))})
	}
	return packets
}

// sized puts the length of properties before them.
func sized(properties []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(properties))), properties...)
}

// bodyOf is what follows the length.
func bodyOf(p []byte) []byte {
	_, n := binary.Uvarint(p[1:])
	return p[1+n:]
}

// truncated ends the packet after each byte: the stream ends there, or the
// length says so.
func truncated(p malformed) (all []malformed) {
	for n := 1; n < len(p.bytes); n++ {
		all = append(all, malformed{fmt.Sprintf("%s, cut off after %d bytes", p.what, n), p.version, p.bytes[:n]})
	}
	body := bodyOf(p.bytes)
	for n := range body {
		all = append(all, malformed{fmt.Sprintf("%s, with %d bytes after its header", p.what, n), p.version, frame(p.bytes[0], body[:n])})
	}
	return all
}

// lying gives the packet other lengths.
func lying(p malformed) (all []malformed) {
	body := bodyOf(p.bytes)
	for _, length := range [][]byte{
		{0xff, 0xff, 0xff, 0x7f}, {0xff, 0xff, 0xff, 0xff, 0x7f}, {0x80, 0x80, 0x80, 0x80, 0x01}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x80, 0x80, 0x80, 0x00}, {0x80, 0x00}, {0x80 | byte(len(body)&0x7f), byte(len(body) >> 7), 0},
		binary.AppendUvarint(nil, uint64(len(body)+1)), binary.AppendUvarint(nil, uint64(len(body)+1000)),
		binary.AppendUvarint(nil, 1<<20-1), binary.AppendUvarint(nil, 1<<20), binary.AppendUvarint(nil, 2<<20),
	} {
		all = append(all, malformed{fmt.Sprintf("%s of length % x", p.what, length), p.version, slices.Concat(p.bytes[:1], length, body)})
	}
	if len(body) > 0 {
		all = append(all, malformed{p.what + ", a byte too long", p.version, slices.Concat(p.bytes[:1], binary.AppendUvarint(nil, uint64(len(body)-1)), body)})
	}
	return all
}

func flagged(p malformed) (all []malformed) {
	for flags := range byte(16) {
		if head := p.bytes[0]&0xf0 | flags; head != p.bytes[0] {
			all = append(all, malformed{fmt.Sprintf("%s with flags %04b", p.what, flags), p.version, slices.Concat([]byte{head}, p.bytes[1:])})
		}
	}
	return all
}

func badTexts(version byte) (all []malformed) {
	for _, text := range []string{"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x00b", "", "+", "#", "a#/b", "$", "$SYS/x", "$share", "$share/", "$share/a", "$share/+/a", "$share//a", "$SHARE/a/b"} {
		all = append(all,
			malformed{fmt.Sprintf("client id %q", text), 0, hello{level: version, fields: []string{text}}.bytes()},
			malformed{fmt.Sprintf("will to %q", text), 0, hello{level: version, flags: hasWill, fields: []string{"full", text, "gone"}}.bytes()},
			malformed{fmt.Sprintf("user %q", text), 0, hello{level: version, flags: hasUser, fields: []string{"full", text}}.bytes()},
			malformed{fmt.Sprintf("PUBLISH to %q", text), version, appendPublish(nil, version, 0, 1, text, 7, []byte("x"))},
			malformed{fmt.Sprintf("SUBSCRIBE to %q", text), version, asking(subscribing, version, 9, []byte{1}, text)},
			malformed{fmt.Sprintf("UNSUBSCRIBE from %q", text), version, asking(unsubscribing, version, 9, nil, text)})
	}
	return all
}

// badNumbers: packet ids, QoS, options, lengths within packets, connect flags,
// levels.
func badNumbers(version byte) (all []malformed) {
	add := func(what string, v byte, p []byte) { all = append(all, malformed{what, v, p}) }
	add("PUBLISH with id 0", version, appendPublish(nil, version, 0, 1, "x", 0, nil))
	add("PUBLISH with id 0", version, appendPublish(nil, version, 0, 2, "x", 0, nil))
	add("PUBLISH with QoS 3", version, appendPublish(nil, version, 0, 3, "x", 7, nil))
	add("SUBSCRIBE with id 0", version, asking(subscribing, version, 0, []byte{0}, "x"))
	add("UNSUBSCRIBE with id 0", version, asking(unsubscribing, version, 0, nil, "x"))
	add("SUBSCRIBE to nothing", version, asking(subscribing, version, 9, nil))
	add("UNSUBSCRIBE from nothing", version, asking(unsubscribing, version, 9, nil))
	add("SUBSCRIBE without options", version, asking(subscribing, version, 9, nil, "a"))
	add("PUBLISH to a topic longer than the packet", version, frame(0x30, []byte{0xff, 0xff, 'a'}))
	for options := range 256 {
		if options > 2 {
			add(fmt.Sprintf("SUBSCRIBE with options %08b", options), version, asking(subscribing, version, 9, []byte{byte(options)}, "malformed/x"))
		}
	}
	for flags := range 256 {
		add(fmt.Sprintf("CONNECT with flags %08b", flags), 0, hello{level: version, flags: byte(flags), fields: []string{"full", "a"}}.bytes())
	}
	for _, level := range []byte{0x00, 0x01, 0x02, 0x06, 0x7f, 0x83, 0x84, 0x85, 0xff} {
		add(fmt.Sprintf("CONNECT of level %x", level), 0, append([]byte{0x10, 11, 0, 4, 'M', 'Q', 'T', 'T', level}, 2, 0, 60, 0, 0))
	}
	for _, name := range []string{"", "M", "mqtt", "MQTTMQTT", "MQIsdp", "HTTP", "\x16\x03\x01"} {
		add(fmt.Sprintf("CONNECT of %q", name), 0, frame(0x10, slices.Concat(text16(name), []byte{version, 2, 0, 60, 0}, text16("full"))))
	}
	return all
}

// badProperties puts each property where it may not be, twice, cut off, and
// where nobody knows it.
func badProperties() (all []malformed) {
	for id := range byte(0x30) {
		value := slices.Concat([]byte{id}, []byte{0, 1, 'a', 0, 1, 'b'})
		short := []byte{id}
		for what, properties := range map[string][]byte{
			"":         value[:min(len(value), 5)],
			" twice":   slices.Concat(value[:5], value[:5]),
			" of text": value,
			" cut off": short,
		} {
			for _, p := range withProperties(properties) {
				p.what += fmt.Sprintf(" with property %#x%s", id, what)
				all = append(all, p)
			}
		}
	}
	for _, length := range [][]byte{{0x7f}, {0xff, 0x7f}, {0xff, 0xff, 0xff, 0x7f}, {0xff, 0xff, 0xff, 0xff, 0x7f}, {0x80}, {0x80, 0x00}} {
		for _, p := range withProperties(nil) {
			body := bodyOf(p.bytes)
			i := bytes.IndexByte(body, 0xee)
			all = append(all, malformed{fmt.Sprintf("%s with properties of length % x", p.what, length), p.version,
				frame(p.bytes[0], slices.Concat(body[:i], length, body[i+1:]))})
		}
	}
	slices.SortStableFunc(all, func(a, b malformed) int { return bytes.Compare(a.bytes, b.bytes) })
	return all
}

// withProperties are packets with these properties; without any the place of
// their length is marked 0xee.
func withProperties(properties []byte) []malformed {
	p := sized(properties)
	if properties == nil {
		p = []byte{0xee}
	}
	return []malformed{
		{"CONNECT", 0, frame(0x10, slices.Concat(text16("MQTT"), []byte{5, 2, 0, 60}, p, text16("full")))},
		{"will", 0, frame(0x10, slices.Concat(text16("MQTT"), []byte{5, 6, 0, 60, 0}, text16("full"), p, text16("malformed/will"), text16("gone")))},
		{"PUBLISH", 5, frame(0x32, slices.Concat(text16("malformed/x"), []byte{0, 7}, p, []byte("21.5")))},
		{"SUBSCRIBE", 5, frame(subscribing, slices.Concat([]byte{0, 9}, p, text16("malformed/x"), []byte{1}))},
		{"UNSUBSCRIBE", 5, frame(unsubscribing, slices.Concat([]byte{0, 9}, p, text16("malformed/x")))},
		{"PUBACK", 5, frame(puback, slices.Concat([]byte{0, 7, 0}, p))},
		{"PUBREL", 5, frame(pubrel, slices.Concat([]byte{0, 7, 0}, p))},
		{"DISCONNECT", 5, frame(disconnecting, slices.Concat([]byte{0}, p))},
		{"AUTH", 5, frame(0xf0, slices.Concat([]byte{0x18}, p))},
	}
}

// killers ended or swelled brokers in the field.
func killers() []malformed {
	many := bytes.Repeat(appendPublish(nil, 4, 0, 0, "malformed/x", 0, nil), 2000)
	deep := bytes.Repeat([]byte("a/"), 30000)
	filters := make([]string, 3000)
	for i := range filters {
		filters[i] = fmt.Sprint("malformed/", i)
	}
	return []malformed{
		{"SUBSCRIBE without options, mochi issue 501", 5, []byte{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61}},
		{"256 MiB announced before CONNECT", 0, []byte{0x10, 0xff, 0xff, 0xff, 0x7f}},
		{"256 MiB announced", 4, []byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 'a'}},
		{"PUBLISH to $SYS", 4, appendPublish(nil, 4, 0, 1, "$SYS/broker/version", 7, nil)},
		{"a topic of 30,000 levels", 4, appendPublish(nil, 4, flagRetain, 1, string(deep), 7, nil)},
		{"a filter of 30,000 levels", 4, asking(subscribing, 4, 9, []byte{0}, string(deep))},
		{"3,000 filters at once", 4, slices.Concat(asking(subscribing, 4, 9, []byte{0}, filters...), asking(unsubscribing, 4, 10, nil, filters...))},
		{"a shared subscription without a filter", 5, asking(subscribing, 5, 9, []byte{0}, "$share/group/")},
		{"no local for a shared subscription", 5, asking(subscribing, 5, 9, []byte{4}, "$share/group/x")},
		{"keep-alive that overflows", 0, hello{flags: cleanSession, keepAlive: 43691, fields: []string{"full"}}.bytes()},
		{"a second CONNECT with a password", 4, hello{flags: cleanSession | hasUser | hasPassword, fields: []string{"full", "alice", "secret"}}.bytes()},
		{"PUBREC for what was never sent", 4, []byte{pubrec, 2, 0, 7, pubrec, 2, 0, 7, pubcomp, 2, 0, 7}},
		{"2,000 messages and the end", 4, many},
		{"TLS on the plain port", 0, []byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3}},
		{"HTTP", 0, []byte("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")},
		{"nothing", 0, nil},
		{"zeros", 0, make([]byte, 5000)},
		{"ones", 4, bytes.Repeat([]byte{0xff}, 5000)},
	}
}
