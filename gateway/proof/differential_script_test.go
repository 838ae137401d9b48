//go:build linux

package proof_test

import (
	"fmt"
	"math/rand/v2"
)

// A playwright makes up what a client says: most of it right, some of it wrong
// in one way.
type playwright struct {
	*rand.Rand
	version byte
	id      string // client id
	prefix  string // of its topics
}

// newScript is one to three connections of one client.
func newScript(random *rand.Rand, number int) (script []step) {
	w := &playwright{random, 4, fmt.Sprintf("script%d", number), fmt.Sprintf("differential/%d", number)}
	if w.IntN(3) == 0 {
		w.version = 5
	}
	for range 1 + w.IntN(3) {
		script = append(script, w.connect())
		for range 1 + w.IntN(10) {
			l := w.line()
			if l.kind == "second connect" {
				w.id += "+" // mosquitto loses the session by it
			}
			script = append(script, l)
		}
	}
	if w.version == 5 {
		for i := range script {
			script[i].kind = "v5 " + script[i].kind
		}
	}
	script[0].client = fmt.Sprintf("script%d", number)
	return script
}

func pick[T any](w *playwright, from ...T) T { return from[w.IntN(len(from))] }

func (w *playwright) connect() step {
	h := hello{level: w.version, flags: pick[byte](w, 0, cleanSession), keepAlive: 60, fields: []string{w.id}}
	kind := "connect"
	if w.IntN(4) > 0 {
		return step{kind: kind, fresh: true, bytes: w.lasting(h).bytes()}
	}
	wrong := connectVariants()
	v := wrong[w.IntN(len(wrong))]
	v.change(&h, w)
	return step{kind: kind + " " + v.kind, fresh: true, bytes: w.lasting(h).bytes()}
}

// lasting gives a session of MQTT 5 some time.
func (w *playwright) lasting(h hello) hello {
	if h.level == 5 && h.flags&cleanSession == 0 {
		h.properties = append(h.properties, seconds(sessionExpiry, 60)...)
	}
	return h
}

type variant struct {
	kind   string
	change func(h *hello, w *playwright)
}

// connectVariants are other ways to say CONNECT, some of them wrong.
func connectVariants() []variant {
	will := func(flags byte, topic, payload string) func(*hello, *playwright) {
		return func(h *hello, w *playwright) {
			h.flags |= hasWill | flags
			h.fields = append(h.fields, topic, payload)
		}
	}
	flags := func(f byte, more ...string) func(*hello, *playwright) {
		return func(h *hello, w *playwright) {
			h.flags |= f
			h.fields = append(h.fields, more...)
		}
	}
	return []variant{
		{"with a will", will(willAtQoS1, "differential/will", "gone")},
		{"with a retained will", will(willRetained, "differential/will", "gone")},
		{"with an empty will", will(0, "differential/will", "")},
		{"with a will of QoS 3", will(willAtQoS1|willAtQoS2, "differential/will", "gone")},
		{"with a will to nowhere", will(0, "", "gone")},
		{"with a will to a wildcard", will(0, "differential/+", "gone")},
		{"with a will but no fields", flags(hasWill)},
		{"with will QoS but no will", flags(willAtQoS1)},
		{"with will retain but no will", flags(willRetained)},
		{"with a user", flags(hasUser, "alice")},
		{"with a user and password", flags(hasUser|hasPassword, "alice", "secret")},
		{"with an empty password", flags(hasUser|hasPassword, "alice", "")},
		{"with a password but no user", flags(hasPassword, "secret")},
		{"with a user flag but no user", flags(hasUser)},
		{"with a user but no flag", flags(0, "alice")},
		{"with a user that is no UTF-8", flags(hasUser, "a\xff")},
		{"with the reserved flag", flags(1)},
		{"without client id", func(h *hello, w *playwright) { h.fields[0] = "" }},
		{"with a client id that is no UTF-8", func(h *hello, w *playwright) { h.fields[0] = "a\xff" }},
		{"with a null in its client id", func(h *hello, w *playwright) { h.fields[0] = "a\x00" }},
		{"without fields", func(h *hello, w *playwright) { h.fields = nil }},
		{"with more than it needs", func(h *hello, w *playwright) { h.tail = []byte{0} }},
		{"of another level", func(h *hello, w *playwright) { h.level = pick[byte](w, 1, 2, 6, 127) }},
		{"of MQTT 3.1", func(h *hello, w *playwright) {
			if w.version == 4 {
				h.protocol, h.level = "MQIsdp", 3
			}
		}},
		{"of another protocol", func(h *hello, w *playwright) { h.protocol = pick(w, "mqtt", "MQTX", "MQTTT", "HTTP/") }},
		{"with a short keep-alive", func(h *hello, w *playwright) { h.keepAlive = 5 }},
	}
}

// line is a packet after CONNECT.
func (w *playwright) line() step {
	switch w.IntN(12) {
	case 0, 1, 2, 3:
		return w.publish()
	case 4, 5:
		return w.subscribe()
	case 6:
		return w.unsubscribe()
	case 7, 8:
		return step{kind: "pubrel", bytes: []byte{pubrel, 2, 0, byte(1 + w.IntN(4))}}
	case 9:
		head := pick[byte](w, puback, pubrec, pubcomp)
		return step{kind: "answer " + ackNames[head>>4], bytes: []byte{head, 2, 0, byte(1 + w.IntN(4))}}
	case 10:
		return step{kind: "ping", bytes: pinging}
	}
	return w.wrong()
}

