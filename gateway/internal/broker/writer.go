package broker

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	writeChunk = 32 << 10 // gets a write deadline of its own, so that slow is not frozen
	keepSpare  = 64 << 10 // a larger buffer is given back after a burst
	linger     = time.Second
	lingerFor  = 1 << 20 // bytes; a client that does not stop is not worth more
)

// A gate knows what is durable.
type gate struct {
	wait    func(ctx context.Context, number uint64) error
	durable func() uint64
}

// through waits until tag is durable and returns how far it is by then.
func (g gate) through(ctx context.Context, tag uint64) (uint64, error) {
	if g.durable != nil {
		if d := g.durable(); d >= tag {
			return d, nil
		}
	}
	if err := g.wait(ctx, tag); err != nil {
		return 0, err
	}
	if g.durable != nil {
		return max(tag, g.durable()), nil
	}
	return tag, nil
}

// write is the writer goroutine. It sends what is durable, in order and all
// that is ready at once. It ends when the connection closed and nothing is left
// to send, when a commit failed (what waits for it is discarded: the client
// must not take it for stored), when the client does not read, and when ctx
// ends.
func (c *conn) write(ctx context.Context, g gate) error {
	defer close(c.done)
	defer c.stopDrain()
	for {
		closing := c.closing.Load() // asked first: nothing is written after it
		tag, any := c.next()
		switch {
		case any:
			if err := c.release(ctx, g, tag); err != nil {
				c.abandon()
				return err
			}
		case closing:
			return nil
		default:
			select {
			case <-c.wake:
			case <-ctx.Done():
				c.abandon()
				return ctx.Err()
			}
		}
	}
}

// next returns the tag that the oldest held bytes wait for.
func (c *conn) next() (tag uint64, any bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.marks) == 0 {
		return 0, false
	}
	return c.marks[0].tag, true
}

func (c *conn) release(ctx context.Context, g gate, tag uint64) error {
	durable := uint64(0)
	if tag > 0 {
		var err error
		if durable, err = g.through(ctx, tag); err != nil {
			return fmt.Errorf("wait for %d: %w", tag, err)
		}
	}
	return c.send(c.take(durable))
}

// take cuts off what is durable. The bytes are good until the next take.
func (c *conn) take(durable uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, 0
	for n < len(c.marks) && c.marks[n].tag <= durable {
		size += c.marks[n].size
		n++
	}
	if cap(c.spare) > keepSpare {
		c.spare = nil
	}
	if size == len(c.held) {
		c.held, c.spare = c.spare[:0], c.held
	} else {
		c.spare = append(c.spare[:0], c.held[:size]...)
		c.held = c.held[:copy(c.held, c.held[size:])]
	}
	c.marks = c.marks[:copy(c.marks, c.marks[n:])]
	signal(c.room)
	return c.spare[:size]
}

func (c *conn) send(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), writeChunk)
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.limits.WriteTimeout)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if _, err := c.Conn.Write(p[:n]); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		p = p[n:]
	}
	return nil
}

// sayGoodbye tells the client that nothing more comes. It is said when mochi is
// done with the session: a client that comes again at once must not find one that
// it has just ended.
func (c *conn) sayGoodbye() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || c.Conn.SetWriteDeadline(time.Now().Add(c.limits.WriteTimeout)) != nil {
		return
	}
	_ = half.CloseWrite() // the connection may be broken
}

func (c *conn) stopDrain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drain != nil {
		c.drain.Stop()
	}
}

// finish closes the connection for good. It first reads on until the client has
// closed too, one second or one mebibyte at most: a socket that is closed with unread bytes in
// it takes back what was sent last (RFC 9293 section 3.6.1), and that is the
// answer that tells the client why. Called when mochi reads no more.
func (c *conn) finish() {
	_ = c.Close() // its error is that of a connection that is broken anyway
	<-c.done
	c.sayGoodbye()
	if err := c.raw.SetReadDeadline(time.Now().Add(linger)); err == nil {
		_, _ = io.CopyN(io.Discard, c.raw, lingerFor) // ends with the deadline or the client
	}
	c.abandon()
}

// newConn wraps a socket. The caller runs write(ctx) with the context returned.
func newConn(ctx context.Context, socket net.Conn, limits *Limits) (*conn, context.Context) {
	c := &conn{
		Conn: socket, raw: socket, limits: limits, handover: newHandover(),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{}),
	}
	// The end of Run does not end the writer: what is durable may still leave.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.abandon = func() {
		c.closing.Store(true)
		cancel()
		_ = socket.Close() // nothing depends on it any more
		signal(c.room)
	}
	return c, ctx
}
