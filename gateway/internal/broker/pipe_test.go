package broker_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A network of pipes is a listener in memory: its clients work inside a bubble
// of testing/synctest, where hours take no time. A write to a client that does
// not read blocks, as it does when a real socket's buffers are full.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
	errs  chan error // what Accept fails with next
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), done: make(chan struct{}), errs: make(chan error)}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.errs:
		return nil, err
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return address("127.0.0.1:1883") }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

type piped struct {
	net.Conn
	from address
}

func (p piped) RemoteAddr() net.Addr { return p.from }

// dial connects from an address; "" is one of the home network.
func (p *pipes) dial(t testing.TB, from address) net.Conn {
	t.Helper()
	if from == "" {
		from = "192.168.1.20:5000"
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- piped{theirs, from}:
	case <-p.done:
		t.Fatal("listener is closed")
	}
	t.Cleanup(func() { ours.Close() })
	return ours
}

// inBubble runs a broker on pipes inside a bubble of synctest. It must be
// stopped before the bubble ends.
func inBubble(t *testing.T, edit func(*broker.Options)) (*rig, *pipes) {
	t.Helper()
	p, s := newPipes(), newStore()
	o := broker.Options{
		Listen: []broker.Listener{{Socket: p, Anonymous: true}},
		Accept: s.accept, Wait: s.wait, Durable: s.durableNumber,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if edit != nil {
		edit(&o)
	}
	b, err := broker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	ready, ended := make(chan struct{}), make(chan error, 1)
	running.Go(func() { ended <- b.Run(ctx, func() { close(ready) }) })
	stop := sync.OnceValue(func() error {
		cancel()
		running.Wait()
		return <-ended
	})
	r := &rig{Broker: b, store: s, stop: stop}
	t.Cleanup(r.end(t))
	<-ready
	return r, p
}
