package broker

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// What may come at once, as seconds of the rate: a station that was out of
	// reach sends all that it has kept.
	burstSeconds = 2

	// The same of a client's share of what its address may send, and never less
	// than it takes to connect. It is small, because every connection brings it.
	shareSeconds = 0.5
	sharePackets = 10
	shareBytes   = 16 << 10

	// A client that was not slowed down for so long begins anew.
	breather = time.Second
)

// A bucket says how much of a rate was used. Its zero value is unused.
type bucket struct {
	spent float64
	at    time.Time
}

// spend adds n and returns for how long to wait until what came beyond the
// burst is made up for.
func (b *bucket) spend(n, rate, burst float64, now time.Time) time.Duration {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()*rate) + n
	b.at = now
	return max(0, time.Duration((b.spent-burst)/rate*float64(time.Second)))
}

// A meter is what a client or an address has sent lately.
type meter struct{ packets, bytes bucket }

// A traffic is what was read: packets and bytes, or how many of each are allowed
// in a second.
type traffic struct{ packets, bytes float64 }

func (t traffic) times(f float64) traffic { return traffic{t.packets * f, t.bytes * f} }

func (m *meter) spend(t, allowed, burst traffic, now time.Time) waits {
	return waits{
		m.packets.spend(t.packets, allowed.packets, burst.packets, now),
		m.bytes.spend(t.bytes, allowed.bytes, burst.bytes, now),
	}
}

// forgive takes back what is more than most: a share is counted all the time,
// and matters only when an address sends too much.
func (m *meter) forgive(most traffic) {
	m.packets.spent = min(m.packets.spent, most.packets)
	m.bytes.spent = min(m.bytes.spent, most.bytes)
}

type waits struct{ packets, bytes time.Duration }

func (w waits) longest() time.Duration { return max(w.packets, w.bytes) }

func (w waits) of(packets, bytes refusal) (time.Duration, refusal) {
	if w.bytes > w.packets {
		return w.bytes, bytes
	}
	return w.packets, packets
}

// An origin is an address, and all that comes from it. It is remembered after
// its last connection until what that sent is made up for.
type origin struct {
	conns atomic.Int32

	mu   sync.Mutex
	sent meter
}

func (o *origin) spend(t, allowed traffic, now time.Time) waits {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent.spend(t, allowed, allowed.times(burstSeconds), now)
}

// calm reports whether nothing of it is left to make up for.
func (o *origin) calm(l *Limits, now time.Time) bool {
	o.spend(traffic{}, traffic{float64(l.AddressMessages), float64(l.AddressBytes)}, now)
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent.packets.spent == 0 && o.sent.bytes.spent == 0
}

// A pace is how fast one connection sends. It is used by the goroutine that
// reads from it.
type pace struct {
	unbooked    traffic // read and not yet counted
	own, share  meter
	slowedSince time.Time
	slowedUntil time.Time
}

// book counts what was read and returns how long to wait before the next read,
// and for which limit. An address that sends too much slows only those of its
// clients that send more than their share: a socket behind the address of a
// flooder is answered as before.
func (p *pace) book(o *origin, l *Limits, now time.Time) (time.Duration, refusal) {
	t := p.unbooked
	p.unbooked = traffic{}
	mine, all := traffic{float64(l.Messages), float64(l.Bytes)}, traffic{float64(l.AddressMessages), float64(l.AddressBytes)}
	own := p.own.spend(t, mine, mine.times(burstSeconds), now)
	address := o.spend(t, all, now)
	part := all.times(1 / float64(max(1, o.conns.Load())))
	burst := traffic{max(shareSeconds*part.packets, sharePackets), max(shareSeconds*part.bytes, shareBytes)}
	share := p.share.spend(t, part, burst, now)
	p.share.forgive(traffic{burst.packets + burstSeconds*part.packets, burst.bytes + burstSeconds*part.bytes})
	address.packets = min(address.packets, share.packets)
	address.bytes = min(address.bytes, share.bytes)
	if own.longest() >= address.longest() {
		return own.of(refusedMessages, refusedBytes)
	}
	return address.of(refusedAddressMessages, refusedAddressBytes)
}

// throttle slows a client down that sends more than it may, by not reading from
// it: TCP holds the rest back in the client, and nothing is lost. Whoever has to
// be slowed down without a break for longer than Limits.Patience is cut off.
func (c *conn) throttle() error {
	now := time.Now()
	wait, limit := c.pace.book(c.origin, c.limits, now)
	if wait == 0 {
		return nil
	}
	p := &c.pace
	if now.Sub(p.slowedUntil) > breather {
		p.slowedSince = now
	}
	until, end := now.Add(wait), p.slowedSince.Add(c.limits.Patience)
	exceeded := until.After(end)
	if exceeded {
		until = end
	}
	c.slowed(limit, p.slowedSince, until.Sub(now))
	if err := c.rest(until); err != nil {
		return err
	}
	if p.slowedUntil = time.Now(); exceeded {
		c.cutOff(limit)
		return io.EOF
	}
	return nil
}

// rest waits, unless the connection closes.
func (c *conn) rest(until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		if c.closing.Load() {
			return io.EOF
		}
		select {
		case <-timer.C:
			return nil
		case <-c.room: // something left, or the end
		}
	}
}
