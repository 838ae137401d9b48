package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9.])?$`)

// splitAddress parts host and port. The host is a name, an IP address or "".
func splitAddress(text, example string) (host string, port int, wrong *flaw) {
	hint := "write it as HOST:PORT, for example `" + example + "`"
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		return "", 0, &flaw{quoted(scheme+"://") + " does not belong to an address", "write " + quoted(strings.Trim(rest, "/"))}
	}
	if strings.Contains(text, "@") {
		return "", 0, &flaw{"an address holds no user and no password", "write them under `sasl` (`user` and `password_file`)"}
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, &flaw{quoted(text) + " is no address with a port", withoutPort(text, example)}
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, &flaw{quoted(portText) + " is no port", "a port is a number from 1 to 65535"}
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return host, port, nil
	}
	if !hostPattern.MatchString(host) {
		return "", 0, &flaw{quoted(host) + " is no host name", hint}
	}
	// A name made of digits and dots alone is a mistyped IP address.
	if strings.Trim(host, "0123456789.") == "" {
		return "", 0, &flaw{quoted(host) + " is no IP address", "an IPv4 address has four numbers from 0 to 255"}
	}
	return host, port, nil
}

// withoutPort guesses which half is missing.
func withoutPort(text, example string) string {
	host, port, _ := strings.Cut(example, ":")
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return "did you mean `" + host + ":" + text + "`?"
	}
	if hostPattern.MatchString(text) {
		return "did you mean `" + text + ":" + port + "`?"
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
		return "an IPv6 address stands in brackets, the port behind them: `[" + text + "]:PORT`"
	}
	return "write it as HOST:PORT, for example `" + example + "`"
}

// listenAddress reads where to listen. Port 0 is any free port.
func listenAddress(example string) parser[string] {
	return parsed(func(text string) (string, *flaw) {
		_, _, wrong := splitAddress(text, example)
		return text, wrong
	})
}

// brokerAddress reads where a Kafka broker is.
func brokerAddress(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		const example = "kafka.home:9092"
		host, port, wrong := splitAddress(text, example)
		switch {
		case wrong != nil:
			return "", wrong
		case host == "":
			return "", &flaw{quoted(text) + " names no host", "write it as HOST:PORT, for example `" + example + "`"}
		case port == 0:
			return "", &flaw{"a broker does not listen on port 0", "Kafka's usual port is 9092"}
		}
		return text, nil
	})(d, name, n)
}

// A listener is one address that the configuration listens on, and where it
// says so.
type listener struct {
	key     string
	address string
	written bool // false: by default
	at      *yaml.Node
}

// listeners are all of them, for the check that no two collide.
type listeners []listener

// add takes the addresses under key, or those of the default.
func (l *listeners) add(o *object, key string, addresses []string) {
	for i, a := range addresses {
		*l = append(*l, listener{o.name(key), a, o.has(key), element(o.place(key), i)})
	}
}

func (l listeners) check(d *decoder) {
	for i, later := range l {
		for _, earlier := range l[:i] {
			if collide(earlier.address, later.address) {
				at := later.at
				if !later.written {
					at = earlier.at
				}
				d.complain(at, fmt.Sprintf("`%s` (%s) and `%s` (%s) cannot share a port", earlier.key, printable(earlier.address), later.key, printable(later.address)),
					"give one of them another port, or `off`")
				break
			}
		}
	}
}

// collide reports whether a second listener would find its address in use.
func collide(a, b string) bool {
	hostA, portA, wrongA := splitAddress(a, "")
	hostB, portB, wrongB := splitAddress(b, "")
	if wrongA != nil || wrongB != nil || portA != portB || portA == 0 {
		return false
	}
	ipA, ipB := boundTo(hostA), boundTo(hostB)
	if !ipA.IsValid() || !ipB.IsValid() {
		return strings.EqualFold(hostA, hostB)
	}
	return ipA == ipB || ipA.IsUnspecified() && covers(ipA, ipB) || ipB.IsUnspecified() && covers(ipB, ipA)
}

// boundTo returns the address a host stands for, as far as that is known
// without asking anybody.
func boundTo(host string) netip.Addr {
	switch strings.ToLower(host) {
	case "":
		return netip.IPv6Unspecified()
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// covers reports whether a listener on every address of its kind takes other as
// well: on Linux the unspecified IPv6 address takes IPv4 too.
func covers(every, other netip.Addr) bool { return every.Is6() || other.Is4() }
