package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A fuzzClient writes whatever it is given and reads all that comes.
type fuzzClient struct {
	net.Conn
	t       *testing.T
	version byte
	acked   func(kind byte, id uint16) // nil: nobody wants to know
	read    chan struct{}              // closed when the connection has ended
	pong    chan struct{}
	pings   int // not yet answered

	mu       sync.Mutex
	admitted bool
	answered map[uint16]int // PUBACK and PUBREC by id
	failed   error          // what was illegal in what the broker sent
}

func connect(t *testing.T, net *pipes, version byte) *fuzzClient {
	t.Helper()
	s := &fuzzClient{
		Conn: net.dial(t, ""), t: t, version: version,
		read: make(chan struct{}), pong: make(chan struct{}, maxSayings+1), answered: map[uint16]int{},
	}
	go s.listen()
	return s
}

// write counts pings. It gives up when the broker closes, and fails when it neither reads nor
// closes.
func (s *fuzzClient) write(p []byte) {
	s.t.Helper()
	if bytes.Equal(p, ping) {
		s.pings++
	}
	_ = s.SetWriteDeadline(time.Now().Add(patience)) // a pipe has deadlines
	if _, err := s.Write(p); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		s.t.Fatalf("the broker does not read %x", p[:min(len(p), 64)])
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// leave closes the connection.
func (s *fuzzClient) leave() {
	s.t.Helper()
	_ = s.Close() // a pipe always closes
	<-s.read
	if s.failed != nil {
		s.t.Error(s.failed)
	}
}

// awaitPongs waits for the answer to each ping, and so to all that was said
// before it.
func (s *fuzzClient) awaitPongs() {
	s.t.Helper()
	for ; s.pings > 0; s.pings-- {
		select {
		case <-s.pong:
		case <-s.read:
		case <-time.After(patience):
			s.t.Fatal("neither a PINGRESP nor an end")
		}
	}
}

func (s *fuzzClient) alive() bool {
	select {
	case <-s.read:
		return false
	default:
		return true
	}
}

func (s *fuzzClient) answers() (all map[uint16]int, admitted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered, s.admitted
}

// listen reads until the end and looks at each packet.
func (s *fuzzClient) listen() {
	defer close(s.read)
	r := bufio.NewReader(s.Conn)
	for first := true; ; first = false {
		head, err := r.ReadByte()
		if err != nil {
			return
		}
		size, err := binary.ReadUvarint(r)
		if err != nil || size > 1<<20 {
			return
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		if s.failed = s.judge(first, head, body); s.failed != nil {
			_ = s.Close() // nobody is to wait for more
			return
		}
	}
}

// judge says what is illegal in a packet of the broker's, and takes note of
// answers. Sections are those of MQTT 5.0.
func (s *fuzzClient) judge(first bool, head byte, body []byte) error {
	illegal := func(why string) error { return fmt.Errorf("MQTT %d: packet %#x %.60x: %s", s.version, head, body, why) }
	kind, flags := head>>4, head&0x0f
	v5 := s.version == 5
	switch {
	case first && kind != 2 && s.version >= 4:
		return illegal("it comes before CONNACK")
	case !first && kind == 2:
		return illegal("a second CONNACK")
	case kind == 3:
		return s.judgeMessage(illegal, flags, body)
	case kind == 6 && flags != 2, kind != 6 && flags != 0:
		return illegal("wrong flags")
	}
	switch kind {
	case 2:
		if len(body) < 2 || !v5 && s.version == 4 && len(body) != 2 {
			return illegal("wrong length")
		}
		s.mu.Lock()
		s.admitted = body[1] == 0
		s.mu.Unlock()
	case 4, 5, 6, 7:
		if len(body) < 2 || !v5 && s.version == 4 && len(body) != 2 {
			return illegal("wrong length")
		}
		s.note(head, body)
	case 9, 11:
		if len(body) < 2 {
			return illegal("wrong length")
		}
	case 13:
		if len(body) != 0 {
			return illegal("wrong length")
		}
		select {
		case s.pong <- struct{}{}:
		default: // nobody waits
		}
	case 14, 15:
		if s.version == 4 {
			return illegal("MQTT 3.1.1 knows no such packet from a server")
		}
	default:
		return illegal("no server sends it")
	}
	return nil
}

// judgeMessage: subscribers are served at QoS 0, and a topic of a message holds
// no wildcard (section 3.3.2.1).
func (s *fuzzClient) judgeMessage(illegal func(string) error, flags byte, body []byte) error {
	if flags&^retain != 0 {
		return illegal("not QoS 0")
	}
	if len(body) < 2 {
		return illegal("cut short")
	}
	n := int(binary.BigEndian.Uint16(body))
	if n == 0 || 2+n > len(body) {
		return illegal("no topic")
	}
	for _, b := range body[2 : 2+n] {
		if b == '+' || b == '#' || b == 0 {
			return illegal("a topic that is none")
		}
	}
	return nil
}

// note counts PUBACK and PUBREC, and tells of those that say "taken".
func (s *fuzzClient) note(head byte, body []byte) {
	if head != puback && head != pubrec {
		return
	}
	id := binary.BigEndian.Uint16(body)
	s.mu.Lock()
	s.answered[id]++
	s.mu.Unlock()
	const refused = 0x80 // and above
	if s.acked != nil && (len(body) < 3 || body[2] < refused) {
		s.acked(head, id)
	}
}
