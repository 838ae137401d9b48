//go:build linux

package proof_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Devices were built against mosquitto: what it acknowledges they expect. The
// same bytes go to it and to the gateway; a difference that is not in the table
// fails.
func TestDifferential(t *testing.T) {
	t.Parallel()
	theirs := startMosquitto(t)
	brokers := fakeKafka(t)
	s := newStation(t, brokers, nil)
	s.configure(brokers, sections{"mqtt": fmt.Sprintf("{listen: %q, anonymous: true, limits: {connections_per_address: 500}}", s.mqtt)})
	p := s.start()
	n := 300
	if torture() {
		n = 5000
	}
	seed := seedOf(t)
	found := make([]atomic.Int64, len(differences()))
	var steps atomic.Int64
	var workers errgroup.Group
	workers.SetLimit(8)
	for i := range n {
		workers.Go(func() error {
			script := newScript(rand.New(rand.NewPCG(seed, uint64(i))), i)
			k, err := compare(script, s.mqtt, theirs, found)
			steps.Add(int64(k))
			if err != nil {
				t.Errorf("script %d of seed %d: %v", i, seed, err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		t.Fatal(err)
	}
	if !p.running() {
		t.Fatalf("the program ended: %v", p.err)
	}
	var classes int
	for i, d := range differences() {
		t.Logf("%5d times: %s", found[i].Load(), d.what)
		if found[i].Load() > 0 {
			classes++
		}
	}
	proved(t, "differential", "%d scripts, %d packets to mosquitto and to the gateway; %d of %d known differences met, no other", n, steps.Load(), classes, len(differences()))
	p.stop()
}

// startMosquitto returns the address of a mosquitto of the test's own.
func startMosquitto(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil && os.Getenv("PLANTGATE_REQUIRE_MOSQUITTO") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("mosquitto is not on this machine")
	}
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\nlog_dest none\n", port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
	})
	eventually(t, 20*time.Second, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return address
}

// A step is a packet; the first one of a connection is a CONNECT.
type step struct {
	kind   string
	fresh  bool // on a new connection
	client string
	bytes  []byte
}

// A conversation is a script on its way to one broker.
type conversation struct {
	address string
	conn    net.Conn
	input   *bufio.Reader
	version byte
}

// compare plays a script to both until they part, and returns the number of
// steps.
func compare(script []step, ours, theirs string, found []atomic.Int64) (int, error) {
	a, b := &conversation{address: ours}, &conversation{address: theirs}
	defer a.forget(script[0])
	defer b.forget(script[0])
	for i, st := range script {
		var x, y string
		var ex, ey error
		var both sync.WaitGroup
		both.Go(func() { x, ex = a.play(st) })
		both.Go(func() { y, ey = b.play(st) })
		both.Wait()
		if err := errors.Join(ex, ey); err != nil {
			return i, fmt.Errorf("step %d, %s: %w", i, st.kind, err)
		}
		if x == y {
			continue
		}
		k := known(st, x, y)
		if k < 0 {
			return i, fmt.Errorf("step %d, %s: the gateway answers %q, mosquitto %q\n%s", i, st.kind, x, y, dump(script[:i+1]))
		}
		found[k].Add(1)
		if strings.HasSuffix(x, ended) != strings.HasSuffix(y, ended) || differences()[k].parts {
			return i, nil // they are in different states from here on
		}
	}
	return len(script), nil
}

func known(st step, ours, theirs string) int {
	for i, d := range differences() {
		if d.fits(st.kind, ours, theirs) {
			return i
		}
	}
	return -1
}

func dump(script []step) string {
	var b strings.Builder
	for _, st := range script {
		fmt.Fprintf(&b, "  %-30s % x\n", st.kind, st.bytes[:min(len(st.bytes), 80)])
	}
	return b.String()
}

const ended = "closed"

func (c *conversation) close() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn = nil
}

// lastID is of the UNSUBSCRIBE behind each step. Its answer says that the step
// has got all of its answers.
const lastID = 0x7fff

// forget ends the session: the gateway keeps a bounded number of them.
func (c *conversation) forget(first step) {
	_, _ = c.play(step{fresh: true, bytes: hello{flags: cleanSession, fields: []string{first.client}}.bytes()}) // nothing is compared any more
	c.close()
}

// play sends a packet and returns what is acknowledged before lastID or the end.
func (c *conversation) play(st step) (string, error) {
	if st.fresh {
		c.close()
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return "", err
		}
		c.conn, c.input = conn, bufio.NewReader(conn)
		c.version = levelOf(st.bytes)
	}
	if c.conn == nil {
		return ended, nil // as both of them did before
	}
	if _, err := c.conn.Write(append(append([]byte(nil), st.bytes...), asking(unsubscribing, c.version, lastID, nil, "nothing")...)); err != nil {
		c.close()
		return ended, nil
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	return c.answers()
}

func (c *conversation) answers() (string, error) {
	var all []string
	for {
		head, body, err := readPacket(c.input)
		switch {
		case late(err):
			return "", fmt.Errorf("%s: no answer for 20 s after %q", c.address, all)
		case err != nil:
			c.close()
			return strings.Join(append(all, ended), " "), nil
		case head == unsuback && len(body) >= 2 && binary.BigEndian.Uint16(body) == lastID:
			return strings.Join(all, " "), nil
		case head>>4 == 3: // a message to the client
		default:
			all = append(all, acknowledgement(c.version, head, body))
		}
	}
}

// acknowledgement is a packet in words, without the properties of MQTT 5.
func acknowledgement(version, head byte, body []byte) string {
	code := func(at int) byte { // left out when it is 0
		if len(body) > at {
			return body[at]
		}
		return 0
	}
	id := func() uint16 {
		if len(body) < 2 {
			return 0
		}
		return binary.BigEndian.Uint16(body)
	}
	codes := func() []byte {
		if version != 5 {
			return body[2:]
		}
		size, n := binary.Uvarint(body[2:])
		return body[2+n+int(size):]
	}
	switch head {
	case connack:
		return fmt.Sprintf("CONNACK(%d %02x)", code(0), code(1))
	case puback, pubrec, pubrel, pubcomp:
		return fmt.Sprintf("%s(%d %02x)", ackNames[head>>4], id(), code(2))
	case suback, unsuback:
		return fmt.Sprintf("%s(%d % x)", ackNames[head>>4], id(), codes())
	case pong[0]:
		return "PINGRESP"
	case disconnecting:
		return fmt.Sprintf("DISCONNECT(%02x)", code(0))
	}
	return fmt.Sprintf("%02x(% x)", head, body)
}

var ackNames = [...]string{4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 9: "SUBACK", 11: "UNSUBACK"}

// levelOf is the protocol level in a CONNECT.
func levelOf(p []byte) byte {
	if len(p) < 9 || p[0] != 0x10 {
		return 4
	}
	if n := 4 + int(p[3]); n < len(p) && p[n] == 5 {
		return 5
	}
	return 4
}
