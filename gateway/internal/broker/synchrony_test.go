package broker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// The contract's first line. A power cut while the card hangs must not find a
// device that was told its reading is safe.
func TestUnstoredIsNotAcknowledged(t *testing.T) {
	for _, version := range []byte{4, 5} {
		for qos, answer := range map[byte]byte{1: puback, 2: pubrec} {
			t.Run(fmt.Sprintf("v%d qos %d", version, qos), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, net := inBubble(t, nil)
					c := letIn(t, net.dial(t, ""), hello{version: version, id: "washer"})
					r.store.hold()
					c.publish("tele/washer/SENSOR", qos, 7, "{}")
					c.wantSilence(30 * time.Second)
					r.store.release()
					c.want(ack(answer, 7)...)
				})
			})
		}
	}
}

// A device whose answer does not come reconnects and sends again. mochi answers
// a resent QoS 2 message from memory, on the new connection: that answer must
// wait for the same commit.
func TestUnstoredIsNotAcknowledgedOnNewConnection(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				h := hello{version: version, id: "washer", keep: true}
				if version == 5 {
					h.properties = []byte{0x11, 0, 0, 0, 100} // Session Expiry Interval
				}
				first := letIn(t, net.dial(t, ""), h)
				r.store.hold()
				first.publish("a", 2, 7, "x")
				synctest.Wait()
				first.Close()

				second := newClient(t, net.dial(t, ""), version)
				second.send(h.bytes())
				second.send(second.message(dup, "a", 2, 7, "x"))
				second.wantSilence(30 * time.Second)
				r.store.release()
				if head, body := second.packet(); head != 0x20 || body[0] != 1 {
					t.Fatalf("got %x %x, want a CONNACK with session present", head, body)
				}
				second.want(ack(pubrec, 7)...) // mochi resends it by itself
				second.want(ack(pubrec, 7)...) // and answers the resent message
				second.send(ack(pubrel, 7))
				second.want(ack(pubcomp, 7)...)
				if got := len(r.store.all()); got != 1 {
					t.Errorf("%d messages stored, want 1", got)
				}
			})
		})
	}
}

// A card that fails: what is in flight was not stored, and no client may learn
// otherwise.
func TestFailedCommitClosesUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		a := letIn(t, net.dial(t, ""), hello{id: "a"})
		b := letIn(t, net.dial(t, ""), hello{id: "b"})
		r.store.hold()
		a.publish("a", 1, 1, "x")
		b.publish("b", 2, 1, "x")
		synctest.Wait()
		r.store.fail()
		a.wantClosed()
		b.wantClosed()
	})
}

// Answers keep their order, and what needs no commit does not overtake what
// does: a PINGRESP that passed a PUBACK would tell nothing, but a client may
// rely on the order of the answers.
func TestAnswersKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		r.store.hold()
		c.publish("a", 1, 1, "x")
		c.send(ping)
		c.publish("a", 2, 2, "x")
		c.wantSilence(time.Second)
		r.store.release()
		c.want(ack(puback, 1)...)
		c.want(pong...)
		c.want(ack(pubrec, 2)...)
	})
}

// QoS 0 waits for nothing and makes nothing wait: its answers would otherwise
// cost a commit each, and the card's life with them.
func TestQoS0AsksForNoCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		r.store.hold()
		c.publish("a", 0, 0, "x")
		c.ping()
		if got := r.store.askedFor(); got != 0 {
			t.Errorf("a commit through %d was asked for, want none", got)
		}
	})
}

// A hanging card stops no one who does not wait for it.
func TestHeldAnswersDelayNoOtherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		a := letIn(t, net.dial(t, ""), hello{id: "a"})
		b := letIn(t, net.dial(t, ""), hello{id: "b"})
		r.store.hold()
		a.publish("a", 1, 1, "x")
		synctest.Wait()
		b.subscribe("#")
		b.publish("b", 0, 0, "x")
		b.wantMessage("b", "x")
	})
}

