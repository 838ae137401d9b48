package broker_test

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A client with random ids and without clean session leaves one session each
// time. They end, a week after the client's last visit, and there is a bound.
func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Limits.Sessions = 10 })
		for i := range 10 {
			c := letIn(t, net.dial(t, ""), hello{id: fmt.Sprint("visitor", i), keep: true})
			c.subscribe("a")
			c.send(disconnect)
			c.wantClosed()
		}
		c := newClient(t, net.dial(t, ""), 4)
		c.send(hello{id: "late"}.bytes())
		c.want(0x20, 2, 0, 3)
		known := letBackIn(t, net.dial(t, ""), hello{id: "visitor3", keep: true}) // a known one is served
		known.ping()
		synctest.Wait()
		if got := r.Stats().Sessions; got != 10 {
			t.Errorf("%d sessions, want 10", got)
		}
	})
}

// letBackIn connects a client whose session is remembered.
func letBackIn(t testing.TB, conn net.Conn, h hello) *client {
	t.Helper()
	c := newClient(t, conn, h.version)
	c.send(h.bytes())
	if head, body := c.packet(); head != 0x20 || body[0] != 1 || body[1] != 0 {
		t.Fatalf("answer to CONNECT: %x %x, want session present", head, body)
	}
	return c
}

// A session ends when its client asked for it, with its subscriptions.
func TestSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5, properties: []byte{0x11, 0, 0, 0, 10}})
		c.subscribe("x")
		c.Close()
		time.Sleep(5 * time.Second)
		if got := r.Stats().Sessions; got != 1 {
			t.Errorf("%d sessions after 5 s, want 1", got)
		}
		time.Sleep(10 * time.Second)
		if s := r.Stats(); s.Sessions != 0 || s.Subscriptions != 0 {
			t.Errorf("%d sessions and %d subscriptions after 15 s, want none", s.Sessions, s.Subscriptions)
		}
	})
}

// A session is taken over with its subscriptions, and only its client's last
// connection has it, however fast they follow each other. mochi deletes a
// session by its id at the end of the old connection: then the new one would
// get nothing any more.
func TestTakeoversLeaveOneWorkingClient(t *testing.T) {
	r := start(t, nil)
	for round := range 30 {
		id := fmt.Sprint("washer", round)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				c := r.dial(t)
				c.Write(hello{id: id}.bytes())
				c.Read(make([]byte, 4))
				c.Close()
			})
		}
		all.Wait()
		last := r.client(t, hello{id: id})
		last.subscribe("a")
		last.publish("a", 0, 0, id)
		last.wantMessage("a", id)
		last.send(disconnect)
		last.wantClosed()
	}
	waitFor(t, func() bool { return r.Stats().Sessions == 0 && r.Stats().Clients == 0 })
}

// A persistent session keeps its subscriptions over a takeover.
func TestTakeoverKeepsSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		h := hello{id: "panel", keep: true}
		first := letIn(t, net.dial(t, ""), h)
		first.subscribe("a")
		second := letBackIn(t, net.dial(t, ""), h)
		first.wantClosed()
		second.publish("a", 0, 0, "x")
		second.wantMessage("a", "x")
	})
}

// A client comes back in the moment in which its old connection ends, or takes
// the session of a living one over. mochi deletes the session of the old one by
// its id, and with it the new one, which then gets no message any more. Many
// subscriptions make that moment long.
func TestReturnWhileTheOldConnectionEnds(t *testing.T) {
	var filters []string
	for i := range 700 {
		filters = append(filters, fmt.Sprint("house/", i))
	}
	for name, end := range map[string]func(*client){"closed": func(c *client) { c.Close() }, "taken over": func(*client) {}} {
		for _, version := range []byte{4, 5} {
			t.Run(fmt.Sprint(name, " v", version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, net := inBubble(t, func(o *broker.Options) { o.Listen[0].AnonymousRole = home })
					h := hello{id: "a", version: version}
					old := letIn(t, net.dial(t, ""), h)
					old.subscribe(filters...)
					for round := range 10 {
						end(old)
						c := letIn(t, net.dial(t, ""), h)
						c.subscribe(filters...)
						c.publish(filters[0], 0, 0, "x")
						if head, _, err := c.read(time.Second); err != nil || head != 0x30 {
							t.Fatalf("round %d: %x, %v, want the message", round, head, err)
						}
						old = c
					}
					synctest.Wait()
					if s := r.Stats(); s.Sessions != 1 || s.Subscriptions != len(filters) {
						t.Errorf("%d sessions and %d subscriptions, want 1 and %d", s.Sessions, s.Subscriptions, len(filters))
					}
				})
			})
		}
	}
}
