package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// acceptPause is how long the broker waits after it could not accept: as long
// as it has no file descriptor, asking again at once only burns the processor.
const acceptPause = 50 * time.Millisecond

func (b *Broker) listen(ctx context.Context) ([]net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1} // probe sets it
	var sockets []net.Listener
	var addrs []net.Addr
	for _, l := range b.options.Listen {
		s := l.Socket
		if s == nil {
			var err error
			if s, err = config.Listen(ctx, "tcp", l.Addr); err != nil {
				return nil, errors.Join(fmt.Errorf("broker: %w", err), closeAll(sockets))
			}
		}
		sockets, addrs = append(sockets, s), append(addrs, s.Addr())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = addrs
	return sockets, nil
}

// probe makes the system ask whether the other side is still there: a device
// whose network is gone sends nothing any more, not even an end, and may have
// been allowed to be silent for ever. After a minute without an answer its
// connection ends. systemd's sockets have no such probes.
func probe(socket net.Conn) {
	if tcp, ok := socket.(*net.TCPConn); ok {
		// It fails for a socket that is closed already, which shows soon enough.
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
	}
}

func closeAll(sockets []net.Listener) (err error) {
	for _, s := range sockets {
		err = errors.Join(err, s.Close())
	}
	return err
}

// acceptLoop outlives every error but the end: a gateway that is out of file
// descriptors for a moment must not be deaf afterwards.
func (b *Broker) acceptLoop(ctx context.Context, s net.Listener, l Listener) error {
	var failing bool
	for {
		socket, err := s.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = socket.Close() // came a moment too late
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("broker: accept on %s: %w", s.Addr(), err)
		case err != nil:
			b.counters.refuse(refusedAccept)
			if !failing {
				b.log.Warn("broker takes no connections", "listener", s.Addr().String(), "error", err)
			}
			failing = true
			pause(ctx, acceptPause)
		default:
			if failing {
				b.log.Info("broker takes connections again", "listener", s.Addr().String())
			}
			failing = false
			b.admit(ctx, socket, &l)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// admit serves a connection, unless it is one too many or comes from where it
// may not.
func (b *Broker) admit(ctx context.Context, socket net.Conn, l *Listener) {
	probe(socket)
	c, ctx := newConn(ctx, socket, &b.options.Limits)
	c.listener = l
	c.slowed = func(r refusal, since time.Time, wait time.Duration) { b.slowed(c, r, since, wait) }
	c.cutOff = func(r refusal) { b.cutOff(c, r) }
	if l.TLS != nil {
		c.Conn = tls.Server(socket, l.TLS)
	}
	c.from = addrOf(socket.RemoteAddr())
	c.local = b.counters.peers.local(c.from)
	if l.TLS == nil && !c.local {
		b.turnAway(c, refusedPeer)
		return
	}
	if reason, ok := b.conns.add(c); !ok {
		b.turnAway(c, reason)
		return
	}
	if !b.start(ctx, c) {
		b.conns.remove(c)
		c.abandon()
	}
}

func (b *Broker) turnAway(c *conn, reason refusal) {
	b.refuse(c, reason, TurnedAway, "", "", "connection turned away")
	c.abandon()
}

// start runs the two goroutines of a connection, if the broker is not stopping.
func (b *Broker) start(ctx context.Context, c *conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.serving == nil {
		return false
	}
	g := gate{b.options.Wait, b.options.Durable}
	b.serving.Go(func() {
		if err := c.write(ctx, g); err != nil && !c.internal {
			b.counters.losses.Add(1)
			b.log.Debug("connection closed", "address", c.from.String(), "error", err)
		}
	})
	b.serving.Go(func() { b.serve(ctx, c) })
	return true
}

// serve runs mochi on a connection and closes it.
func (b *Broker) serve(ctx context.Context, c *conn) {
	defer b.conns.remove(c)
	defer c.finish()
	if err := c.handshake(ctx); err != nil {
		b.counters.refuse(refusedTLS)
		b.log.Debug("connection closed", "address", c.from.String(), "error", err)
		c.abandon()
		return
	}
	err := b.establish(c)
	c.handover.end() // a panic may have left it
	b.log.Debug("connection closed", "address", c.from.String(), "error", err)
	b.settle(ctx, c)
}

// handshake sets the deadline for CONNECT. A TLS handshake has twice that time:
// an ESP8266 takes seconds for it.
func (c *conn) handshake(ctx context.Context) error {
	if t, ok := c.Conn.(*tls.Conn); ok {
		ctx, cancel := context.WithTimeout(ctx, 2*c.limits.ConnectTimeout)
		defer cancel()
		if err := t.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
	}
	return c.Conn.SetReadDeadline(time.Now().Add(c.limits.ConnectTimeout))
}

// establish hands the connection to mochi, which decodes in this goroutine. Its
// decoder indexes out of range for an MQTT 5 SUBSCRIBE without options (issue
// 501), and nothing in it recovers: eight bytes would end the process.
func (b *Broker) establish(c *conn) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err = fmt.Errorf("panic: %v", p)
		if b.counters.panicked() {
			b.log.Error("packet of a client made the MQTT library panic; it was disconnected",
				"client", c.id(), "address", c.from.String(), "error", err, "stack", string(debug.Stack()))
		}
		c.reader.willOwed = true
	}()
	return b.server.EstablishConnection("plantgate", c)
}

