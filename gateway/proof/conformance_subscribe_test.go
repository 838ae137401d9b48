//go:build linux

package proof_test

import "strings"

func filtersMatch(e *exam) {
	for _, c := range []struct {
		filter, topics string // those that match begin with an exclamation mark
	}{
		{"a/b/#", "!a/b,!a/b/,!a/b/c,!a/b/c/d,a/c,a,a/bb"},
		{"a/+", "!a/b,!a/c,!a/,a,a/b/c"},
		{"a/+/c", "!a/b/c,!a//c,a/c,a/b/b/c,a/b"},
		{"+", "!a,/,a/,/a,a/b"},
		{"+/+", "!/,!/a,!a/,!a/b,a,a/b/c"},
		{"/+", "!/a,!/,a/b,a"},
		{"+/b/#", "!a/b,!a/b/c,!/b,a/c,b"},
		{"#", "!a,!/,!a/b/c"},
		{"a b/c", "!a b/c,ab/c,a/c"},
	} {
		s := e.guest(4)
		s.follow(c.filter, e.topic("end"))
		var want []string
		for topic := range strings.SplitSeq(c.topics, ",") {
			name, match := strings.CutPrefix(topic, "!")
			s.send(publication(0, 0, name, 0, c.filter))
			if match {
				want = append(want, name+"="+c.filter)
			}
		}
		s.say(e.topic("end"), "", 0)
		all := s.until(e.topic("end"))
		var got []string
		for _, d := range all {
			if d.payload == c.filter { // what other tests say is heard too
				got = append(got, d.topic+"="+d.payload)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			e.Errorf("%s: heard %q, want %q", c.filter, got, want)
		}
	}
}

func topicFitsTheFilter(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("+/b"))
	for _, topic := range []string{"a/b", "a/c", "a", "a/b/c", "c/b"} {
		c.say(e.topic(topic), "", 0)
	}
	watcher.follow(e.topic("end"))
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("a/b")+"=", e.topic("c/b")+"=")
}

func namesAreComparedByteByByte(e *exam) {
	watcher, c := e.guest(4), e.guest(4)
	watcher.follow(e.topic("caf\u00e9"), e.topic("end"))
	for _, topic := range []string{"cafe\u0301", "CAF\u00c9", "Caf\u00e9", "caf\u00e9 ", "caf\u00e9/", "cafe", "caf\u00e9"} {
		c.say(e.topic(topic), topic, 0)
	}
	c.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("caf\u00e9")+"=caf\u00e9")
}

func wildcardsMissDollarTopics(e *exam) {
	s := e.guest(4)
	s.follow("$SYS/broker/version")
	if d := s.next(); !strings.HasPrefix(d.topic, "$SYS/") { // there is one
		e.Fatalf("heard %+v", d)
	}
	for _, filter := range []string{"#", "+/#", "+/broker/version", "+/+/+"} {
		c := e.guest(4)
		c.follow(filter, e.topic("end"))
		c.say(e.topic("end"), "", 0)
		for _, d := range c.until(e.topic("end")) {
			if strings.HasPrefix(d.topic, "$") {
				e.Errorf("%s matches %s", filter, d.topic)
			}
		}
	}
}

// refusedFilters fail; those beside them do not.
func (e *exam) refusedFilters(filters ...string) {
	for _, f := range filters {
		e.trying("%q", f)
		c := e.guest(4)
		c.send(asking(subscribing, 4, 9, []byte{0}, e.topic("a"), f, e.topic("b")))
		c.wants(suback, 5, 0, 9, 0, 0x80, 0)
	}
}

func misplacedHashIsRefused(e *exam) {
	e.refusedFilters("a#", "a/b#", "#/a", "a/#/b", "a/#b", "##")
}

func misplacedPlusIsRefused(e *exam) {
	e.refusedFilters("a+", "+a", "a/b+", "a/+b/c", "++", "+/a+")
}

func emptyFilterIsRefused(e *exam) { e.refusedFilters("") }

func filterNeedsItsBytes(e *exam) {
	for _, head := range []byte{subscribing, unsubscribing} {
		e.closedBy(frame(head, []byte{0, 9, 0}), frame(head, []byte{0, 9, 0, 5, 'a'}), frame(head, []byte{0}))
	}
	e.closedBy(frame(subscribing, append([]byte{0, 9}, text16("a")...))) // no QoS
}

func subscribeNeedsAFilter(e *exam)   { e.closedBy([]byte{subscribing, 2, 0, 9}) }
func unsubscribeNeedsAFilter(e *exam) { e.closedBy([]byte{unsubscribing, 2, 0, 9}) }

