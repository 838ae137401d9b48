//go:build linux

package proof_test

// leave says goodbye and waits until the broker has heard it.
func (s *speaker) leave() {
	s.t.Helper()
	s.send(goodbye)
	s.gone()
}

// resumes is the answer to a client that was there before.
func (e *exam) resumes(id string, flags byte, want bool) *speaker {
	e.Helper()
	s := e.enter(hello{flags: flags, fields: []string{id}})
	if s.resumed != want {
		e.Fatalf("session present %v, want %v", s.resumed, want)
	}
	return s
}

func sessionIsResumed(e *exam) {
	id := e.id()
	e.resumes(id, 0, false).follow(e.topic("#"))
	e.resumes(id, 0, true).leave() // while it is connected
	s := e.resumes(id, 0, true)    // and after it left
	s.Close()
	s = e.resumes(id, 0, true) // or was lost
	s.say(e.topic("x"), "1", 0)
	s.say(e.topic("end"), "", 0)
	s.hears(e.topic("end"), e.topic("x")+"=1")
}

func cleanSessionStartsAnew(e *exam) {
	id := e.id()
	s := e.resumes(id, 0, false)
	s.follow(e.topic("old"))
	s.leave()
	s = e.resumes(id, cleanSession, false)
	s.follow(e.topic("middle"))
	s.leave()
	s = e.resumes(id, 0, false)
	s.follow(e.topic("end"))
	for _, topic := range []string{"old", "middle", "end"} {
		s.say(e.topic(topic), "", 0)
	}
	s.hears(e.topic("end"))
}

func cleanConnectionHasNoSession(e *exam) {
	id := e.id()
	e.resumes(id, cleanSession, false).leave()
	e.resumes(id, cleanSession, false)
	e.resumes(id, cleanSession, false).Close()
	e.resumes(id, cleanSession, false)
}

func idIsTheSession(e *exam) {
	one, two := e.id(), e.id()
	e.resumes(one, 0, false).leave()
	e.resumes(two, 0, false).leave()
	e.resumes(one, 0, true)
	e.resumes(two, 0, true)
	e.resumes(e.id(), 0, false)
}

func retainedOutlivesItsSession(e *exam) {
	s := e.guest(4)
	s.say(e.topic("x"), "kept", flagRetain)
	s.leave()
	s = e.guest(4)
	s.follow(e.topic("x"))
	if d := s.next(); d.payload != "kept" || d.head != 0x30|flagRetain {
		e.Errorf("got %+v", d)
	}
}

func connectedSessionLasts(e *exam) {
	s := e.enter(hello{keepAlive: 60, fields: []string{e.id()}})
	s.follow(e.topic("#"))
	other := e.guest(4)
	for range 20 {
		other.say(e.topic("x"), "1", 0)
	}
	other.say(e.topic("end"), "", 0)
	if n := len(s.until(e.topic("end"))); n != 20 {
		e.Errorf("heard %d messages, want 20", n)
	}
}

// absentSubscriberIsNotKeptFor shows the deviation: QoS 0 was granted, and what
// is published at QoS 0 to nobody is gone.
func absentSubscriberIsNotKeptFor(e *exam) {
	id := e.id()
	s := e.resumes(id, 0, false)
	s.send(asking(subscribing, 4, 9, []byte{2}, e.topic("#")))
	s.wants(suback, 3, 0, 9, 0)
	s.leave()
	other := e.guest(4)
	other.say(e.topic("x"), "missed", 0)
	s = e.resumes(id, 0, true)
	other.say(e.topic("end"), "", 0)
	s.hears(e.topic("end"))
}

// unfinishedQoS2IsResumed: the receiver's half of a session.
func unfinishedQoS2IsResumed(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	id := e.id()
	s := e.resumes(id, 0, false)
	s.send(appendPublish(nil, 4, 0, 2, e.topic("x"), 5, []byte("once")))
	s.wants(pubrec, 2, 0, 5)
	s.Close()
	s = e.resumes(id, 0, true)
	s.wants(pubrec, 2, 0, 5)
	s.send(appendPublish(nil, 4, flagDup, 2, e.topic("x"), 5, []byte("once")))
	s.wants(pubrec, 2, 0, 5)
	s.send([]byte{pubrel, 2, 0, 5})
	s.wants(pubcomp, 2, 0, 5)
	s.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"), e.topic("x")+"=once")
}