// The table of what mochi makes of an error in its hook: as success, as the
// wrong packet, or as a panic. Here each one disconnects the client unanswered,
// and its next messages too are not answered;
// nor does anyone else get what will be sent again.
func TestRefusedIsNotAcknowledged(t *testing.T) {
	refusals := map[string]error{
		"plain":   errors.New("buffer is full"),
		"wrapped": fmt.Errorf("append: %w", errQuota),
		"quota":   errQuota,
		"reject":  errReject,
		"ignore":  errIgnore,
	}
	for name, refusal := range refusals {
		for _, version := range []byte{4, 5} {
			for _, qos := range []byte{1, 2} {
				t.Run(fmt.Sprintf("%s v%d qos %d", name, version, qos), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r, net := inBubble(t, nil)
						other := letIn(t, net.dial(t, ""), hello{id: "other"})
						other.subscribe("#")
						c := letIn(t, net.dial(t, ""), hello{id: "a", version: version})
						r.store.refuseWith(refusal)
						c.send(append(c.message(retain, "a", qos, 1, "x"), c.message(0, "a", qos, 2, "x")...))
						c.wantClosed()
						other.ping() // and no message before
						synctest.Wait()
						if s := r.Stats(); s.Retained != 0 || s.Panics != 0 {
							t.Errorf("%d messages retained, %d panics", s.Retained, s.Panics)
						}
					})
				})
			}
		}
	}
}

// The gateway is the home's broker: a full buffer does not stop a message that
// nobody waits for from switching the light.
func TestRefusedQoS0StaysConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		c.subscribe("a")
		r.store.refuseWith(errors.New("buffer is full"))
		c.publish("a", 0, 0, "x")
		c.wantMessage("a", "x")
	})
}

// With a full buffer fifty sockets that resend at once would do nothing but
// reconnect. Each stays away a while, twice as long each time, a minute at
// most; and the first message that is taken ends it.
func TestRefusedClientStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		r.store.refuseWith(errors.New("buffer is full"))
		for _, wait := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
			letIn(t, net.dial(t, ""), hello{id: "a"}).publish("a", 1, 1, "x")
			time.Sleep(time.Duration(wait)*time.Second - time.Millisecond)
			early := newClient(t, net.dial(t, ""), 4)
			early.send(hello{id: "a"}.bytes())
			early.want(0x20, 2, 0, 3) // server unavailable
			early.wantClosed()
			time.Sleep(time.Millisecond)
		}
		r.store.refuseWith(nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		c.publish("a", 1, 1, "x")
		c.want(ack(puback, 1)...)
		letIn(t, net.dial(t, ""), hello{id: "b"})
	})
}

// A commit frees the answers to many messages. One write for each would cost as
// much as all the rest.
func TestAnswersOfOneCommitLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		r.store.hold()
		for id := range uint16(50) {
			c.publish("a", 1, id+1, "x")
		}
		synctest.Wait()
		r.store.release()
		if n, err := c.Conn.Read(make([]byte, 1000)); n != 50*4 {
			t.Errorf("one read got %d bytes (%v), want %d", n, err, 50*4)
		}
	})
}

// A connection that mochi closes still gets what becomes durable within two
// seconds; here another took its session over.
func TestClosedConnectionGetsItsAnswers(t *testing.T) {
	for wait, answered := range map[time.Duration]bool{1900 * time.Millisecond: true, 2100 * time.Millisecond: false} {
		t.Run(wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				c := letIn(t, net.dial(t, ""), hello{id: "a"})
				r.store.hold()
				c.publish("a", 1, 1, "x")
				synctest.Wait()
				if _, err := net.dial(t, "").Write(hello{id: "a"}.bytes()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(wait)
				r.store.release()
				if answered {
					c.want(ack(puback, 1)...)
				}
				c.wantClosed()
			})
		})
	}
}

// The end of the gateway is a crash with manners: the last commit comes within
// a second or not at all.
func TestStopSendsWhatIsStored(t *testing.T) {
	for wait, answered := range map[time.Duration]bool{900 * time.Millisecond: true, 1100 * time.Millisecond: false} {
		t.Run(wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				a := letIn(t, net.dial(t, ""), hello{id: "a"})
				b := letIn(t, net.dial(t, ""), hello{id: "b"})
				r.store.hold()
				a.publish("a", 1, 1, "x")
				b.publish("b", 1, 1, "x")
				synctest.Wait()
				go r.stop()
				time.Sleep(wait)
				r.store.release()
				r.store.commit() // its own goroutine has stopped
				if answered {
					a.want(ack(puback, 1)...)
					b.want(ack(puback, 1)...)
				}
				a.wantClosed()
				b.wantClosed()
			})
		})
	}
}

// A slow card slows the senders. Without a bound a device that sends faster
// than the card writes would fill the memory with answers.
func TestHeldAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Limits.HeldBytes = 4000 })
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		r.store.hold()
		go func() {
			for id := range uint16(1000) {
				if _, err := c.Write(c.message(0, "a", 1, id+1, "x")); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if got := len(r.store.all()); got < 10 || got > 200 {
			t.Errorf("%d messages were taken while the card hung, want about 100", got)
		}
		r.store.release()
		for id := range uint16(1000) {
			c.want(ack(puback, id+1)...)
		}
	})
}
