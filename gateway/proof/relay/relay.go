// Package relay is a TCP relay that does to connections what a home network
// does: it cuts them, forgets one end of them, swallows everything, trickles,
// reads slowly, delays, and refuses.
//
// What it does may change at any moment and for each direction alone; it holds
// at once for the connections that are there and for those that come. Bytes are
// passed on in order and unchanged, or the connection they belong to is over.
// It guarantees that no goroutine of it is left when Close returns.
//
// It stands above TCP: the kernel of this machine acknowledges what a vanished
// end would not, up to the size of a socket's buffers. Loss and reordering of
// packets, which TCP hides from programs anyway, are not played.
package relay

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Side is one end of a connection, and the direction of what it sends.
type Side int

const (
	Client Side = iota // who connects to the relay
	Server             // the target
)

// Other is the opposite end.
func (s Side) Other() Side { return 1 - s }

func (s Side) String() string { return [...]string{"client", "server"}[s] }

// A Flow is how bytes get from a side to the other. The zero value passes them
// on as they come.
type Flow struct {
	// Stopped takes nothing from the sender and passes nothing on, until
	// another flow is set: a black hole, and for the sender a reader that has
	// frozen, once the buffers between are full.
	Stopped bool
	Rate    int           // bytes a second, taken and passed on one by one; 0: no limit
	Delay   time.Duration // every piece is passed on so much later
}

// An End is how a connection is cut.
type End int

const (
	Reset  End = iota // RST to both ends: a router that restarted and knows nothing
	Finish            // FIN to both ends, behind what was passed on: an orderly close
)

// dialTimeout is for a target on the same machine.
const dialTimeout = 5 * time.Second

// bufferBytes keeps the kernel from taking megabytes for a reader that has
// stopped.
const bufferBytes = 16 << 10

// A Relay listens at one address and connects to another. Its methods may be
// called by any goroutine.
type Relay struct {
	address, target string
	all             sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	flows    [2]Flow      // by the side that sends
	changed  chan struct{}
	pairs    map[*pair]struct{}
	made     int
	closed   bool
}

// Listen relays from address to target until Close.
func Listen(address, target string) (*Relay, error) {
	r := &Relay{address: address, target: target, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	if err := r.Admit(); err != nil {
		return nil, err
	}
	return r, nil
}

// Addr is where the relay listens, also while it refuses.
func (r *Relay) Addr() string { return r.address }

// Set changes how bytes flow that side sends.
func (r *Relay) Set(side Side, f Flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows[side] = f
	close(r.changed)
	r.changed = make(chan struct{})
}

// Refuse lets no more connections be made, as a host without the program does.
// Those that are there stay.
func (r *Relay) Refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse()
}

// refuse is called with mu.
func (r *Relay) refuse() {
	if r.listener != nil {
		_ = r.listener.Close() // nothing is lost with a listener
		r.listener = nil
	}
}

// Admit ends Refuse.
func (r *Relay) Admit() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener != nil || r.closed {
		return nil
	}
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	r.listener = l
	r.address = l.Addr().String()
	r.all.Go(func() { r.accept(l) })
	return nil
}

// Cut ends all present connections, half-open ones as well, and returns how
// many there were.
func (r *Relay) Cut(how End) int {
	present := r.present()
	for _, p := range present {
		p.cut(how)
	}
	return len(present)
}

// Vanish makes all present connections half-open: side is gone and learns so by
// an RST, the other end is told nothing, and what it sends is swallowed.
func (r *Relay) Vanish(side Side) int {
	present := r.present()
	for _, p := range present {
		p.vanish(side)
	}
	return len(present)
}

// Open is the number of connections, half-open ones included.
func (r *Relay) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pairs)
}

// Made is the number of connections so far.
func (r *Relay) Made() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made
}

// Close cuts everything and returns when nothing of the relay is left.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.refuse()
	r.mu.Unlock()
	r.Cut(Reset)
	r.all.Wait()
}

func (r *Relay) present() []*pair {
	r.mu.Lock()
	defer r.mu.Unlock()
	present := make([]*pair, 0, len(r.pairs))
	for p := range r.pairs {
		present = append(present, p)
	}
	return present
}

func (r *Relay) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client's own doing: it gave up before it was accepted
		}
		r.all.Go(func() { r.serve(conn.(*net.TCPConn)) })
	}
}

// serve lives as long as its connection. A target that cannot be reached looks
// like a connection that is reset.
func (r *Relay) serve(client *net.TCPConn) {
	server, err := net.DialTimeout("tcp", r.target, dialTimeout)
	if err != nil {
		reset(client)
		return
	}
	p := newPair(r, client, server.(*net.TCPConn))
	if !r.add(p) {
		p.cut(Reset)
	}
	p.run()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pairs, p)
}

// add is false once the relay is closed: Close has cut what it found, and would
// wait for this one.
func (r *Relay) add(p *pair) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pairs[p] = struct{}{}
	r.made++
	return !r.closed
}

// flow is how bytes of side flow at the moment, and what is closed when that
// changes.
func (r *Relay) flow(side Side) (Flow, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flows[side], r.changed
}