func (w *playwright) topic() (kind, topic string) {
	switch w.IntN(12) {
	case 0:
		return " to a wildcard", w.prefix + pick(w, "/+", "/#", "#", "+/x")
	case 1:
		return " to no topic", ""
	case 2:
		return " to no UTF-8", w.prefix + pick(w, "\xff", "\xc3", "\xed\xa0\x80")
	case 3:
		return " to a null", w.prefix + "\x00"
	case 4:
		return " to $", pick(w, "$differential", "$SYS/x", "$")
	}
	return "", w.prefix + pick(w, "/a", "/b", "/c", "", "/", "//a b/\u00e9")
}

func (w *playwright) publish() step {
	kind, topic := w.topic()
	qos := byte(w.IntN(3))
	var flags byte
	if w.IntN(4) == 0 {
		flags |= flagRetain
	}
	if qos > 0 && w.IntN(4) == 0 {
		flags |= flagDup
		kind += " again"
	}
	id := uint16(1 + w.IntN(4))
	if qos > 0 && kind == "" && w.IntN(20) == 0 {
		id, kind = 0, " with id 0"
	}
	payload := pick(w, "", "x", "21.5", `{"Time":"2026-11-24T08:12:31","ENERGY":{"Power":7}}`)
	return step{kind: fmt.Sprintf("publish qos %d%s", qos, kind), bytes: appendPublish(nil, w.version, flags, qos, topic, id, []byte(payload))}
}

func (w *playwright) filter() (kind, filter string) {
	switch w.IntN(10) {
	case 0:
		return " a misplaced wildcard", pick(w, "a#", "a/#/b", "a+", "+a/b", "##")
	case 1:
		return " nothing", ""
	case 2:
		return " no UTF-8", pick(w, "\xff", "a\x00")
	}
	return "", w.prefix + pick(w, "/a", "/+", "/#", "/b/+/c", "/a")
}

func (w *playwright) subscribe() step {
	kind, filter := w.filter()
	filters := []string{filter}
	for range w.IntN(3) {
		filters = append(filters, w.prefix+pick(w, "/x", "/y/#", "/+/z"))
	}
	qos := byte(w.IntN(3))
	if kind == "" && w.IntN(10) == 0 {
		qos, kind = pick[byte](w, 3, 4, 0x40, 0x80), " wrong options"
	}
	return step{kind: "subscribe" + kind, bytes: asking(subscribing, w.version, uint16(10+w.IntN(3)), []byte{qos}, filters...)}
}

func (w *playwright) unsubscribe() step {
	kind, filter := w.filter()
	return step{kind: "unsubscribe" + kind, bytes: asking(unsubscribing, w.version, uint16(10+w.IntN(3)), nil, filter)}
}

// wrong is a packet that ends the connection, or should.
func (w *playwright) wrong() step {
	all := []step{
		{kind: "disconnect", bytes: goodbye},
		{kind: "second connect", bytes: hello{level: w.version, fields: []string{w.id}}.bytes()},
		{kind: "publish qos 3", bytes: appendPublish(nil, w.version, 0, 3, w.prefix, 7, nil)},
		{kind: "publish qos 0 again", bytes: appendPublish(nil, w.version, flagDup, 0, w.prefix, 0, nil)},
		{kind: "subscribe without filters", bytes: asking(subscribing, w.version, 9, nil)},
		{kind: "unsubscribe without filters", bytes: asking(unsubscribing, w.version, 9, nil)},
		{kind: "subscribe with id 0", bytes: asking(subscribing, w.version, 0, []byte{0}, w.prefix)},
		{kind: "unsubscribe with id 0", bytes: asking(unsubscribing, w.version, 0, nil, w.prefix)},
		{kind: "pubrel with id 0", bytes: []byte{pubrel, 2, 0, 0}},
		{kind: "wrong flags", bytes: []byte{pick[byte](w, 0x41, 0x5f, 0x60, 0x72, 0xc1, 0xe8), 2, 0, 1}},
		{kind: "subscribe with wrong flags", bytes: append([]byte{0x80}, asking(subscribing, w.version, 9, []byte{0}, w.prefix)[1:]...)},
		{kind: "packet of a server", bytes: pick(w, []byte{connack, 2, 0, 0}, []byte{suback, 3, 0, 1, 0}, []byte{unsuback, 2, 0, 1}, pong)},
		{kind: "packet type 0", bytes: []byte{0, 0}},
		{kind: "auth", bytes: []byte{0xf0, 2, 0, 0}},
		{kind: "short puback", bytes: []byte{puback, 1, 0}},
		{kind: "empty pubrel", bytes: []byte{pubrel, 0}},
		{kind: "empty publish", bytes: []byte{0x30, 0}},
		{kind: "overlong length", bytes: []byte{0xc0, 0x80, 0x00}},
		{kind: "length of five bytes", bytes: []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x01, 0, 0}},
	}
	return all[w.IntN(len(all))]
}
