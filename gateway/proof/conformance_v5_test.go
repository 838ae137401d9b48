//go:build linux

package proof_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
)

// refused5 expects a CONNACK with a reason.
func (e *exam) refused5(reason byte, h hello) {
	e.Helper()
	h.level, h.flags = 5, h.flags|cleanSession
	c := dial(e.T, e.address)
	c.send(h.bytes())
	if head, body := c.packet(); head != connack || body[0] != 0 || body[1] != reason {
		e.Errorf("got %x % x, want a CONNACK with reason %#x", head, body, reason)
	}
	c.gone()
}

func refusalsHaveReasons(e *exam) {
	e.refused5(0x85, hello{fields: []string{strings.Repeat("a", 300)}})
	e.refused5(0x8c, hello{fields: []string{e.id()}, properties: append([]byte{authMethod}, text16("SCRAM")...)})
}

func dismissalsHaveReasons(e *exam) {
	id := e.id()
	old := e.enter(hello{level: 5, fields: []string{id}})
	e.enter(hello{level: 5, fields: []string{id}})
	old.dismissed(0x8e) // session taken over
	for reason, p := range map[byte][]byte{
		0x82: hello{level: 5, fields: []string{e.id()}}.bytes(), // protocol error
		0x94: publication5(0, 1, e.topic("x"), 7, []byte{topicAlias, 0, 1}, ""),
	} {
		c := e.guest(5)
		c.send(p)
		c.dismissed(reason)
	}
}

func messagesHaveReasons(e *exam) {
	c := e.guest(5)
	for qos, want := range map[byte]byte{1: puback, 2: pubrec} {
		c.send(publication5(0, qos, "$exam", 7, nil, ""))
		if head, body := c.packet(); head != want || body[2] != 0x87 {
			e.Errorf("got %x % x, want %#x with reason 0x87", head, body, want)
		}
	}
	c.send([]byte{pubrel, 2, 0, 99})
	if head, body := c.packet(); head != pubcomp || body[2] != 0x92 {
		e.Errorf("got %x % x, want a PUBCOMP with reason 0x92", head, body)
	}
}

func subscriptionsHaveReasons(e *exam) {
	c := e.guest(5)
	c.send(asking(subscribing, 5, 9, []byte{1}, e.topic("x"), "a/#/b"))
	c.wants(suback, 5, 0, 9, 0, 0, 0x8f)
	c.send(asking(unsubscribing, 5, 9, nil, e.topic("x"), e.topic("x")))
	c.wants(unsuback, 5, 0, 9, 0, 0, 0x11)
}

func noReasonStringIfNotWanted(e *exam) {
	for _, wanted := range []byte{0, 1} {
		c := e.enter(hello{level: 5, flags: cleanSession, properties: []byte{problemInfoFlag, wanted}})
		c.send(publication5(0, 1, "$exam", 7, nil, ""))
		_, body := c.packet()
		if told := bytes.IndexByte(body, reasonString) > 0; told && wanted == 0 {
			e.Errorf("PUBACK % x has a reason string", body)
		}
	}
}

// receiveMaximumHolds: the broker takes as many unfinished QoS 2 messages as it
// said, and no more.
func receiveMaximumHolds(e *exam) {
	c := e.guest(5)
	p := e.told(c)[receiveMaximum]
	if p == nil {
		e.Fatal("CONNACK names no Receive Maximum")
	}
	for id := uint16(1); id <= binary.BigEndian.Uint16(p); id++ {
		c.send(publication5(0, 2, e.topic("x"), id, nil, ""))
		if head, body := c.packet(); head != pubrec || len(body) != 2 {
			e.Fatalf("message %d: %x % x", id, head, body)
		}
	}
	c.here()
	c.send(publication5(0, 2, e.topic("x"), 65535, nil, ""))
	c.dismissed(0x93)
}

// ofTheClient: what the client may take at once does not matter at QoS 0.
func receiveMaximumOfTheClient(e *exam) {
	c, other := e.enter(hello{level: 5, flags: cleanSession, properties: []byte{receiveMaximum, 0, 1}}), e.guest(5)
	c.follow(e.topic("#"))
	for range 50 {
		other.say(e.topic("x"), "", 0)
	}
	other.say(e.topic("end"), "", 0)
	if n := len(c.until(e.topic("end"))); n != 50 {
		e.Errorf("heard %d messages, want 50", n)
	}
}

// stays connects with a session that lasts, leaves, and looks after a while.
func (e *exam) stays(expiry uint32, farewell []byte, wait time.Duration, want bool) {
	e.Helper()
	id := e.id()
	c := e.enter(hello{level: 5, flags: cleanSession, properties: seconds(sessionExpiry, expiry), fields: []string{id}})
	if c.resumed {
		e.Error("a clean start has a session")
	}
	c.send(farewell)
	c.gone()
	time.Sleep(wait)
	if c = e.enter(hello{level: 5, fields: []string{id}}); c.resumed != want {
		e.Errorf("expiry %d, farewell % x, %s later: session present %v, want %v", expiry, farewell, wait, c.resumed, want)
	}
}

