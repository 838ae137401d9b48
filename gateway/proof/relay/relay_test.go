//go:build unix

package relay_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/proof/relay"
)

// A line is a connection through a relay, seen from both ends.
type line struct {
	*relay.Relay
	ends [2]*net.TCPConn // by relay.Side
}

func newLine(t *testing.T) *line {
	t.Helper()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	r, err := relay.Listen("127.0.0.1:0", target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	client, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	server, err := target.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l := &line{r, [2]*net.TCPConn{client.(*net.TCPConn), server.(*net.TCPConn)}}
	for _, end := range l.ends {
		t.Cleanup(func() { end.Close() })
	}
	for _, side := range []relay.Side{relay.Client, relay.Server} {
		l.send(t, side, "hello") // both directions are there
		if got := l.receive(t, side.Other(), 5*time.Second); got != "hello" {
			t.Fatalf("from the %v came %q", side, got)
		}
	}
	return l
}

func (l *line) send(t *testing.T, from relay.Side, text string) {
	t.Helper()
	if _, err := l.ends[from].Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// receive returns what comes to a side within a time; "" is silence.
func (l *line) receive(t *testing.T, side relay.Side, within time.Duration) string {
	t.Helper()
	l.patience(t, side, within)
	piece := make([]byte, 64)
	n, err := l.ends[side].Read(piece)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the %v reads: %v", side, err)
	}
	return string(piece[:n])
}

// fate is how a side's connection is: open, or ended by FIN or RST.
func (l *line) fate(t *testing.T, side relay.Side, within time.Duration) string {
	t.Helper()
	l.patience(t, side, within)
	_, err := io.Copy(io.Discard, l.ends[side])
	switch {
	case err == nil:
		return "FIN"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "open"
	case errors.Is(err, syscall.ECONNRESET):
		return "RST"
	default:
		return err.Error()
	}
}

func (l *line) patience(t *testing.T, side relay.Side, d time.Duration) {
	t.Helper()
	if err := l.ends[side].SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

const (
	soon  = 5 * time.Second // for what must come
	brief = 200 * time.Millisecond
)

// What the proofs conclude rests on each end being told just what it should.
func TestEachEndLearnsWhatItShould(t *testing.T) {
	for _, c := range []struct {
		name           string
		do             func(*line)
		client, server string
	}{
		{"nothing happens", func(*line) {}, "open", "open"},
		{"reset", func(l *line) { l.Cut(relay.Reset) }, "RST", "RST"},
		{"finish", func(l *line) { l.Cut(relay.Finish) }, "FIN", "FIN"},
		{"the client vanishes", func(l *line) { l.Vanish(relay.Client) }, "RST", "open"},
		{"the server vanishes", func(l *line) { l.Vanish(relay.Server) }, "open", "RST"},
		{"a half-open connection is cut", func(l *line) { l.Vanish(relay.Client); l.Cut(relay.Reset) }, "RST", "RST"},
		{"the relay is closed", func(l *line) { l.Close() }, "RST", "RST"},
		{"the client finishes", func(l *line) { l.ends[relay.Client].CloseWrite() }, "open", "FIN"},
		{"the server resets", func(l *line) { l.ends[relay.Server].SetLinger(0); l.ends[relay.Server].Close() }, "RST", ""},
		{"it stops, and is cut", func(l *line) { l.Set(relay.Server, relay.Flow{Stopped: true}); l.Cut(relay.Reset) }, "RST", "RST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLine(t)
			c.do(l)
			for side, want := range map[relay.Side]string{relay.Client: c.client, relay.Server: c.server} {
				within := soon
				if want == "open" {
					within = brief
				}
				if want == "" {
					continue
				}
				if got := l.fate(t, side, within); got != want {
					t.Errorf("the %v's connection: %s, want %s", side, got, want)
				}
			}
		})
	}
}

// What is sent to an end that vanished is neither delivered nor refused.
func TestHalfOpenSwallows(t *testing.T) {
	l := newLine(t)
	l.Vanish(relay.Server)
	l.send(t, relay.Client, "is anybody there?")
	if got := l.fate(t, relay.Client, brief); got != "open" {
		t.Errorf("the client learns of it: %s", got)
	}
	if got := l.Open(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
	l.ends[relay.Client].Close()
	again, late := time.NewTicker(time.Millisecond), time.After(soon)
	defer again.Stop()
	for l.Open() > 0 {
		select {
		case <-again.C:
		case <-late:
			t.Fatal("the connection is still there after both ends are gone")
		}
	}
}

// What was stopped comes when the flow does, whole and in order, and only the
// direction that was set is concerned.
func TestStoppedHoldsBackOneDirection(t *testing.T) {
	l := newLine(t)
	l.Set(relay.Client, relay.Flow{Stopped: true})
	l.send(t, relay.Client, "late")
	if got := l.receive(t, relay.Server, brief); got != "" {
		t.Errorf("%q came through a stopped flow", got)
	}
	l.send(t, relay.Server, "in time")
	if got := l.receive(t, relay.Client, soon); got != "in time" {
		t.Errorf("from the server came %q", got)
	}
	l.Set(relay.Client, relay.Flow{})
	if got := l.receive(t, relay.Server, soon); got != "late" {
		t.Errorf("after the stop came %q", got)
	}
}

// A sender to a reader that has frozen has to wait itself.
func TestStoppedFillsTheWindow(t *testing.T) {
	l := newLine(t)
	l.Set(relay.Server, relay.Flow{Stopped: true})
	if err := l.ends[relay.Server].SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := l.ends[relay.Server].Write(make([]byte, 32<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes were taken, error %v", n, err)
	}
}

func TestRateAndDelayTakeTheirTime(t *testing.T) {
	for _, c := range []struct {
		name string
		flow relay.Flow
		want time.Duration // for 5 bytes
	}{
		{"as they come", relay.Flow{}, 0},
		{"20 bytes a second", relay.Flow{Rate: 20}, 250 * time.Millisecond},
		{"later", relay.Flow{Delay: 150 * time.Millisecond}, 150 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLine(t)
			l.Set(relay.Client, c.flow)
			begin := time.Now()
			l.send(t, relay.Client, "bytes")
			var got bytes.Buffer
			for got.Len() < 5 {
				got.WriteString(l.receive(t, relay.Server, soon))
			}
			if took := time.Since(begin); took < c.want || got.String() != "bytes" {
				t.Errorf("%q in %v, want it to take at least %v", got.String(), took, c.want)
			}
		})
	}
}

func TestRefusedUntilAdmitted(t *testing.T) {
	l := newLine(t)
	l.Refuse()
	if conn, err := net.Dial("tcp", l.Addr()); err == nil {
		conn.Close()
		t.Error("a connection was made to a relay that refuses")
	} else if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v", err)
	}
	if got := l.fate(t, relay.Client, brief); got != "open" {
		t.Errorf("the connection that was there: %s", got)
	}
	if err := l.Admit(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
