package users

import (
	"net/netip"
	"time"
)

// How many wrong passwords may come at once and how often after that: from one
// address, and from all together, because a guesser on the home network can
// take every address in it.
const (
	addressBurst, addressEvery = 10, time.Second
	totalBurst, totalEvery     = 100, 200 * time.Millisecond
	maxAddresses               = 1024
)

// A bucket holds tokens, one for each wrong password that may come now. Its
// zero value is full.
type bucket struct {
	spent float64
	at    time.Time
}

func (b *bucket) level(now time.Time, every time.Duration) float64 {
	if spent := b.spent - float64(now.Sub(b.at))/float64(every); spent > 0 {
		return spent
	}
	return 0
}

func (b *bucket) spend(now time.Time, every time.Duration) {
	b.spent = b.level(now, every) + 1
	b.at = now
}

// A limiter bounds wrong passwords. Its zero value allows.
type limiter struct {
	all       bucket
	addresses map[netip.Prefix]*bucket
}

func (l *limiter) free(from netip.Addr, now time.Time) bool {
	if l.all.level(now, totalEvery) > totalBurst-1 {
		return false
	}
	b := l.addresses[network(from)]
	return b == nil || b.level(now, addressEvery) <= addressBurst-1
}

func (l *limiter) spend(from netip.Addr, now time.Time) {
	l.all.spend(now, totalEvery)
	b := l.addresses[network(from)]
	if b == nil {
		l.prune(now)
		b = new(bucket)
		l.addresses[network(from)] = b
	}
	b.spend(now, addressEvery)
}

// prune bounds the memory: buckets that are full again are as good as none.
func (l *limiter) prune(now time.Time) {
	if l.addresses == nil {
		l.addresses = make(map[netip.Prefix]*bucket)
	}
	if len(l.addresses) < maxAddresses {
		return
	}
	for p, b := range l.addresses {
		if b.level(now, addressEvery) == 0 {
			delete(l.addresses, p)
		}
	}
	if len(l.addresses) >= maxAddresses {
		clear(l.addresses) // the bucket of all still holds
	}
}

// network is what one guesser has to himself: an IPv4 address, or the 64 bits
// of IPv6 that a single host may fill as it likes.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the zero Addr
	}
	return p
}
