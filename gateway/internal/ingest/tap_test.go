package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
)

// Whoever asks why a device gives no readings sees each message and the reason.
func TestListenersHearWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		r.publish(0, "other/early", "1")
		ctx, cancel := context.WithCancel(t.Context())
		heard := r.Subscribe(ctx)
		payload := []byte("5")
		if _, err := r.Accept(ctx, ingest.Message{Client: "c", Topic: "other/a", Payload: payload}); err != nil {
			t.Fatal(err)
		}
		payload[0] = 'x' // the broker uses it again
		_, _ = r.Accept(ctx, ingest.Message{Topic: "other/a", Payload: []byte("6"), QoS: 1})
		r.publish(0, "other/a", "x")
		r.publish(0, "cmnd/a/POWER", "1")
		r.publish(0, "$SYS/broker/uptime", "1")
		r.publish(0, "tele/a/STATE", "{}")
		r.publish(0, "tele/a/LWT", "Online")
		r.publish(0, "tele/a/SENSOR", `{"DS18B20":{"Temperature":-127}}`)
		r.publish(0, "nobody/knows", "1")
		if err := r.Put(power("soil", "ads1115", 1)); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		r.publish(0, "other/late", "1")
		var got []string
		for h := range heard {
			got = append(got, fmt.Sprintf("%s %s %d %s: %s", h.Message.Topic, h.Message.Payload, len(h.Readings), h.Source, h.Reason))
		}
		want := []string{
			"other/a 5 1 other: ",
			`other/a 6 1 other: store message on "other/a": there is no buffer to keep readings in`,
			"other/a x 0 other: not a decimal number",
			"cmnd/a/POWER 1 0 : the topic is a command, a system topic or the gateway's own",
			"$SYS/broker/uptime 1 0 : the topic is a command, a system topic or the gateway's own",
			"tele/a/STATE {} 0 tasmota: it measures nothing",
			"tele/a/LWT Online 0 tasmota: it says that the device came or went",
			`tele/a/SENSOR {"DS18B20":{"Temperature":-127}} 0 tasmota: its values stand for "none"`,
			"nobody/knows 1 0 : no dialect reads this topic",
			"  1 ads1115: ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("heard differs (-want +got):\n%s", diff)
		}
	})
}

// A terminal that stands still holds nobody up.
func TestASlowListenerMissesSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow, quick := r.Subscribe(ctx), r.Subscribe(ctx)
		for n := range 1000 {
			r.publish(0, "other/a", fmt.Sprint(n))
			if h := <-quick; string(h.Message.Payload) != fmt.Sprint(n) {
				t.Fatalf("the quick one hears %s, want %d", h.Message.Payload, n)
			}
		}
		if len(slow) == 0 || len(slow) == 1000 {
			t.Errorf("the slow one has %d waiting", len(slow))
		}
	})
}