func sessionExpires(e *exam) {
	e.stays(0, goodbye, 0, false)
	e.stays(60, goodbye, 0, true)
	e.stays(1, goodbye, 4*time.Second, false)
	e.stays(0xffffffff, goodbye, 0, true)
}

func sessionExpiryIsSetAtTheEnd(e *exam) {
	change := func(expiry uint32) []byte {
		return frame(disconnecting, append([]byte{0, 5}, seconds(sessionExpiry, expiry)...))
	}
	e.stays(60, change(0), 0, false)
	e.stays(1, change(60), 3*time.Second, true)
	c := e.enter(hello{level: 5, flags: cleanSession}) // ends with its connection
	c.send(change(60))
	c.dismissed(0x82)
}

func longSessionIsShortened(e *exam) {
	c := e.enter(hello{level: 5, flags: cleanSession, properties: seconds(sessionExpiry, 0xffffffff)})
	if p := e.told(c)[sessionExpiry]; p == nil || binary.BigEndian.Uint32(p) != 7*24*3600 {
		e.Errorf("CONNACK says session expiry % x, want seven days", p)
	}
	c = e.enter(hello{level: 5, flags: cleanSession, properties: seconds(sessionExpiry, 60)})
	if p := e.told(c)[sessionExpiry]; p != nil {
		e.Errorf("CONNACK says session expiry % x, want what was asked for", p)
	}
}

func messageExpires(e *exam) {
	c := e.guest(5)
	for topic, expiry := range map[string]uint32{"short": 1, "long": 100} {
		c.send(publication5(flagRetain, 1, e.topic(topic), 7, seconds(messageExpiry, expiry), topic))
		c.wants(puback, 2, 0, 7)
	}
	time.Sleep(4 * time.Second)
	late := e.guest(5)
	late.follow(e.topic("#"))
	late.say(e.topic("end"), "", 0) // by itself: then what is retained has come before
	all := late.hears(e.topic("end"), e.topic("long")+"=long")
	left := e.propertiesOf(all[0].properties)[messageExpiry]
	if left == nil || binary.BigEndian.Uint32(left) > 97 || binary.BigEndian.Uint32(left) < 80 {
		e.Errorf("the message is good for % x more seconds, want about 96", left)
	}
}

func noTopicAliasIsTaken(e *exam) {
	c := e.guest(5)
	if p := e.told(c)[aliasMaximum]; p != nil && binary.BigEndian.Uint16(p) > 0 {
		e.Errorf("CONNACK allows % x aliases", p)
	}
	for _, topic := range []string{e.topic("x"), ""} {
		c = e.guest(5)
		c.send(publication5(0, 1, topic, 7, []byte{topicAlias, 0, 1}, ""))
		c.dismissed(0x94)
	}
}

func noTopicAliasIsSent(e *exam) {
	c, other := e.enter(hello{level: 5, flags: cleanSession, properties: []byte{aliasMaximum, 0, 9}}), e.guest(5)
	c.follow(e.topic("#"))
	for range 3 {
		other.say(e.topic("x"), "x", 0)
	}
	other.say(e.topic("end"), "", 0)
	x := e.topic("x") + "=x"
	for _, d := range c.hears(e.topic("end"), x, x, x) {
		if len(d.properties) > 0 {
			e.Errorf("properties % x", d.properties)
		}
	}
}

func propertiesArePassedOn(e *exam) {
	var sent []byte
	sent = append(append(sent, contentType), text16("text/plain")...)
	sent = append(append(sent, responseTopic), text16(e.topic("answer"))...)
	sent = append(append(sent, correlation), text16("\x00\xff")...)
	pairs := bytes.Join([][]byte{pair("a", "1"), pair("b", ""), pair("a", "2")}, nil)
	sent = append(sent, pairs...)
	c, old, other := e.guest(5), e.guest(4), e.guest(5)
	c.follow(e.topic("#"))
	old.follow(e.topic("#"))
	other.send(publication5(flagRetain, 1, e.topic("x"), 7, sent, "x"))
	other.wants(puback, 2, 0, 7)
	late := e.guest(5)
	late.follow(e.topic("#"))
	for _, s := range []*speaker{c, late} {
		d := s.next()
		got := e.propertiesOf(d.properties)
		if string(got[contentType][2:]) != "text/plain" || string(got[responseTopic][2:]) != e.topic("answer") ||
			string(got[correlation][2:]) != "\x00\xff" || !bytes.Contains(d.properties, pairs) {
			e.Errorf("got % x, want % x", d.properties, sent)
		}
	}
	if d := old.next(); d.payload != "x" {
		e.Errorf("MQTT 3.1.1 gets %+v", d)
	}
}

