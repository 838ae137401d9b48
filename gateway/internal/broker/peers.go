package broker

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// lookAgain is how often the prefixes of the network interfaces are read at
// most: the address of a home connection changes about once a day.
const lookAgain = 10 * time.Second

// peers tells the home network from the rest of the world. Home IPv6 is global,
// so private addresses alone do not do: what is attached counts too.
type peers struct {
	mu       sync.Mutex
	attached []netip.Prefix
	looked   time.Time
}

// local reports whether a is private (RFC 1918), unique local (RFC 4193),
// link-local, loopback, or within a prefix of one of our own interfaces.
func (p *peers) local(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return true
	}
	return a.IsValid() && p.isAttached(a)
}

func (p *peers) isAttached(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.looked) > lookAgain {
		p.attached, p.looked = attached(), now
	}
	for _, prefix := range p.attached {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// attached returns nothing when the interfaces cannot be read: then only
// addresses that say themselves that they are local count.
func attached() (found []netip.Prefix) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			found = append(found, p.Masked())
		}
	}
	return found
}

func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// network is what one host can fill with connections as it likes: an IPv4
// address, or 64 bits of IPv6.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
