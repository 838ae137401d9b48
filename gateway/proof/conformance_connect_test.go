//go:build linux

package proof_test

import (
	"fmt"
	"strings"
	"time"
)

// wrongTexts closes the connection wherever a text may stand.
func (e *exam) wrongTexts(texts ...string) {
	for _, text := range texts {
		for what, h := range map[string]hello{
			"client id":  {flags: cleanSession, fields: []string{text}},
			"will topic": {flags: cleanSession | hasWill, fields: []string{e.id(), text, "gone"}},
			"user name":  {flags: cleanSession | hasUser, fields: []string{e.id(), text}},
		} {
			e.trying("%s %q", what, text)
			c := dial(e.T, e.address)
			c.send(h.bytes())
			c.gone()
		}
		for _, p := range [][]byte{
			appendPublish(nil, 4, 0, 1, text, 7, []byte("x")),
			asking(subscribing, 4, 9, []byte{0}, text),
			asking(unsubscribing, 4, 9, nil, text),
		} {
			e.trying("% x", p)
			c := e.guest(4)
			c.send(p)
			c.gone()
		}
	}
}

func illFormedTextCloses(e *exam) {
	e.wrongTexts("a\xff", "a\xc3", "a\xc0\xaf", "a\xed\xa0\x80", "a\xed\xbf\xbf", "a\xf4\x90\x80\x80")
}

func nullCharacterCloses(e *exam) { e.wrongTexts("a\x00b") }

func byteOrderMarkIsKept(e *exam) {
	a, b := e.guest(4), e.guest(4)
	a.follow(e.topic("\ufeffx"), e.topic("end"))
	b.say(e.topic("x"), "without", 0)
	b.say(e.topic("\ufeffx"), "with", 0)
	b.say(e.topic("end"), "", 0)
	a.hears(e.topic("end"), e.topic("\ufeffx")+"=with")
}

// wrongFlags sends a whole packet with all values of its four flags but one.
func (e *exam) wrongFlags(right byte, body []byte) {
	for flags := range byte(16) {
		if flags == right&0x0f {
			continue
		}
		c := dial(e.T, e.address)
		if right != 0x10 {
			c = e.guest(4).client
		}
		e.trying("% x", frame(right&0xf0|flags, body))
		c.send(frame(right&0xf0|flags, body))
		c.gone()
	}
}

func wrongFlagsClose(e *exam) {
	e.wrongFlags(0x10, hello{flags: cleanSession, fields: []string{e.id()}}.bytes()[2:])
	for _, head := range []byte{puback, pubrec, pubcomp} {
		e.wrongFlags(head, []byte{0, 1})
	}
	e.wrongFlags(pinging[0], nil)
}

func wrongFlagsOfPubrelClose(e *exam) { e.wrongFlags(pubrel, []byte{0, 1}) }

func wrongFlagsOfSubscribeClose(e *exam) {
	e.wrongFlags(subscribing, asking(subscribing, 4, 9, []byte{0}, "a")[2:])
}

func wrongFlagsOfUnsubscribeClose(e *exam) {
	e.wrongFlags(unsubscribing, asking(unsubscribing, 4, 9, nil, "a")[2:])
}

func wrongFlagsOfDisconnectClose(e *exam) { e.wrongFlags(disconnecting, nil) }

func connectComesFirst(e *exam) {
	for _, p := range [][]byte{
		appendPublish(nil, 4, flagRetain, 1, e.topic("x"), 7, []byte("x")), {puback, 2, 0, 1}, {pubrel, 2, 0, 1},
		asking(subscribing, 4, 9, []byte{0}, "#"), asking(unsubscribing, 4, 9, nil, "#"), pinging, goodbye,
	} {
		c := dial(e.T, e.address)
		c.send(append(p, hello{flags: cleanSession, fields: []string{e.id()}}.bytes()...))
		c.gone()
	}
	c := e.guest(4)
	c.follow(e.topic("#"))
	c.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"))
}

func secondConnectCloses(e *exam) {
	h := hello{flags: cleanSession, fields: []string{e.id()}}
	c := e.enter(h)
	c.send(h.bytes())
	c.gone()
}

func otherProtocolNameCloses(e *exam) {
	for _, name := range []string{"mqtt", "MQTX", "MQTTT", "AMQP", "MQIsdp"} {
		c := dial(e.T, e.address)
		c.send(hello{protocol: name, flags: cleanSession, fields: []string{e.id()}}.bytes())
		c.gone()
	}
}

func otherLevelIsRefused(e *exam) {
	for _, level := range []byte{1, 2, 3, 6, 7, 127, 0x84, 255} {
		c := dial(e.T, e.address)
		c.send(hello{level: level, flags: cleanSession, fields: []string{e.id()}}.bytes())
		c.wants(connack, 2, 0, 1)
		c.gone()
	}
}

// malformedConnects closes without an answer.
func (e *exam) malformedConnects(all ...hello) {
	for _, h := range all {
		e.trying("% x", h.bytes())
		c := dial(e.T, e.address)
		c.send(h.bytes())
		c.gone()
	}
}

func reservedConnectFlagCloses(e *exam) {
	e.malformedConnects(hello{flags: cleanSession | 1, fields: []string{e.id()}})
}

func malformedConnectIsNotAnswered(e *exam) {
	e.malformedConnects(
		hello{flags: cleanSession},
		hello{flags: cleanSession | 1, fields: []string{e.id()}},
		hello{flags: cleanSession | hasWill | willAtQoS1 | willAtQoS2, fields: []string{e.id(), "a", "b"}},
		hello{flags: cleanSession | hasPassword, fields: []string{e.id(), "secret"}},
		hello{flags: cleanSession, fields: []string{e.id()}, tail: []byte{0}},
	)
	c := dial(e.T, e.address)
	c.send(frame(0x10, []byte("\x00\x04MQTT\x04\x02\x00"))) // ends in the keep-alive
	c.gone()
}

