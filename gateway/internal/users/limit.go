package users

import (
	"net/netip"
	"time"
)

// How many wrong passwords may come at once, and how often after that: from one
// address, for one name, and altogether, because a guesser on the home network
// can take every address in it. The time between two doubles with each further
// one, and begins anew when nothing wrong came for as long as it takes to have
// the whole burst back.
const (
	addressBurst  = 10
	nameBurst     = 20
	firstEvery    = time.Second
	longestEvery  = 32 * time.Second
	totalBurst    = 100
	totalEvery    = 500 * time.Millisecond
	maxKept       = 1024 // addresses, and names
	maxDenied     = 1024 // passwords known to be wrong
	maxTurnedAway = 1 << 14
)

// A password that was turned away unread is read when it comes again: a device
// repeats the one that it has, a guesser goes on to the next. So a new device
// gets in behind the address of a guesser too, at its second or third try.
const (
	againBurst    = 4
	againEvery    = time.Second
	allAgainBurst = 20
	allAgainEvery = 500 * time.Millisecond
	againAfter    = time.Second
	againWithin   = time.Minute // to twice that
)

// A mark stands for a name with a password.
type mark = [32]byte

// A bucket holds tokens, one for each wrong password that may come now. Its
// zero value is full.
type bucket struct {
	spent float64
	at    time.Time
	every time.Duration // until there is another token, where that grows
}

func (b *bucket) level(now time.Time, every time.Duration) float64 {
	if b == nil {
		return 0
	}
	return max(0, b.spent-float64(now.Sub(b.at))/float64(max(every, b.every)))
}

func (b *bucket) free(now time.Time, burst float64, every time.Duration) bool {
	return b.level(now, every) <= burst-1
}

func (b *bucket) spend(now time.Time, every time.Duration) {
	b.spent = b.level(now, every) + 1
	b.at = now
}

// spendMore makes the next token take twice as long once the burst is used up.
func (b *bucket) spendMore(now time.Time, burst float64) {
	switch level := b.level(now, firstEvery); {
	case level == 0:
		b.every = firstEvery
	case level > burst-2 && b.spent > burst-1: // it was empty before
		b.every = min(2*b.every, longestEvery)
	}
	b.spent = min(b.level(now, firstEvery)+1, burst)
	b.at = now
}

// A limiter bounds wrong passwords. Its zero value allows.
type limiter struct {
	all, allAgain bucket
	addresses     map[netip.Prefix]*bucket
	names         map[string]*bucket
	again         map[netip.Prefix]*bucket

	denied       map[mark]struct{}
	turnedAway   map[mark]time.Time
	before       map[mark]time.Time // those turned away earlier
	turnedAwayAt time.Time          // when turnedAway began
}

// A chance is by what right a password is read.
type chance int

const (
	none      chance = iota
	first            // there is a token for the address and the name
	returning        // it was turned away before, and there is a token for that
)

// judge gives a password its chance, or notes that it was turned away.
func (l *limiter) judge(from netip.Addr, name string, m mark, now time.Time) chance {
	p := network(from)
	_, wrong := l.denied[m]
	switch {
	case l.all.free(now, totalBurst, totalEvery) && l.addresses[p].free(now, addressBurst, firstEvery) && l.names[name].free(now, nameBurst, firstEvery):
		return first
	case wrong: // its device would use up the second chances of the others
		return none
	case l.returned(m, now) && l.allAgain.free(now, allAgainBurst, allAgainEvery) && l.again[p].free(now, againBurst, againEvery):
		return returning
	}
	return none
}

// returned reports whether m was turned away before, long enough ago that this
// is no second packet of the same try, and notes it if not.
func (l *limiter) returned(m mark, now time.Time) bool {
	if now.Sub(l.turnedAwayAt) > againWithin || len(l.turnedAway) >= maxTurnedAway {
		l.before, l.turnedAway, l.turnedAwayAt = l.turnedAway, make(map[mark]time.Time), now
	}
	at, ok := l.turnedAway[m]
	if !ok {
		at, ok = l.before[m]
	}
	if !ok {
		l.turnedAway[m] = now
	}
	return ok && now.Sub(at) >= againAfter
}

// spend counts a wrong password that was read by that right.
func (l *limiter) spend(from netip.Addr, name string, by chance, now time.Time) {
	p := network(from)
	if by == returning {
		l.allAgain.spend(now, allAgainEvery)
		kept(&l.again, p, now).spend(now, againEvery)
		return
	}
	l.all.spend(now, totalEvery)
	kept(&l.addresses, p, now).spendMore(now, addressBurst)
	kept(&l.names, name, now).spendMore(now, nameBurst)
}

// deny remembers a wrong password: a device that has it comes back with it for
// ever, and must not cost a hash each time.
func (l *limiter) deny(m mark) {
	if l.denied == nil || len(l.denied) >= maxDenied {
		l.denied = make(map[mark]struct{})
	}
	l.denied[m] = struct{}{}
}

// kept returns the bucket of a key. It bounds the memory: buckets that are full
// again are as good as none.
func kept[K comparable](buckets *map[K]*bucket, key K, now time.Time) *bucket {
	if b := (*buckets)[key]; b != nil {
		return b
	}
	if *buckets == nil {
		*buckets = make(map[K]*bucket)
	}
	if len(*buckets) >= maxKept {
		for k, b := range *buckets {
			if b.level(now, firstEvery) == 0 {
				delete(*buckets, k)
			}
		}
	}
	if len(*buckets) >= maxKept {
		clear(*buckets) // the bucket of all still holds
	}
	b := new(bucket)
	(*buckets)[key] = b
	return b
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
