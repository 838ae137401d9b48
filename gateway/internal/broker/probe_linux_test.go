package broker_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A listening is a socket as systemd hands it over; it shows the test what it
// accepted.
type listening struct {
	net.Listener
	accepted chan net.Conn
}

func (l listening) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- c
	}
	return c, err
}

// A socket that was pulled out of the wall sends no end. One that may be silent
// for ever is found dead by the system's probes, on systemd's sockets too.
func TestDeadDevicesAreProbed(t *testing.T) {
	config := net.ListenConfig{KeepAlive: -1}
	inner, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := listening{inner, make(chan net.Conn, 1)}
	r := start(t, func(o *broker.Options) { o.Listen[0] = broker.Listener{Socket: l, Anonymous: true} })
	r.client(t, hello{id: "a", forever: true}).ping()
	raw, err := (<-l.accepted).(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]struct{ level, option, want int }{
		"SO_KEEPALIVE":  {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":  {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 30},
		"TCP_KEEPINTVL": {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 10},
		"TCP_KEEPCNT":   {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3},
	} {
		if err := raw.Control(func(fd uintptr) {
			if got, err := syscall.GetsockoptInt(int(fd), option.level, option.option); err != nil || got != option.want {
				t.Errorf("%s is %d (%v), want %d", name, got, err, option.want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}
