package broker_test

import (
	"net"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// FuzzSession sends a client's bytes, after a CONNECT that is let in, and then
// asks whether the broker still serves another.
func FuzzSession(f *testing.F) {
	v3, v5 := &client{version: 4}, &client{version: 5}
	seeds := [][]byte{
		{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61}, // ends stock mochi
		v3.message(retain, "a", 1, 1, "x"),
		append(v3.message(0, "a", 2, 1, "x"), ack(pubrel, 1)...),
		append(v5.message(dup, "a", 2, 1, "x"), ack(pubrel, 1)...),
		v5.subscription("a/#", "+/b", "$share/g/a"),
		frame(0xa2, append([]byte{0, 1, 0}, str("a")...)),
		hello{id: "a", version: 5, will: &will{topic: "a", payload: "b"}}.bytes(),
		{0xf0, 0x02, 0x18, 0x00},
		{0x30, 0x80, 0x80, 0x80, 0x80, 0x80},
		append(ping, disconnect...),
	}
	for _, s := range seeds {
		f.Add(byte(4), s)
		f.Add(byte(5), s)
		f.Add(byte(0), append(hello{id: "b"}.bytes(), s...))
	}
	r := start(f, func(o *broker.Options) {
		o.Log = nil
		o.Limits.DrainTimeout = 50 * time.Millisecond
	})
	r.store.forget = true
	f.Fuzz(func(t *testing.T, version byte, input []byte) {
		if err := session(r.addr(), version, input); err != nil {
			t.Skip(err) // out of ports
		}
		if err := r.Alive(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// session sends input on a connection of its own; with a version of MQTT after
// a CONNECT.
func session(addr string, version byte, input []byte) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if version == 4 || version == 5 {
		input = append(hello{id: "fuzz", version: version}.bytes(), input...)
	}
	// What fails here the broker made fail, by closing.
	_, _ = conn.Write(input)
	_ = conn.(*net.TCPConn).CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	for buf := make([]byte, 4096); err == nil; {
		_, err = conn.Read(buf)
	}
	return nil
}
