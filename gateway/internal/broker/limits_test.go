package broker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// One device must not take the room for retained messages from all others.
// What does not fit is a message like any other, until there is no end to it.
func TestRetainedMessagesOfAClientAreBounded(t *testing.T) {
	tests := map[string]struct {
		limits  broker.Limits
		payload string
	}{
		"in number": {broker.Limits{Retained: 10}, "x"},
		"in bytes":  {broker.Limits{RetainedBytes: 1 << 20}, strings.Repeat("x", 75<<10)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, func(o *broker.Options) { o.Limits = test.limits })
				greedy, other := letIn(t, net.dial(t, ""), hello{id: "greedy", version: 5}), letIn(t, net.dial(t, ""), hello{id: "other"})
				keep := func(c *client, topic, payload string) {
					c.send(c.message(retain, topic, 1, 1, payload))
					if head, body := c.packet(); head != puback || reason(body) >= 0x80 {
						t.Fatalf("answer %x %x", head, body)
					}
				}
				for n := range 20 {
					keep(greedy, fmt.Sprint("a", n), test.payload)
				}
				keep(other, "mine", "x")
				keep(greedy, "a1", "y") // one that it has
				if got := r.Stats(); got.Retained > 11 || got.Retained < 10 || got.Refused["retained_per_client"] < 9 {
					t.Errorf("%d messages are retained, refused %v", got.Retained, refusals(got))
				}
				keep(greedy, "a2", "") // makes room, as soon as that was counted
				time.Sleep(10 * time.Second)
				keep(greedy, "new", "x")
				if got := r.Stats().Retained; got > 11 || got < 10 {
					t.Errorf("%d messages are retained after one was deleted and one came", got)
				}
				for n := range 3000 {
					greedy.send(greedy.message(retain, fmt.Sprint("b", n), 1, 1, test.payload))
					if head, body := greedy.packet(); head == 0xe0 {
						if body[0] != 0x97 || n < 900 {
							t.Errorf("cut off at message %d with reason %x", n, body[0])
						}
						return
					}
				}
				t.Error("not cut off after 3000 messages that cannot be retained")
			})
		})
	}
}

// Retained messages that grow are bounded like new ones: the topics of a client
// times the longest packet would be gigabytes.
func TestRetainedMessagesDoNotGrowWithoutBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Limits.RetainedBytes = 4 << 20 })
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		for _, size := range []int{1, 1 << 20} {
			for n := range 100 {
				c.send(c.message(retain, fmt.Sprint("a", n), 1, 1, strings.Repeat("x", min(size, 1<<20-100))))
				c.want(ack(puback, 1)...)
			}
		}
		if got := r.Stats().Refused["retained_per_client"]; got < 95 {
			t.Errorf("%d messages of a mebibyte were not retained, want 97", got)
		}
	})
}

// A client with too many subscriptions is told so, keeps those that it has, and
// is cut off when it never stops.
func TestSubscriptionsOfAClientAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Limits.Subscriptions = 3 })
		c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5})
		c.send(c.subscription("a", "b", "c", "d"))
		c.want(0x90, 7, 0, 9, 0, 0, 0, 0, 0x97)
		c.subscribe("a")
		letIn(t, net.dial(t, ""), hello{id: "b"}).publish("a", 0, 0, "x")
		c.wantMessage("a", "x")
		for n := range 2000 {
			c.send(c.subscription(fmt.Sprint("x", n)))
			if head, body := c.packet(); head == 0xe0 {
				if body[0] != 0x97 || n < 900 {
					t.Errorf("cut off at subscription %d with reason %x", n, body[0])
				}
				if got := r.Stats().Refused["subscription"]; got < 1000 {
					t.Errorf("%d refusals counted", got)
				}
				return
			}
		}
		t.Error("not cut off after 2000 subscriptions too many")
	})
}

// Half-open connections must not stay for ever. An MQTT 5 client is told how
// long it may be silent; one of MQTT 3.1.1 cannot be told, and what it asked for
// holds.
func TestSilenceIsBounded(t *testing.T) {
	tests := map[string]struct {
		hello hello
		told  []byte        // Server Keep Alive
		until time.Duration // closed after; 0: stays
	}{
		"v5, for ever":     {hello{version: 5, forever: true}, []byte{0x13, 0, 60}, 90 * time.Second},
		"v5, for long":     {hello{version: 5, keepAlive: 61}, []byte{0x13, 0, 60}, 90 * time.Second},
		"v5, shorter":      {hello{version: 5, keepAlive: 59}, nil, 88500 * time.Millisecond},
		"v3.1.1, for ever": {hello{forever: true}, nil, 0},
		"v3.1.1, for long": {hello{keepAlive: 120}, nil, 180 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, func(o *broker.Options) { o.Limits.KeepAlive = time.Minute })
				c := newClient(t, net.dial(t, ""), test.hello.version)
				test.hello.id = "a"
				c.send(test.hello.bytes())
				_, connack := c.packet()
				if got := bytes.Contains(connack, []byte{0x13, 0, 60}); got != (test.told != nil) {
					t.Errorf("CONNACK %x, want %x in it", connack, test.told)
				}
				begin := time.Now()
				_, _, err := c.read(time.Hour)
				if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
					if test.until != 0 {
						t.Errorf("still connected after an hour of silence")
					}
					return
				}
				took := time.Since(begin).Round(time.Second / 2)
				if test.until == 0 || took < test.until || took > test.until+time.Second { // the broker waits that the client closes too
					t.Errorf("closed after %s: %v", took, err)
				}
			})
		})
	}
}

// While the card hangs, a device that has nothing on it is let in and served at
// once, an old one of the same name only when its answer is out.
func TestFreshClientIsLetInWhileTheCardHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		waiting := letIn(t, net.dial(t, ""), hello{id: "old", keep: true})
		r.store.hold()
		waiting.publish("tele/s", 1, 1, "x")
		synctest.Wait() // it is in the queue for the card
		begin := time.Now()
		for _, version := range []byte{4, 5} {
			fresh := letIn(t, net.dial(t, ""), hello{id: fmt.Sprint("fresh", version), version: version})
			fresh.ping()
			fresh.publish("tele/s", 0, 0, "x")
			fresh.subscribe("tele/#")
		}
		if took := time.Since(begin); took > time.Millisecond {
			t.Errorf("fresh clients waited %s", took)
		}
		again := newClient(t, net.dial(t, ""), 4)
		again.send(hello{id: "old", keep: true}.bytes())
		again.wantSilence(time.Second)
		r.store.release()
		if head, body := again.packet(); head != 0x20 || body[1] != 0 {
			t.Errorf("answer to CONNECT once the card goes on: %x %x", head, body)
		}
	})
}
