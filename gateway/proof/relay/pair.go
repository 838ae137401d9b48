package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A pair is one connection through the relay: two sockets, and a goroutine for
// each direction.
type pair struct {
	relay   *Relay
	sockets [2]*net.TCPConn // by side
	swallow atomic.Bool     // nothing is passed on any more
	ending  chan struct{}   // closed when the pair is cut, in whatever way
	once    sync.Once
}

func newPair(r *Relay, client, server *net.TCPConn) *pair {
	p := &pair{relay: r, sockets: [2]*net.TCPConn{client, server}, ending: make(chan struct{})}
	for _, s := range p.sockets {
		_ = s.SetReadBuffer(bufferBytes)  // a wish; the kernel rounds it
		_ = s.SetWriteBuffer(bufferBytes) // the same
	}
	return p
}

// run returns when both directions are over.
func (p *pair) run() {
	var both sync.WaitGroup
	both.Go(func() { p.pump(Client) })
	both.Go(func() { p.pump(Server) })
	both.Wait()
	p.stop()
	for _, s := range p.sockets {
		_ = s.Close() // what could still go wrong concerns nobody
	}
}

// stop wakes what waits for a better flow.
func (p *pair) stop() { p.once.Do(func() { close(p.ending) }) }

func (p *pair) cut(how End) {
	p.swallow.Store(true)
	p.stop()
	for _, s := range p.sockets {
		if how == Reset {
			reset(s)
		} else {
			_ = s.CloseWrite() // fails where the other end is gone already
		}
	}
}

func (p *pair) vanish(side Side) {
	p.swallow.Store(true)
	p.stop()
	reset(p.sockets[side])
}

// reset makes the kernel send RST instead of FIN.
func reset(s *net.TCPConn) {
	_ = s.SetLinger(0) // fails on a closed socket only
	_ = s.Close()
}

// pump passes on what side sends, until side ends or the connection is over.
func (p *pair) pump(side Side) {
	from, to := p.sockets[side], p.sockets[side.Other()]
	piece := make([]byte, bufferBytes)
	for {
		f, ok := p.wait(side)
		if !ok {
			p.drain(from)
			return
		}
		size := len(piece)
		if f.Rate > 0 {
			size = 1
		}
		n, err := from.Read(piece[:size])
		if n > 0 && p.pass(side, to, piece[:n]) != nil {
			p.fail(side.Other())
			p.drain(from)
			return
		}
		if err != nil {
			p.over(side, err)
			return
		}
	}
}

// wait returns the flow once it lets something through; false: the pair passes
// nothing on any more.
func (p *pair) wait(side Side) (f Flow, ok bool) {
	for {
		f, changed := p.relay.flow(side)
		if p.swallow.Load() {
			return f, false
		}
		if !f.Stopped {
			return f, true
		}
		select {
		case <-changed:
		case <-p.ending:
		}
	}
}

// pass passes a piece on as the flow is now: it may have changed while the
// sender was silent.
func (p *pair) pass(side Side, to *net.TCPConn, piece []byte) error {
	f, ok := p.wait(side)
	if !ok {
		return nil // swallowed
	}
	p.sleep(f.pause(len(piece)))
	if p.swallow.Load() {
		return nil
	}
	_, err := to.Write(piece)
	return err
}

// pause is how long a piece of n bytes takes.
func (f Flow) pause(n int) time.Duration {
	if f.Rate <= 0 {
		return f.Delay
	}
	return f.Delay + time.Duration(n)*time.Second/time.Duration(f.Rate)
}

// sleep ends early when the flow changes: a connection that trickled is not
// slow for a second more.
func (p *pair) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	_, changed := p.relay.flow(Client)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-p.ending:
	}
}

// drain swallows what an end sends that has not been told, until it gives up or
// the relay cuts it off.
func (p *pair) drain(from *net.TCPConn) {
	_, _ = io.Copy(io.Discard, from) // its error is the end of the connection
}

// over passes the end of one direction on in its own kind: FIN as FIN, all else
// as RST.
func (p *pair) over(side Side, err error) {
	switch {
	case p.swallow.Load():
	case errors.Is(err, io.EOF):
		_ = p.sockets[side.Other()].CloseWrite() // fails where that end is gone too
	default:
		p.fail(side)
	}
}

// fail ends the connection because of an end that broke it off.
func (p *pair) fail(side Side) {
	if p.swallow.Swap(true) {
		return
	}
	p.stop()
	reset(p.sockets[side])
	reset(p.sockets[side.Other()])
}
