package broker_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
	"github.com/plantgate/plantgate/gateway/internal/users"
)

// FuzzSession sends a client's bytes, with and without a CONNECT before them
// that is let in, and then asks whether the broker still serves another.
func FuzzSession(f *testing.F) {
	v3, v5 := &client{version: 4}, &client{version: 5}
	seeds := [][]byte{
		{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61}, // ends stock mochi
		v3.message(retain, "a", 1, 1, "x"),
		append(v3.message(0, "a", 2, 1, "x"), ack(pubrel, 1)...),
		append(v5.message(dup, "a", 2, 1, "x"), ack(pubrel, 1)...),
		v5.subscription("a/#", "+/b", "$share/g/a"),
		frame(0xa2, append([]byte{0, 1, 0}, str("a")...)),
		hello{id: "a", version: 5, will: &will{topic: "a", payload: "b"}}.bytes(),
		{0xf0, 0x02, 0x18, 0x00},
		{0x30, 0x80, 0x80, 0x80, 0x80, 0x80},
		append(ping, disconnect...),
	}
	for _, s := range seeds {
		f.Add(byte(4), s)
		f.Add(byte(5), s)
		f.Add(byte(0), append(hello{id: "b"}.bytes(), s...))
	}
	w, net := fuzzed(f, nil)
	f.Fuzz(func(t *testing.T, version byte, input []byte) {
		if version == 4 || version == 5 {
			input = append(hello{id: "fuzz", version: version}.bytes(), input...)
		}
		s := connect(t, net, version)
		s.write(input)
		s.leave()
		w.serves(t)
	})
}

// FuzzConversation lets one or two clients say whole packets, in any order, with
// ids and topics that meet; here and there one of them is spoilt. Whatever they
// say, what the broker answers is legal, no message is acknowledged before it is
// durable, and each is answered while the connection lives.
func FuzzConversation(f *testing.F) {
	for _, head := range []byte{0, 1, 2, 3, 8, 0x10, 0x15, 0x18, 0x2b, 0x3f} {
		f.Add([]byte{head, sayPublish1, 1, 0, sayPublish2, 2, 0, sayRelease, 2, sayPing})
		f.Add([]byte{head, saySubscribe, 0, 0, 1, sayPublish1 | second, 1, 0, sayPublish1, 2, 0, sayPing})
		f.Add([]byte{head, saySubscribe, 2, 0, 7, sayPublish0 | second, 0, 1, sayPublish1 | second, 1, 1, sayUnsubscribe, 0})
		f.Add([]byte{head, sayPublish2, 1, 2, sayReconnect, 1, sayPublish2, 1 | isDup, 2, sayRelease, 1, sayPublish2, 1, 2})
		f.Add([]byte{head, sayProperties, 1, 0, 0xff, saySpoil, 3, 0x80, sayPublish1, 1, 0, sayHello, 0})
		f.Add([]byte{head, sayRaw, 4, 0x82, 0x02, 0x00, 0x01, sayFrame, 0x62, 2, 0, 1, sayDisconnect, 4})
		f.Add([]byte{head, sayPublish1, 1 | isRetained, 0, sayPublish1, 1, 3, sayPublish2, 1, 4, saySubscribe, 0, 3, 3, sayAuth, sayAnswer, 1, 1})
	}
	l := new(fuzzLedger)
	w, net := fuzzed(f, l)
	f.Fuzz(func(t *testing.T, script []byte) {
		c := newConversation(t, net, l, script)
		c.run()
		w.serves(t)
	})
}

// fuzzed runs a broker on a network in memory: a million connections would use
// up the ports of the machine.
func fuzzed(f *testing.F, l *fuzzLedger) (*warden, *pipes) {
	f.Helper()
	net := newPipes()
	r := start(f, func(o *broker.Options) {
		o.Listen = []broker.Listener{{Socket: net, Anonymous: true, AnonymousRole: users.Home}}
		o.Log = nil
		o.Limits.DrainTimeout = 50 * time.Millisecond
		const any = 1 << 30 // nobody here is to be slowed down
		o.Limits.Messages, o.Limits.AddressMessages, o.Limits.Bytes, o.Limits.AddressBytes = any, any, any, any
		if l != nil {
			l.store = o.Accept
			o.Accept = l.accept
		}
	})
	r.store.forget = true
	// An answer that leaves before the commit must have time to be seen.
	r.store.sync = func() error {
		for range 10 {
			runtime.Gosched()
		}
		return nil
	}
	if l != nil {
		l.durable = r.store.durableNumber
	}
	return &warden{rig: r}, net
}

// patience bounds every wait for the broker.
const patience = 10 * time.Second

// maxGoroutines is far above what the connections of one input need, and what
// those of the last few inputs still need while they end.
const maxGoroutines = 2000

// A warden looks after a broker from one input to the next.
type warden struct {
	*rig
	inputs int
}

// serves checks that the broker serves another client, at every input, and now
// and then that it does not keep what the clients cost.
func (w *warden) serves(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.Alive(ctx); err != nil {
		t.Fatal(err)
	}
	if w.inputs++; w.inputs%64 != 0 {
		return
	}
	if n := runtime.NumGoroutine(); n > maxGoroutines {
		t.Fatalf("%d goroutines", n)
	}
	deadline := time.Now().Add(patience)
	for w.Stats().Connections > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond) // real connections end in real time
	}
	if s := w.Stats(); s.Connections > 0 || s.HeldBytes > 0 {
		t.Fatalf("after all clients have left: %+v", s)
	}
}