func clientIDIsFirst(e *exam) {
	e.malformedConnects(hello{flags: cleanSession}, hello{flags: cleanSession, tail: []byte{0, 9, 'a'}})
}

func userNameFollowsItsFlag(e *exam) {
	e.malformedConnects(
		hello{flags: cleanSession, fields: []string{e.id(), "alice"}},
		hello{flags: cleanSession | hasUser, fields: []string{e.id()}},
		hello{flags: cleanSession | hasUser, fields: []string{e.id()}, tail: []byte{0, 5, 'a'}})
	e.enter(hello{flags: cleanSession | hasUser, fields: []string{e.id(), "alice"}}).here()
}

func passwordFollowsItsFlag(e *exam) {
	e.malformedConnects(
		hello{flags: cleanSession | hasUser, fields: []string{e.id(), "alice", "secret"}},
		hello{flags: cleanSession | hasUser | hasPassword, fields: []string{e.id(), "alice"}})
	for _, password := range []string{"secret", "\xff\x00", ""} {
		e.enter(hello{flags: cleanSession | hasUser | hasPassword, fields: []string{e.id(), "alice", password}}).here()
	}
}

func passwordNeedsUserName(e *exam) {
	e.malformedConnects(hello{flags: cleanSession | hasPassword, fields: []string{e.id(), "secret"}})
}

// fieldsAreInOrder: a CONNECT with all of them is understood.
func fieldsAreInOrder(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	c := e.enter(hello{flags: cleanSession | hasWill | hasUser | hasPassword,
		fields: []string{e.id(), e.topic("will"), "gone", "alice", "secret"}})
	c.Close()
	if d := watcher.next(); d.topic != e.topic("will") || d.payload != "gone" {
		e.Errorf("the will is %+v", d)
	}
}

const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func shortIDsAreLetIn(e *exam) {
	for _, id := range []string{"Q", letters[:23], letters[23:46], letters[39:]} {
		e.enter(hello{flags: cleanSession, fields: []string{id}}).here()
	}
}

func emptyIDIsUnique(e *exam) {
	all := make([]*speaker, 5)
	for i := range all {
		all[i] = e.enter(hello{flags: cleanSession, fields: []string{""}})
	}
	for _, c := range all {
		c.here()
	}
}

func emptyIDNeedsCleanSession(e *exam) {
	c := dial(e.T, e.address)
	c.send(hello{fields: []string{""}}.bytes())
	c.wants(connack, 2, 0, 2)
	c.gone()
}

func longIDIsRefused(e *exam) {
	c := dial(e.T, e.address)
	c.send(hello{flags: cleanSession, fields: []string{strings.Repeat("a", 300)}}.bytes())
	c.wants(connack, 2, 0, 2)
	c.gone()
}

func newerConnectionWins(e *exam) {
	id := e.id()
	for _, flags := range []byte{0, cleanSession} {
		old := e.enter(hello{flags: flags, fields: []string{id}})
		young := e.enter(hello{flags: flags, fields: []string{id}})
		old.gone()
		young.here()
		young.Close()
	}
}

func refusedClientIsNotHeard(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	c := dial(e.T, e.address)
	c.send(append(hello{level: 6, flags: cleanSession, fields: []string{e.id()}}.bytes(),
		appendPublish(nil, 4, flagRetain, 1, e.topic("x"), 7, []byte("x"))...))
	c.wants(connack, 2, 0, 1)
	c.gone()
	watcher.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"))
}

func connackComesFirst(e *exam) {
	for _, p := range [][]byte{pinging, appendPublish(nil, 4, 0, 1, e.topic("x"), 7, nil), asking(subscribing, 4, 9, []byte{0}, "a")} {
		c := dial(e.T, e.address)
		c.send(append(hello{flags: cleanSession, fields: []string{e.id()}}.bytes(), p...))
		c.wants(connack, 2, 0, 0)
		if head, _ := c.packet(); head == connack {
			e.Error("two CONNACK")
		}
	}
}

func refusalHasNoSession(e *exam) {
	id := e.id()
	e.enter(hello{fields: []string{id}}).send(goodbye)
	c := dial(e.T, e.address)
	c.send(hello{level: 6, fields: []string{id}}.bytes())
	c.wants(connack, 2, 0, 1)
	c.gone()
}

func silenceCloses(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("will"))
	c := e.enter(hello{flags: cleanSession | hasWill, keepAlive: 1, fields: []string{e.id(), e.topic("will"), "silent"}})
	for range 3 { // whoever pings stays
		time.Sleep(800 * time.Millisecond)
		c.here()
	}
	last := time.Now()
	c.gone()
	if wait := time.Since(last); wait < 1400*time.Millisecond || wait > 5*time.Second {
		e.Errorf("closed %s after the last packet, want 1.5 s", wait)
	}
	if d := watcher.next(); d.payload != "silent" {
		e.Errorf("the will is %+v", d)
	}
}

func silenceIsAllowedWithoutKeepAlive(e *exam) {
	c := e.enter(hello{flags: cleanSession, fields: []string{e.id()}})
	time.Sleep(3 * time.Second)
	c.here()
}

func plainClientIsServed(e *exam) {
	c := e.guest(4)
	c.follow(e.topic("#"))
	c.say(e.topic("x"), "1", 0)
	c.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"), fmt.Sprintf("%s=1", e.topic("x")))
	c.send(goodbye)
	c.gone()
}
