package broker_test

import (
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
	p := newPipes()
	return run(t.Context(), t, newStore(), broker.Listener{Socket: p, Anonymous: true}, edit), p
}