func wrongRequestedQoSCloses(e *exam) {
	for _, qos := range []byte{3, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff} {
		e.closedBy(asking(subscribing, 4, 9, []byte{qos}, e.topic("x")))
	}
}

func subscribeIsAnswered(e *exam) {
	c := e.guest(4)
	for qos := range byte(3) {
		c.send(asking(subscribing, 4, 9, []byte{qos}, e.topic("x")))
		c.wants(suback, 3, 0, 9, 0)
	}
}

func eachFilterHasACode(e *exam) {
	c := e.guest(4)
	filters := []string{e.topic("a"), "", e.topic("b/#"), "a/#/b", e.topic("+/c"), e.topic("a")}
	c.send(asking(subscribing, 4, 9, []byte{1}, filters...))
	c.wants(suback, 8, 0, 9, 0, 0x80, 0, 0x80, 0, 0)
}

// subackCodesAreKnown also where MQTT 5 has more of them.
func subackCodesAreKnown(e *exam) {
	c := e.guest(4)
	deep := strings.Repeat("a/", 100)
	c.send(asking(subscribing, 4, 9, []byte{1}, e.topic("a"), "a/#/b", deep))
	c.wants(suback, 5, 0, 9, 0, 0x80, 0x80)
	// The id is one that a message of the client has.
	c.send(publication(0, 2, e.topic("x"), 9, ""))
	c.wants(pubrec, 2, 0, 9)
	c.send(asking(subscribing, 4, 9, []byte{1}, e.topic("a")))
	if head, body := c.packet(); head != suback || len(body) != 3 || body[2] != 0 && body[2] != 0x80 {
		e.Errorf("got %x % x", head, body)
	}
}

func sameFilterReplaces(e *exam) {
	c, other := e.guest(4), e.guest(4)
	other.say(e.topic("x"), "kept", flagRetain)
	for range 2 {
		c.follow(e.topic("x"))
		if d := c.next(); d.payload != "kept" || d.head != 0x30|flagRetain {
			e.Errorf("got %+v", d)
		}
	}
	c.follow(e.topic("end"))
	other.say(e.topic("x"), "live", 0)
	other.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"), e.topic("x")+"=live")
	c.drop(e.topic("x")) // one UNSUBSCRIBE ends it
	other.say(e.topic("x"), "late", 0)
	other.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"))
}

func manyFiltersInOnePacket(e *exam) {
	c, other := e.guest(4), e.guest(4)
	other.say(e.topic("a"), "1", flagRetain)
	other.say(e.topic("b"), "2", flagRetain)
	c.send(asking(subscribing, 4, 9, []byte{1}, e.topic("a"), e.topic("b"), e.topic("end")))
	c.wants(suback, 5, 0, 9, 0, 0, 0)
	c.say(e.topic("end"), "", 0) // by itself: then what is retained has come before
	c.hears(e.topic("end"), e.topic("a")+"=1", e.topic("b")+"=2")
}

func unsubscribeComparesFilters(e *exam) {
	c, other := e.guest(4), e.guest(4)
	c.follow(e.topic("a/+"), e.topic("end"))
	for _, f := range []string{"a/#", "a/b", "A/+", "a/+/", "+/+"} {
		c.drop(e.topic(f))
	}
	other.say(e.topic("a/b"), "1", 0)
	other.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"), e.topic("a/b")+"=1")
	c.drop(e.topic("a/+"))
	other.say(e.topic("a/b"), "2", 0)
	other.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"))
}

func unsubscribeEndsTheFlow(e *exam) {
	c, other := e.guest(4), e.guest(4)
	c.follow(e.topic("x"), e.topic("end"))
	other.say(e.topic("x"), "1", 0)
	c.next()
	c.drop(e.topic("x"))
	other.say(e.topic("x"), "2", 0)
	other.say(e.topic("end"), "", 0)
	c.hears(e.topic("end"))
}

func unsubscribeIsAlwaysAnswered(e *exam) {
	c := e.guest(4)
	c.send(asking(unsubscribing, 4, 11, nil, e.topic("never")))
	c.wants(unsuback, 2, 0, 11)
	c.send(asking(unsubscribing, 4, 12, nil, "a/#/b"))
	c.wants(unsuback, 2, 0, 12)
}

func manyUnsubscribedAtOnce(e *exam) {
	c, other := e.guest(4), e.guest(4)
	c.follow(e.topic("a"), e.topic("b"), e.topic("end"))
	c.send(asking(unsubscribing, 4, 12, nil, e.topic("a"), e.topic("never"), e.topic("b")))
	c.wants(unsuback, 2, 0, 12)
	for _, topic := range []string{"a", "b", "end"} {
		other.say(e.topic(topic), "", 0)
	}
	c.hears(e.topic("end"))
}
