package broker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A stream of packets that a socket may send: the broker takes some of them
// itself and gives the others to the MQTT library, and nobody may notice which.
func mixed(c *client) (packets [][]byte, want []string, answers [][]byte) {
	add := func(taken string, answer []byte, p []byte) {
		packets = append(packets, p)
		if taken != "" {
			want = append(want, taken)
		}
		if answer != nil {
			answers = append(answers, answer)
		}
	}
	add("a 0", nil, c.message(0, "tele/a", 0, 0, "0"))
	add("a 1", ack(puback, 1), c.message(0, "tele/a", 1, 1, "1"))
	add("", pong, ping)
	add("a 2", ack(puback, 2), c.message(dup, "tele/a", 1, 2, "2"))
	add("heard 3", ack(puback, 3), c.message(0, "tele/heard", 1, 3, "3")) // somebody subscribes to it
	add("a 4", ack(puback, 4), c.message(0, "tele/a", 1, 4, "4"))
	add("kept 5", ack(puback, 5), c.message(retain, "tele/kept", 1, 5, "5"))
	add("b 6", ack(puback, 6), c.message(0, "tele/b", 1, 6, "6"))
	add("a 7", ack(pubrec, 7), c.message(0, "tele/a", 2, 7, "7"))
	add("a 8", ack(puback, 8), c.message(0, "tele/a", 1, 8, "8")) // QoS 2 is under way
	add("", ack(pubcomp, 7), ack(pubrel, 7))
	add("a 9", ack(puback, 9), c.message(0, "tele/a", 1, 9, "9"))
	return packets, want, answers
}

func contents(all []broker.Message) (found []string) {
	for _, m := range all {
		found = append(found, fmt.Sprintf("%s %s", m.Topic[len("tele/"):], m.Payload))
	}
	return found
}

// However a network cuts the stream, and in whatever company a message comes,
// each is taken once, in order, and answered in order.
func TestMessagesInAnyPiecesAreTakenOnceInOrder(t *testing.T) {
	for version := byte(4); version <= 5; version++ {
		for size := 1; size < 90; size++ {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				letIn(t, net.dial(t, ""), hello{id: "dashboard"}).subscribe("tele/heard")
				c := letIn(t, net.dial(t, ""), hello{id: "socket", version: version})
				packets, want, answers := mixed(c)
				var stream []byte
				for _, p := range packets {
					stream = append(stream, p...)
				}
				go func() {
					for len(stream) > 0 {
						n := min(size, len(stream))
						if _, err := c.Write(stream[:n]); err != nil {
							t.Error(err)
							return
						}
						stream = stream[n:]
					}
				}()
				for _, a := range answers {
					c.want(a...)
				}
				synctest.Wait()
				if got := contents(r.store.all()); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("version %d, pieces of %d bytes: got %v, want %v", version, size, got, want)
				}
			})
		}
	}
}

// A dashboard that subscribes while a socket sends gets what comes from then on:
// that nobody subscribed before must not be remembered.
func TestSubscriptionCountsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		socket := letIn(t, net.dial(t, ""), hello{id: "socket"})
		dashboard := letIn(t, net.dial(t, ""), hello{id: "dashboard", keep: true})
		for round := range 3 {
			filter := fmt.Sprintf("tele/%d/+", round)
			topic := fmt.Sprintf("tele/%d/SENSOR", round)
			socket.send(socket.message(0, topic, 1, 1, "before"))
			socket.want(ack(puback, 1)...)
			dashboard.subscribe(filter)
			socket.send(socket.message(0, topic, 1, 2, "after"))
			socket.want(ack(puback, 2)...)
			dashboard.wantMessage(topic, "after")
		}
		dashboard.Close()
		again := letIn(t, net.dial(t, ""), hello{id: "dashboard", keep: true}) // its subscriptions come back
		socket.send(socket.message(0, "tele/0/SENSOR", 1, 3, "again"))
		socket.want(ack(puback, 3)...)
		again.wantMessage("tele/0/SENSOR", "again")
	})
}

// What is not as it should be is refused as before, also behind messages that
// are.
func TestWrongPacketsAmongGoodOnesAreRefused(t *testing.T) {
	for name, wrong := range map[string][]byte{
		"packet identifier 0":   frame(0x32, append(str("tele/a"), 0, 0, 'x')),
		"wildcard in a topic":   frame(0x32, append(str("tele/+"), 0, 9, 'x')),
		"topic without end":     frame(0x32, []byte{0, 200, 'x'}),
		"QoS 3":                 frame(0x36, append(str("tele/a"), 0, 9, 'x')),
		"DUP with QoS 0":        frame(0x38, append(str("tele/a"), 'x')),
		"topic that is no text": frame(0x32, append(str("tele/\xff"), 0, 9, 'x')),
		"length without end":    {0x32, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				c := letIn(t, net.dial(t, ""), hello{id: "socket"})
				c.send(append(c.message(0, "tele/a", 1, 1, "good"), wrong...))
				c.want(ack(puback, 1)...)
				for {
					if _, _, err := c.read(time.Minute); err != nil {
						break
					}
				}
				if got := contents(r.store.all()); fmt.Sprint(got) != "[a good]" {
					t.Errorf("taken: %v", got)
				}
			})
		})
	}
}