func largePacketCloses(e *exam) {
	c := e.guest(5)
	p := e.told(c)[maximumPacket]
	if p == nil {
		e.Fatal("CONNACK names no Maximum Packet Size")
	}
	most := int(binary.BigEndian.Uint32(p))
	c.send(publication5(0, 0, "x", 0, nil, strings.Repeat("x", most-9))) // with its header exactly as large
	c.here()
	if _, err := c.Write(binary.AppendUvarint([]byte{0x30}, uint64(most))); err != nil {
		e.Fatal(err)
	}
	c.gone()
}

func largePacketIsNotSent(e *exam) {
	c, other := e.enter(hello{level: 5, flags: cleanSession, properties: seconds(maximumPacket, 100)}), e.guest(5)
	c.follow(e.topic("#"))
	other.say(e.topic("x"), strings.Repeat("x", 200), 0)
	other.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"))
}

func emptyIDIsToldItsName(e *exam) {
	one, two := e.enter(hello{level: 5, flags: cleanSession, fields: []string{""}}), e.enter(hello{level: 5, flags: cleanSession, fields: []string{""}})
	a, b := e.told(one)[assignedID], e.told(two)[assignedID]
	if len(a) < 3 || bytes.Equal(a, b) {
		e.Errorf("assigned %q and %q", a, b)
	}
}

func subscriptionOptionsHold(e *exam) {
	other := e.guest(5)
	other.say(e.topic("x"), "kept", flagRetain)
	for _, c := range []struct {
		options byte
		want    []string
		flag    byte // of the live message
	}{
		{0x00, []string{"kept", "own", "live"}, 0},
		{0x04, []string{"kept", "live"}, 0},                 // no local
		{0x08, []string{"kept", "own", "live"}, flagRetain}, // retain as published
		{0x20, []string{"own", "live"}, 0},                  // retained are not wanted
	} {
		s := e.guest(5)
		s.send(asking(subscribing, 5, 9, []byte{c.options}, e.topic("#")))
		s.wants(suback, 4, 0, 9, 0, 0)
		if c.options != 0x20 {
			s.next()
		}
		s.say5(e.topic("x"), "own", c.options&0x04 == 0)
		other.say(e.topic("x"), "live", flagRetain)
		other.say(e.topic("x"), "kept", flagRetain)
		d := s.next()
		if d.payload != "live" || d.head != 0x30|c.flag {
			e.Errorf("options %#x: %+v", c.options, d)
		}
	}
}

// say5 publishes to a topic that the client itself follows.
func (s *speaker) say5(topic, payload string, own bool) {
	s.t.Helper()
	s.send(publication5(0, 0, topic, 0, nil, payload))
	if !own {
		return
	}
	if d := s.next(); d.payload != payload {
		s.t.Errorf("heard %+v, want %s", d, payload)
	}
}

func subscriptionIdentifierComesBack(e *exam) {
	c, other := e.guest(5), e.guest(5)
	c.send(frame(subscribing, append(append([]byte{0, 9, 2, subscriptionID, 42}, text16(e.topic("x"))...), 0)))
	c.wants(suback, 4, 0, 9, 0, 0)
	other.say(e.topic("x"), "", 0)
	if d := c.next(); !bytes.Equal(e.propertiesOf(d.properties)[subscriptionID], []byte{42}) {
		e.Errorf("got %+v", d)
	}
}

func willDelayIsIgnored(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	c := e.enter(hello{level: 5, flags: cleanSession | hasWill, properties: seconds(sessionExpiry, 60), will: seconds(willDelay, 60),
		fields: []string{e.id(), e.topic("will"), "gone"}})
	begin := time.Now()
	c.Close()
	if d := watcher.next(); d.payload != "gone" || time.Since(begin) > 10*time.Second {
		e.Errorf("%+v after %s", d, time.Since(begin))
	}
}

func farewellWithWillPublishesIt(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	c := e.enter(hello{level: 5, flags: cleanSession | hasWill, fields: []string{e.id(), e.topic("will"), "wanted"}})
	c.send([]byte{disconnecting, 2, 4, 0})
	if d := watcher.next(); d.payload != "wanted" {
		e.Errorf("%+v", d)
	}
}

// shortFarewellPublishesNoWill shows a deviation: the reason is overlooked in a
// DISCONNECT that has nothing else.
func shortFarewellPublishesNoWill(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	c := e.enter(hello{level: 5, flags: cleanSession | hasWill, fields: []string{e.id(), e.topic("will"), "lost"}})
	c.send([]byte{disconnecting, 1, 4})
	c.gone()
	watcher.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"))
}

func resentQoS2IsConfirmed(e *exam) {
	watcher, c := e.guest(5), e.guest(5)
	watcher.follow(e.topic("#"))
	for _, flags := range []byte{0, flagDup} {
		c.send(publication5(flags, 2, e.topic("x"), 5, nil, "once"))
		c.wants(pubrec, 2, 0, 5)
	}
	c.send([]byte{pubrel, 2, 0, 5})
	c.wants(pubcomp, 2, 0, 5)
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("x")+"=once")
}
