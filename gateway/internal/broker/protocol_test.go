package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A deadlock of mochi in the tables of QoS 1 and 2 messages to subscribers
// cannot happen where there are none.
func TestSubscriptionsAreGrantedQoS0(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		old := letIn(t, net.dial(t, ""), hello{id: "old"})
		old.send(old.subscription("a", "b/#", "c/#/d"))
		old.want(0x90, 5, 0, 9, 0, 0, 0x80)
		c := letIn(t, net.dial(t, ""), hello{id: "new", version: 5})
		c.send(c.subscription("a", "b/#", "c/#/d"))
		c.want(0x90, 6, 0, 9, 0, 0, 0, 0x8f)
		old.publish("a", 2, 1, "x")
		old.want(ack(pubrec, 1)...)
		if flags := old.wantMessage("a", "x"); flags != 0 {
			t.Errorf("message came with flags %x, want QoS 0", flags)
		}
	})
}

// Each level of a topic is a node in mochi's tree, and its search takes time
// that grows with their square.
func TestDeepTopicsAreTurnedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		deep := strings.Repeat("a/", 32) + "a"
		c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5})
		c.send(c.subscription(deep))
		c.want(0x90, 4, 0, 9, 0, 0x8f)
		c.publish(deep, 1, 1, "x")
		if head, body := c.packet(); head != puback || body[2] != 0x87 {
			t.Errorf("got %x %x, want a PUBACK with reason 0x87", head, body)
		}
		old := letIn(t, net.dial(t, ""), hello{id: "b"})
		old.publish(deep, 1, 1, "x")
		old.wantClosed()
	})
}

func TestSubscriptionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Limits.DeviceSubscriptions = 2 })
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		c.send(c.subscription("a", "b", "c", "a"))
		c.want(0x90, 6, 0, 9, 0, 0, 0x80, 0x80)
		c.send(c.subscription("a", "b"))
		c.want(0x90, 4, 0, 9, 0, 0)
	})
}

// Stock mochi answers nothing to a message to $SYS, and the client waits.
func TestTopicsOfTheBrokerAreAnswered(t *testing.T) {
	for _, topic := range []string{"$SYS/broker/version", "$sys", "$share/a/b", "$other"} {
		t.Run(topic, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, func(o *broker.Options) { o.Listen[0].AnonymousRole = home })
				c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5})
				c.publish(topic, 1, 1, "x")
				if head, body := c.packet(); head != puback || body[2] != 0x87 {
					t.Errorf("got %x %x, want a PUBACK with reason 0x87", head, body)
				}
				old := letIn(t, net.dial(t, ""), hello{id: "b"})
				old.publish(topic, 1, 1, "x")
				old.want(ack(puback, 1)...)
				if got := r.store.all(); len(got) != 0 {
					t.Errorf("stored %+v", got)
				}
			})
		})
	}
}

// mochi judges a message with a topic alias by the topic "". The broker offers
// no aliases, so a client that uses one breaks the protocol.
func TestTopicAliasIsNoWayAroundTheRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5})
		c.send(frame(0x32, append(append(str("cmnd/x/POWER"), 0, 1, 3, 0x23, 0, 1), "ON"...)))
		if head, body := c.packet(); head != 0xe0 || body[0] != 0x94 {
			t.Errorf("got %x %x, want a DISCONNECT with reason 0x94", head, body)
		}
		if got := r.store.all(); len(got) != 0 {
			t.Errorf("stored %+v", got)
		}
	})
}

// Nor does it send any: mochi gives a topic an alias before it knows whether
// the message that would tell it is dropped.
func TestNoTopicAliasIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5, properties: []byte{0x22, 0, 10}})
		c.subscribe("a")
		for range 2 {
			c.publish("a", 0, 0, "x")
			c.wantMessage("a", "x")
		}
	})
}

// An MQTT 5 client that resends a QoS 2 message is told by stock mochi that its
// packet id is in use, takes that for a failure and gives the message up.
func TestResentQoS2IsConfirmed(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				c := letIn(t, net.dial(t, ""), hello{id: "a", version: version})
				c.publish("a", 2, 1, "x")
				c.want(ack(pubrec, 1)...)
				c.send(c.message(dup, "a", 2, 1, "x"))
				c.want(ack(pubrec, 1)...)
				c.send(ack(pubrel, 1))
				c.want(ack(pubcomp, 1)...)
				if got := len(r.store.all()); got != 1 {
					t.Errorf("%d messages stored, want 1", got)
				}
			})
		})
	}
}

// A device that lost its memory in a power cut begins with packet id 1 again.
// Stock mochi answers its new message as the old one and drops it.
func TestReusedQoS2IdIsANewMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a", keep: true})
		c.publish("a", 2, 1, "old")
		c.want(ack(pubrec, 1)...)
		c.Close()
		c = letBackIn(t, net.dial(t, ""), hello{id: "a", keep: true})
		c.want(ack(pubrec, 1)...) // mochi resends it
		c.publish("a", 2, 1, "new")
		c.want(ack(pubrec, 1)...)
		if got := r.store.all(); len(got) != 2 || string(got[1].Payload) != "new" {
			t.Errorf("stored %+v, want both", got)
		}
	})
}

// MQTT 3.1.1 knows no DISCONNECT from a server; mochi sends one.
func TestOldClientGetsNoDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		first := letIn(t, net.dial(t, ""), hello{id: "a"})
		letIn(t, net.dial(t, ""), hello{id: "a"})
		first.wantClosed()
	})
}

// What arrives is what Accept gets.
func TestAcceptGetsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a", user: "alice"})
		c.send(c.message(retain|dup, "tele/a/SENSOR", 1, 3, "{}"))
		c.want(ack(puback, 3)...)
		got := r.store.all()[0]
		if got.Client != "a" || got.User != "" || got.Topic != "tele/a/SENSOR" || string(got.Payload) != "{}" ||
			got.QoS != 1 || !got.Retained || !got.Dup || got.Will {
			t.Errorf("got %+v", got)
		}
	})
}
