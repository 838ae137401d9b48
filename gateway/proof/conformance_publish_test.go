//go:build linux

package proof_test

import (
	"fmt"
	"strings"
)

// publication is a PUBLISH of MQTT 3.1.1.
func publication(flags, qos byte, topic string, id uint16, payload string) []byte {
	return appendPublish(nil, 4, flags, qos, topic, id, []byte(payload))
}

// closedBy sends each packet on a connection of its own.
func (e *exam) closedBy(all ...[]byte) {
	e.Helper()
	for _, p := range all {
		e.trying("% x", p)
		c := e.guest(4)
		c.send(p)
		c.gone()
	}
}

func zeroIDCloses(e *exam) {
	e.closedBy(publication(0, 1, e.topic("x"), 0, ""), publication(0, 2, e.topic("x"), 0, ""),
		asking(subscribing, 4, 0, []byte{0}, "a"), asking(unsubscribing, 4, 0, nil, "a"))
}

func publishAnswersHaveItsID(e *exam) {
	c := e.guest(4)
	for _, id := range []uint16{1, 255, 256, 0x8000, 65535} {
		high, low := byte(id>>8), byte(id)
		c.send(publication(0, 1, e.topic("x"), id, ""))
		c.wants(puback, 2, high, low)
		c.send(publication(0, 2, e.topic("x"), id, ""))
		c.wants(pubrec, 2, high, low)
		c.send([]byte{pubrel, 2, high, low})
		c.wants(pubcomp, 2, high, low)
	}
}

func subscribeAnswersHaveItsID(e *exam) {
	c := e.guest(4)
	for _, id := range []uint16{1, 255, 256, 0x8000, 65535} {
		high, low := byte(id>>8), byte(id)
		c.send(asking(subscribing, 4, id, []byte{0}, e.topic("x")))
		c.wants(suback, 3, high, low, 0)
		c.send(asking(unsubscribing, 4, id, nil, e.topic("x")))
		c.wants(unsuback, 2, high, low)
	}
}

func qos0HasNoID(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	c.send(publication(0, 0, e.topic("x"), 0, "\x00\x07payload"))
	c.here() // no answer either
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("x")+"=\x00\x07payload")
}

// sentAtQoS0: whatever QoS a message came with, it leaves with QoS 0, as
// granted, without DUP and without packet id.
func sentAtQoS0(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.send(asking(subscribing, 4, 9, []byte{2}, e.topic("#")))
	watcher.wants(suback, 3, 0, 9, 0)
	for qos := range byte(3) {
		c.send(publication(0, qos, e.topic("x"), 1+uint16(qos), "x"))
	}
	c.wants(puback, 2, 0, 2)
	c.wants(pubrec, 2, 0, 3)
	c.say(e.topic("end"), "", 0)
	x := e.topic("x") + "=x"
	for _, d := range watcher.hears(e.topic("end"), x, x, x) {
		if d.head != 0x30 {
			e.Errorf("got %#x, want 0x30", d.head)
		}
	}
}

func dupIsNotPassedOn(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	c.say(e.topic("x"), "x", flagDup)
	if d := watcher.next(); d.head != 0x30 {
		e.Errorf("got %#x, want 0x30", d.head)
	}
}

func dupAtQoS0Closes(e *exam) { e.closedBy(publication(flagDup, 0, e.topic("x"), 0, "x")) }

func qos3Closes(e *exam) {
	for _, flags := range []byte{0, flagDup, flagRetain, flagDup | flagRetain} {
		e.closedBy(publication(flags, 3, e.topic("x"), 7, "x"))
	}
}

// retainedNow is what a new subscriber gets.
func (e *exam) retainedNow(want ...string) {
	e.Helper()
	s := e.guest(4)
	s.follow(e.topic("+"))
	s.say(e.topic("end"), "", 0)
	for _, d := range s.hears(e.topic("end"), want...) {
		if d.head != 0x30|flagRetain {
			e.Errorf("%s came with %#x, want the retain flag", d.topic, d.head)
		}
	}
}

func retainedIsKept(e *exam) {
	c := e.guest(4)
	for qos := range byte(3) {
		payload := fmt.Sprint("qos", qos)
		c.send(publication(flagRetain, qos, e.topic("x"), 7, payload))
		switch qos {
		case 1:
			c.wants(puback, 2, 0, 7)
		case 2:
			c.wants(pubrec, 2, 0, 7)
			c.send([]byte{pubrel, 2, 0, 7})
			c.wants(pubcomp, 2, 0, 7)
		}
		c.say(e.topic("other"), "", 0)
		e.retainedNow(e.topic("x") + "=" + payload)
	}
}

func lastRetainedIsSent(e *exam) {
	c := e.guest(4)
	c.say(e.topic("x"), "first", flagRetain)
	c.say(e.topic("x"), "last", flagRetain)
	e.retainedNow(e.topic("x") + "=last")
}

func liveMessageIsNotFlagged(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	c.say(e.topic("x"), "x", flagRetain)
	if d := watcher.next(); d.head != 0x30 {
		e.Errorf("got %#x, want 0x30", d.head)
	}
}

