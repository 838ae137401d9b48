package broker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// A conn is a client's connection as mochi sees it. Reads pass; what mochi
// writes is held, in order, until the session's tag is durable, and leaves in
// the writer goroutine. Write, SetDeadline and Close never block, because mochi
// calls them holding locks that other clients need, and closes clients one
// after the other.
type conn struct {
	net.Conn          // what is read and written: the socket, or TLS over it
	raw      net.Conn // the socket: closing it never blocks, closing TLS may
	limits   *Limits
	listener *Listener
	from     netip.Addr
	local    bool // a peer of the home network
	internal bool // the broker's own, see Alive

	origin *origin // nil: the broker's own
	slowed func(r refusal, since time.Time, wait time.Duration)
	cutOff func(refusal)

	reader  reader // used by the goroutine that serves the connection only
	pace    pace   // the same
	direct  direct // the same
	client  atomic.Pointer[mqtt.Client]
	account atomic.Pointer[account]
	idle    atomic.Int64 // nanoseconds of silence allowed; 0: not yet admitted, -1: any
	v5      atomic.Bool

	session  atomic.Pointer[session]
	handover handover
	closing  atomic.Bool
	abandon  func() // ends the writer and closes the socket at once

	mu    sync.Mutex
	held  []byte // waits to leave; the marks cut it
	marks []mark
	spare []byte // what held was before, while the writer sends it
	drain *time.Timer

	wake chan struct{} // there is something to write, or closing is set
	room chan struct{} // something was taken from held
	done chan struct{} // the writer has ended
}

// A mark says that the next size bytes of held may leave when tag is durable.
type mark struct {
	tag  uint64
	size int
}

// markCost is what a mark takes of Limits.HeldBytes: many small answers with a
// mark each take more memory than their bytes.
const markCost = 16

var errSlow = errors.New("client does not take what is sent to it")

// admit ends the time limit for CONNECT. keepAlive is the client's, in seconds;
// 0: it may be silent for ever. Half of it is added (MQTT 5.0 section 3.1.2.10),
// here and not in mochi, where the sum overflows from 43,691 seconds on.
func (c *conn) admit(keepAlive uint16) {
	idle := time.Duration(keepAlive) * time.Second * 3 / 2
	if idle == 0 {
		idle = -1
	}
	c.idle.Store(int64(idle))
}

// SetDeadline does nothing: mochi would set the deadline for writes with that
// for reads, and it has passed when a slow card held an answer back that long.
func (c *conn) SetDeadline(time.Time) error { return nil }

// Read gives mochi what direct leaves of what comes in.
func (c *conn) Read(p []byte) (int, error) {
	for {
		kept := c.direct.restore(p)
		n, err := c.receive(p[kept:])
		if n == 0 && err != nil {
			return 0, err
		}
		left, failed := c.direct.sift(p[:kept+n])
		if err = cmp.Or(failed, err); left > 0 || err != nil {
			return left, err
		}
	}
}

// receive reads until the connection closes. Bytes that arrive later are not
// handled any more.
func (c *conn) receive(p []byte) (int, error) {
	if c.origin != nil {
		if err := c.throttle(); err != nil {
			return 0, err
		}
	}
	if err := c.extend(); err != nil {
		return 0, err
	}
	// Close may have set its deadline just before extend replaced it.
	if c.closing.Load() {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	c.pace.unbooked.bytes += float64(n)
	if c.closing.Load() {
		return 0, io.EOF
	}
	if e := c.reader.check(p[:n]); e != nil {
		return 0, e
	}
	return n, err
}

// extend allows the client another silence from now on.
func (c *conn) extend() error {
	idle := time.Duration(c.idle.Load())
	switch {
	case idle == 0: // the deadline for CONNECT stays
		return nil
	case idle < 0:
		return c.Conn.SetReadDeadline(time.Time{})
	}
	return c.Conn.SetReadDeadline(time.Now().Add(idle))
}

// disconnect3 is a DISCONNECT without reason. mochi sends it to clients of MQTT
// 3.1.1, which knows no such packet from a server (section 3.14).
var disconnect3 = []byte{0xe0, 0x00}

// Write holds p back under the session's present tag. The tag is read under the
// lock, so that the marks of one connection never go down.
func (c *conn) Write(p []byte) (int, error) {
	if !c.v5.Load() && bytes.Equal(p, disconnect3) {
		return len(p), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() {
		return 0, net.ErrClosed
	}
	if c.cost()+len(p) > c.limits.HeldBytes {
		c.abandon()
		return 0, errSlow
	}
	var tag uint64
	if s := c.session.Load(); s != nil {
		tag = s.tag.Load()
	}
	c.held = append(c.held, p...)
	if n := len(c.marks); n > 0 && c.marks[n-1].tag == tag {
		c.marks[n-1].size += len(p)
	} else {
		c.marks = append(c.marks, mark{tag, len(p)})
	}
	signal(c.wake)
	return len(p), nil
}

// cost is called with mu.
func (c *conn) cost() int { return len(c.held) + markCost*len(c.marks) }

// Close ends reading at once and leaves the rest to the writer.
func (c *conn) Close() error {
	if c.closing.Swap(true) {
		return nil
	}
	err := c.raw.SetReadDeadline(time.Unix(1, 0)) // long past: wakes a waiting Read
	c.mu.Lock()
	c.drain = time.AfterFunc(c.limits.DrainTimeout, c.abandon)
	c.mu.Unlock()
	signal(c.wake)
	signal(c.room)
	return err
}

// waitForRoom holds a client's next message back while the answers to those
// before it fill half of what may be held: a slow card slows the senders.
func (c *conn) waitForRoom(ctx context.Context) error {
	for {
		c.mu.Lock()
		full := c.cost() > c.limits.HeldBytes/2
		c.mu.Unlock()
		switch {
		case c.closing.Load():
			return net.ErrClosed
		case !full:
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// signal never blocks: a signal that nobody took yet says the same.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// key is what the client's delay is known by.
func (c *conn) key() string { return c.reader.key }

// user is the name that the client logged in with.
func (c *conn) user() string {
	if who := c.account.Load(); who != nil {
		return who.user.Name
	}
	return ""
}

// heldBytes is what waits to leave.
func (c *conn) heldBytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}
