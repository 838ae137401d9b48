package clock

import "net"

// networkUp: an interface other than loopback is up and has an address that
// routers pass on, private ones included. Where the interfaces cannot be listed
// (a sandbox without netlink) it says yes: the hold then counts from the start.
func networkUp() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 && hasGlobalAddress(i) {
			return true
		}
	}
	return false
}

func hasGlobalAddress(i net.Interface) bool {
	addresses, err := i.Addrs()
	if err != nil {
		return true
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}