// settle does what mochi leaves undone when it ends a connection by a panic, or
// between taking the session over and answering, or because someone else closed
// it.
func (b *Broker) settle(ctx context.Context, c *conn) {
	cl := c.client.Load()
	if cl == nil {
		return
	}
	if !c.reader.ended {
		cl.Stop(packets.ErrUnspecifiedError)
		b.dropClient(cl)
	}
	if c.reader.willOwed {
		b.publishWill(ctx, c, cl)
	}
	b.sessions.detached(c, cl.ID)
}

// dropClient is what mochi does at the end of attachClient.
func (b *Broker) dropClient(cl *mqtt.Client) {
	if known, ok := b.server.Clients.Get(cl.ID); !ok || known != cl || cl.IsTakenOver() {
		return
	}
	v5 := cl.Properties.ProtocolVersion == 5
	if v5 && cl.Properties.Props.SessionExpiryInterval > 0 || !v5 && !cl.Properties.Clean {
		return // the session waits for the client
	}
	cl.ClearInflights()
	b.server.UnsubscribeClient(cl)
	b.server.Clients.Delete(cl.ID)
}

func (c *conn) id() string {
	if cl := c.client.Load(); cl != nil {
		return cl.ID
	}
	return ""
}

// A connSet is the connections there are, and where they come from.
type connSet struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
	from  map[netip.Prefix]*origin
}

func (s *connSet) add(c *conn) (reason refusal, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns, s.from = make(map[*conn]struct{}), make(map[netip.Prefix]*origin)
	}
	if !c.internal {
		o := s.originOf(c.from)
		switch {
		case len(s.conns) >= c.limits.Connections:
			return refusedLimit, false
		case int(o.conns.Load()) >= c.limits.PerAddress:
			return refusedAddress, false
		}
		o.conns.Add(1)
		c.origin = o
	}
	s.conns[c] = struct{}{}
	return 0, true
}

func (s *connSet) originOf(a netip.Addr) *origin {
	p := network(a)
	o := s.from[p]
	if o == nil {
		o = new(origin)
		s.from[p] = o
	}
	return o
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	if c.origin != nil {
		c.origin.conns.Add(-1)
	}
}

// sweep forgets addresses that nobody is connected from and that owe nothing.
func (s *connSet) sweep(l *Limits, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, o := range s.from {
		if o.conns.Load() == 0 && o.calm(l, now) {
			delete(s.from, p)
		}
	}
}

func (s *connSet) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}