// A will, and what is said in its place when there is none.
func (e *exam) will(flags byte) (watcher, c *speaker) {
	e.Helper()
	watcher = e.guest(4)
	watcher.follow(e.topic("#"))
	c = e.enter(hello{flags: cleanSession | hasWill | flags, fields: []string{e.id(), e.topic("will"), "gone"}})
	return watcher, c
}

func brokenConnectionPublishesTheWill(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	for _, flags := range []byte{0, willAtQoS1, willAtQoS2} {
		for name, end := range map[string]func(*speaker){
			"lost":               func(c *speaker) { c.Close() },
			"protocol violation": func(c *speaker) { c.send([]byte{subscribing, 2, 0, 0}) },
			"malformed":          func(c *speaker) { c.send([]byte{0x36, 2, 0, 0}) },
		} {
			c := e.enter(hello{flags: cleanSession | hasWill | flags, fields: []string{e.id(), e.topic("will"), name}})
			end(c)
			if d := watcher.next(); d.topic != e.topic("will") || d.payload != name {
				e.Errorf("%s: heard %+v", name, d)
			}
		}
	}
}

func emptyWillIsPublished(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	c := e.enter(hello{flags: cleanSession | hasWill, fields: []string{e.id(), e.topic("will"), ""}})
	c.Close()
	if d := watcher.next(); d.topic != e.topic("will") || d.payload != "" {
		e.Errorf("heard %+v", d)
	}
}

func willIsPublishedOnce(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	id := e.id()
	c := e.enter(hello{flags: hasWill, fields: []string{id, e.topic("will"), "gone"}})
	c.Close()
	watcher.next()
	c = e.resumes(id, 0, true) // without a will
	c.Close()
	e.resumes(id, 0, true).say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"))
}

func farewellDiscardsTheWill(e *exam) {
	watcher, c := e.will(0)
	c.leave()
	watcher.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"))
}

func noWillWithoutItsFlag(e *exam) {
	watcher := e.guest(4)
	watcher.follow(e.topic("#"))
	c := e.guest(4)
	c.Close()
	watcher.say(e.topic("end"), "", 0)
	watcher.hears(e.topic("end"))
}

func willFollowsItsFlag(e *exam) {
	e.malformedConnects(
		hello{flags: cleanSession, fields: []string{e.id(), e.topic("will"), "gone"}},
		hello{flags: cleanSession | willAtQoS1, fields: []string{e.id()}},
		hello{flags: cleanSession | willRetained, fields: []string{e.id()}})
}

func willNeedsItsFields(e *exam) {
	e.malformedConnects(
		hello{flags: cleanSession | hasWill, fields: []string{e.id()}},
		hello{flags: cleanSession | hasWill, fields: []string{e.id(), e.topic("will")}},
		hello{flags: cleanSession | hasWill, fields: []string{e.id(), "", "gone"}},
		hello{flags: cleanSession | hasWill, fields: []string{e.id(), e.topic("+"), "gone"}})
}

func willQoSNeedsItsFlag(e *exam) {
	for _, qos := range []byte{willAtQoS1, willAtQoS2} {
		e.malformedConnects(hello{flags: cleanSession | qos, fields: []string{e.id()}})
	}
}

func willQoS3Closes(e *exam) {
	e.malformedConnects(hello{flags: cleanSession | hasWill | willAtQoS1 | willAtQoS2, fields: []string{e.id(), e.topic("will"), "gone"}})
}

func willRetainNeedsItsFlag(e *exam) {
	e.malformedConnects(hello{flags: cleanSession | willRetained, fields: []string{e.id()}})
}

func (e *exam) retainedAfterWill(flags byte) (all []delivery) {
	watcher, c := e.will(flags)
	c.Close()
	if d := watcher.next(); d.head != 0x30 {
		e.Errorf("the will came as %#x, want 0x30", d.head)
	}
	late := e.guest(4)
	late.follow(e.topic("#"))
	late.say(e.topic("end"), "", 0) // by itself: then what is retained has come before
	return late.until(e.topic("end"))
}

func willIsNotRetained(e *exam) {
	if got := e.retainedAfterWill(0); len(got) > 0 {
		e.Errorf("retained %+v", got)
	}
}

func willIsRetained(e *exam) {
	if got := e.retainedAfterWill(willRetained); len(got) != 1 || got[0].payload != "gone" || got[0].head != 0x30|flagRetain {
		e.Errorf("retained %+v", got)
	}
}
