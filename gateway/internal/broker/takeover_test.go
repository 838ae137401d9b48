package broker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A socket on a bad Wi-Fi connects anew while a message of its old connection
// is still being taken in, and sends that message again: QoS 2 is exactly once
// while the gateway runs, so it is taken once.
func TestMessageUnderWayAtTakeoverIsTakenOnce(t *testing.T) {
	for _, version := range []byte{4, 5} {
		synctest.Test(t, func(t *testing.T) {
			taken, slow := make(chan broker.Message, 10), make(chan struct{})
			r, net := inBubble(t, func(o *broker.Options) {
				accept := o.Accept
				o.Accept = func(ctx context.Context, m broker.Message) (uint64, error) {
					taken <- m
					<-slow
					return accept(ctx, m)
				}
			})
			_ = r
			h := hello{id: "washer", version: version, keep: true}
			if version == 5 {
				h.properties = []byte{0x11, 0, 0, 0x0e, 0x10} // session expiry: an hour
			}
			old := letIn(t, net.dial(t, ""), h)
			old.publish("tele/washer/SENSOR", 2, 7, "1")
			<-taken

			again := newClient(t, net.dial(t, ""), version)
			again.send(h.bytes())
			time.Sleep(time.Second)
			close(slow)
			again.packet() // CONNACK
			again.send(again.message(0x08, "tele/washer/SENSOR", 2, 7, "1"))
			synctest.Wait()
			if n := len(taken); n != 0 {
				t.Errorf("version %d: the message was taken %d times more", version, n)
			}
		})
	}
}