func emptyRetainedClears(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	c.say(e.topic("x"), "x", flagRetain)
	c.say(e.topic("x"), "", flagRetain)
	c.say(e.topic("never"), "", flagRetain)
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("x")+"=x", e.topic("x")+"=", e.topic("never")+"=")
	e.retainedNow()
}

func ordinaryMessageLeavesRetained(e *exam) {
	c := e.guest(4)
	c.say(e.topic("x"), "kept", flagRetain)
	c.say(e.topic("x"), "passing", 0)
	c.say(e.topic("x"), "", 0)
	e.retainedNow(e.topic("x") + "=kept")
}

func publishNeedsATopic(e *exam) {
	e.closedBy(frame(0x30, nil), frame(0x30, []byte{0}), frame(0x30, []byte{0, 9, 'a'}), frame(0x32, text16("a")),
		publication(0, 0, "", 0, "x"), publication(0, 1, "", 7, "x"))
}

func wildcardInTopicCloses(e *exam) {
	for _, topic := range []string{"#", "+", e.topic("+"), e.topic("#"), e.topic("a+"), "+/" + e.topic("x")} {
		e.closedBy(publication(0, 0, topic, 0, "x"), publication(0, 1, topic, 7, "x"))
	}
}

func eachQoSIsAnswered(e *exam) {
	c := e.guest(4)
	c.send(publication(0, 0, e.topic("x"), 0, ""))
	c.here()
	c.send(publication(0, 1, e.topic("x"), 1, ""))
	c.wants(puback, 2, 0, 1)
	c.send(publication(0, 2, e.topic("x"), 2, ""))
	c.wants(pubrec, 2, 0, 2)
	c.send([]byte{pubrel, 2, 0, 2})
	c.wants(pubcomp, 2, 0, 2)
}

func overlappingFiltersDeliver(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"), e.topic("+"), e.topic("x"))
	c.say(e.topic("x"), "x", 0)
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("x")+"=x")
}

func forbiddenTopicIsAnsweredAndDropped(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow("$exam/#", e.topic("#"))
	c.say("$exam/x", "x", 0)
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"))
}

func qos1IDIsFreeAgain(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	for _, flags := range []byte{0, flagDup, 0} {
		c.say(e.topic("x"), "x", flags)
	}
	c.say(e.topic("end"), "", 0)
	x := e.topic("x") + "=x"
	watcher.hears(e.topic("end"), x, x, x)
}

// qos1TakesAnUnfinishedID: a device that lost its memory begins with id 1 again,
// and an unfinished QoS 2 message of its former life may have it.
func qos1TakesAnUnfinishedID(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	c.send(publication(0, 2, e.topic("x"), 7, "former"))
	c.wants(pubrec, 2, 0, 7)
	c.say(e.topic("x"), "new", 0)
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("x")+"=former", e.topic("x")+"=new")
}

func qos2ArrivesOnce(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	for _, payload := range []string{"first", "second"} {
		for _, flags := range []byte{0, flagDup, flagDup} {
			c.send(publication(flags, 2, e.topic("x"), 5, payload))
			c.wants(pubrec, 2, 0, 5)
		}
		for range 2 { // the second one has lost its PUBCOMP
			c.send([]byte{pubrel, 2, 0, 5})
			c.wants(pubcomp, 2, 0, 5)
		}
	}
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("x")+"=first", e.topic("x")+"=second")
}

// Fewer than a subscriber may have waiting.
const many = 200

func pubacksAreInOrder(e *exam)  { e.inOrder(1, puback) }
func pubrecsAreInOrder(e *exam)  { e.inOrder(2, pubrec) }
func messagesAreInOrder(e *exam) { e.inOrder(0, 0) }

// inOrder sends without waiting for answers.
func (e *exam) inOrder(qos, answer byte) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("#"))
	want := make([]string, many)
	var all []byte
	for i := range many {
		payload := fmt.Sprint(i)
		want[i] = e.topic("x") + "=" + payload
		all = append(all, publication(0, qos, e.topic("x"), uint16(i+1), payload)...)
	}
	c.send(all)
	for i := range many {
		if answer != 0 {
			c.wants(answer, 2, byte((i+1)>>8), byte(i+1))
		}
	}
	if qos == 2 {
		for i := range many {
			c.send([]byte{pubrel, 2, byte((i + 1) >> 8), byte(i + 1)})
		}
		for i := range many {
			c.wants(pubcomp, 2, byte((i+1)>>8), byte(i+1))
		}
	}
	// Not with QoS 1: the id may be one of those above.
	c.send(publication(0, 0, e.topic("end"), 0, ""))
	watcher.hears(e.topic("end"), want...)
}

func longestTopicPasses(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	longest := strings.Repeat("x", 65535)
	watcher.follow(longest, e.topic("end"))
	c.say(longest, "x", 0)
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), longest+"=x")
}

// packetsOfServersClose: no client may send them.
func packetsOfServersClose(e *exam) {
	e.closedBy([]byte{connack, 2, 0, 0}, []byte{suback, 3, 0, 1, 0}, []byte{unsuback, 2, 0, 1}, pong, []byte{0, 0}, []byte{0xf0, 2, 0, 0})
}

func pingIsAnswered(e *exam) {
	c := e.guest(4)
	for range 3 {
		c.here()
	}
}
