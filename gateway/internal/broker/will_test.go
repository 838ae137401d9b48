package broker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

var offline = &will{topic: "tele/washer/LWT", payload: "Offline", qos: 1, retain: true}

// How the death of a socket is known.
func TestBrokenConnectionPublishesTheWill(t *testing.T) {
	breaks := map[string]func(c *client){
		"closed":       func(c *client) { c.Close() },
		"silent":       func(*client) {},
		"not MQTT":     func(c *client) { c.send([]byte{0xf0, 0}) },
		"second hello": func(c *client) { c.send(hello{id: "washer"}.bytes()) },
	}
	for name, breakIt := range breaks {
		for _, version := range []byte{4, 5} {
			t.Run(fmt.Sprint(name, " v", version), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, net := inBubble(t, nil)
					other := letIn(t, net.dial(t, ""), hello{id: "other", forever: true})
					other.subscribe("tele/#")
					other.ping()
					other.patience = 200 * time.Second
					w := *offline
					w.delay = 3600 // is not kept: whoever waits for it learns it too late
					c := letIn(t, net.dial(t, ""), hello{id: "washer", version: version, will: &w})
					breakIt(c)
					other.wantMessage(w.topic, w.payload)
					synctest.Wait()
					got := r.store.all()
					if len(got) != 1 {
						t.Fatalf("stored %+v, want the will once", got)
					}
					if m := got[0]; !m.Will || !m.Retained || m.QoS != 1 || m.Client != "washer" || m.Topic != w.topic || string(m.Payload) != w.payload {
						t.Errorf("stored %+v, want the will", m)
					}
					wantRetained(t, letIn(t, net.dial(t, ""), hello{id: "late"}), map[string]string{w.topic: w.payload})
				})
			})
		}
	}
}

func TestFarewellPublishesNoWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "washer", will: offline})
		c.send(disconnect)
		c.wantClosed()
		synctest.Wait()
		if got := r.store.all(); len(got) != 0 {
			t.Errorf("stored %+v, want nothing", got)
		}
	})
}

// A socket whose Wi-Fi dropped for a moment comes back before its old
// connection is known to be dead. Its old will would leave it marked Offline
// while it works.
func TestTakeoverPublishesNoWill(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				other := letIn(t, net.dial(t, ""), hello{id: "other"})
				other.subscribe("#")
				other.ping()
				h := hello{id: "washer", version: version, will: offline}
				for range 3 {
					c := letIn(t, net.dial(t, ""), h)
					c.send(c.message(retain, offline.topic, 0, 0, "Online"))
					other.wantMessage(offline.topic, "Online")
				}
				synctest.Wait()
				other.ping()
				for _, m := range r.store.all() {
					if m.Will {
						t.Errorf("stored a will: %+v", m)
					}
				}
				wantRetained(t, letIn(t, net.dial(t, ""), hello{id: "late"}), map[string]string{offline.topic: "Online"})
			})
		})
	}
}

// A client that was disconnected because its message could not be stored did
// not say goodbye.
func TestRefusedClientsWillIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		other := letIn(t, net.dial(t, ""), hello{id: "other"})
		other.subscribe("#")
		other.ping()
		c := letIn(t, net.dial(t, ""), hello{id: "washer", will: offline})
		r.store.refuseWith(errors.New("buffer is full"))
		c.publish("a", 1, 1, "x")
		other.wantMessage(offline.topic, "Offline")
		c.wantClosed()
	})
}

// When the gateway stops the devices did not fall silent; but until it is back
// nobody watches them, so their last word of themselves must not stay Online.
func TestStopRetainsWillsButStoresNone(t *testing.T) {
	path := t.TempDir() + "/retained.db"
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "washer", will: offline})
		c.send(c.message(retain, offline.topic, 1, 1, "Online"))
		c.want(ack(puback, 1)...)
		time.Sleep(6 * time.Second) // nothing is left to save but the will
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if got := r.store.all(); len(got) != 1 {
			t.Errorf("stored %+v, want one message", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(path))
		wantRetained(t, letIn(t, net.dial(t, ""), hello{id: "late"}), map[string]string{offline.topic: "Offline"})
	})
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen within ten seconds")
		}
	}
}
