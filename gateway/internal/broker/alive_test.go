package broker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// The watchdog asks whether the broker moves. Neither a full buffer nor a
// hanging card is a reason to restart it.
func TestAliveNeedsOnlyTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		r.store.hold()
		c.publish("a", 1, 1, "x")
		synctest.Wait()
		r.store.refuseWith(errors.New("buffer is full"))
		for range 3 {
			if err := r.Alive(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if s := r.Stats(); s.Connections != 1 || s.Sessions != 1 || s.Lost != 0 {
			t.Errorf("stats %+v, want the one client alone", s)
		}
		if got := len(r.store.all()); got != 1 {
			t.Errorf("%d messages stored, want 1", got)
		}
	})
}

func TestAliveFailsWhenTheBrokerDoesNotRun(t *testing.T) {
	o := broker.Options{Listen: []broker.Listener{{Addr: "127.0.0.1:0"}}, Accept: newStore().accept, Wait: newStore().wait}
	b, err := broker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Alive(t.Context()); err == nil {
		t.Error("a broker that was not started is alive")
	}
	r := start(t, nil)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Alive(t.Context()); err == nil {
		t.Error("a broker that was stopped is alive")
	}
}

// A broker that hangs is found out: here one client's message hangs in Accept
// for ever, which does not matter, and then ctx ends before the answer came.
func TestAliveEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := inBubble(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		cancel()
		if err := r.Alive(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the context was canceled", err)
		}
	})
}
