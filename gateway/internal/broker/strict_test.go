package broker_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
)

// mochi lets a CONNECT pass that says more or less than its flags, and takes
// "a#" for a filter: such a client works here and with no other broker.
func TestMalformedConnectIsNotAnswered(t *testing.T) {
	connect := func(name string, level, flags byte, fields ...string) []byte {
		body := append(str(name), level, flags, 0, 60)
		if level == 5 {
			body = append(body, 0)
		}
		for _, f := range fields {
			body = append(body, str(f)...)
		}
		return frame(0x10, body)
	}
	for name, p := range map[string][]byte{
		"another protocol":             connect("mqtt", 4, 2, "a"),
		"reserved flag":                connect("MQTT", 4, 3, "a"),
		"will QoS without a will":      connect("MQTT", 4, 0x0a, "a"),
		"will retain without a will":   connect("MQTT", 5, 0x22, "a"),
		"will to a wildcard":           connect("MQTT", 4, 6, "a", "b/+", "x"),
		"user that is no UTF-8":        connect("MQTT", 5, 0x82, "a", "\xff"),
		"user without a flag":          connect("MQTT", 4, 2, "a", "alice"),
		"password without a user":      connect("MQTT", 4, 0x42, "a", "secret"),
		"more than the flags announce": connect("MQTT", 4, 2, "a", ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, nil)
				c := newClient(t, net.dial(t, ""), 4)
				c.send(p)
				c.wantClosed()
			})
		})
	}
}

// An empty will and an empty password are allowed; mochi refuses them.
func TestEmptyWillIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		watcher := letIn(t, net.dial(t, ""), hello{id: "watcher"})
		watcher.subscribe("gone")
		c := letIn(t, net.dial(t, ""), hello{id: "a", will: &will{topic: "gone"}})
		c.Close()
		watcher.wantMessage("gone", "")
	})
}

func TestMisplacedWildcardIsNoFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		filters := []string{"a#", "a+", "+a/b", "a/#/b", "##", "#", "+", "a/+/b/#", "+/+", "/"}
		c.send(c.subscription(filters...))
		want := slices.Concat([]byte{0x90, byte(2 + len(filters)), 0, 9}, bytes.Repeat([]byte{0x80}, 5), make([]byte, 5))
		c.want(want...)
	})
}
