package broker_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// Eight bytes that end a process with stock mochi (issue 501): an MQTT 5
// SUBSCRIBE whose filter has no options. Anyone who may connect could send them.
func TestMalformedSubscribeEndsOnlyItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		other := letIn(t, net.dial(t, ""), hello{id: "other"})
		for range 20 {
			c := letIn(t, net.dial(t, ""), hello{id: "evil", version: 5})
			c.send([]byte{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61})
			c.wantClosed()
		}
		other.ping()
		synctest.Wait()
		if s := r.Stats(); s.Panics != 20 || s.Sessions != 1 {
			t.Errorf("%d panics and %d sessions counted, want 20 and 1", s.Panics, s.Sessions)
		}
	})
}

// A client that a panic ended did not say goodbye: its will tells the others.
func TestWillOfPanickedClientIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		other := letIn(t, net.dial(t, ""), hello{id: "other"})
		other.subscribe("lwt")
		c := letIn(t, net.dial(t, ""), hello{id: "evil", version: 5, will: &will{topic: "lwt", payload: "Offline"}})
		c.send([]byte{0x82, 0x06, 0x00, 0x01, 0x00, 0x00, 0x01, 0x61})
		other.wantMessage("lwt", "Offline")
		if got := r.store.all(); len(got) != 1 || !got[0].Will {
			t.Errorf("stored %+v, want the will", got)
		}
	})
}

// A port scanner, a half-open connection, an attacker with a thousand sockets:
// whoever says nothing is cut off.
func TestSilentConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		c := net.dial(t, "")
		if _, err := c.Write([]byte{0x10}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("read: %v, want EOF", err)
		}
		if took := time.Since(start); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("closed after %v, want 5 s to 6 s", took)
		}
		synctest.Wait()
		if got := r.Stats().Connections; got != 0 {
			t.Errorf("%d connections left", got)
		}
	})
}

// systemctl stop must not wait for a client: stock mochi waits for ever for one
// that never sent CONNECT.
func TestStopsWithinThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		net.dial(t, "") // idle
		half := net.dial(t, "")
		if _, err := half.Write([]byte{0x10, 20, 0}); err != nil {
			t.Fatal(err)
		}
		idle := letIn(t, net.dial(t, ""), hello{id: "idle", forever: true})
		slow := letIn(t, net.dial(t, ""), hello{id: "slow", forever: true})
		slow.subscribe("#")
		waiting := letIn(t, net.dial(t, ""), hello{id: "waiting"})
		r.store.hold()
		waiting.publish("a", 1, 1, "x") // its answer is held, and slow does not read the message
		synctest.Wait()
		start := time.Now()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("stopping took %v, want 3 s at most", took)
		}
		idle.wantClosed()
		waiting.wantClosed()
	})
}

// An MQTT 5 client learns why: that the server is shutting down.
func TestStopTellsTheReason(t *testing.T) {
	r := start(t, nil)
	c := r.client(t, hello{id: "a", version: 5})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if head, body := c.packet(); head != 0xe0 || body[0] != 0x8b {
		t.Fatalf("got %x %x, want a DISCONNECT with reason 0x8b", head, body)
	}
	c.wantClosed()
}

// A client that is turned away while it sends on must learn why: a socket that
// is closed with unread bytes in it is reset, and takes the answer back.
func TestRefusalArrivesThoughTheClientSendsOn(t *testing.T) {
	r := start(t, func(o *broker.Options) { o.Listen[0].Anonymous = false })
	c := newClient(t, r.dial(t), 5)
	c.send(append(hello{id: "a", version: 5}.bytes(), make([]byte, 100_000)...))
	if head, body := c.packet(); head != 0x20 || body[1] != 0x86 {
		t.Fatalf("got %x %x, want a CONNACK with reason 0x86", head, body)
	}
	if _, _, err := c.read(10 * time.Second); err != io.EOF {
		t.Errorf("read: %v, want EOF", err)
	}
	for range 2 { // the second would meet the reset that the first caused
		if _, err := c.Write(ping); err != nil {
			t.Errorf("connection was reset: %v", err)
		}
	}
}

// Five bytes that allocate 256 MiB with stock mochi, before any password.
func TestHugeLengthAllocatesNothing(t *testing.T) {
	for name, head := range map[string][]byte{
		"connect":  {0x10, 0xff, 0xff, 0xff, 0x7f},
		"long":     {0x10, 0xa0, 0xc2, 0x1e}, // 500,000 bytes of CONNECT
		"overlong": {0x10, 0x80, 0x80, 0x80, 0x80, 0x01},
		"publish":  {0x30, 0xff, 0xff, 0xff, 0x7f},
		"http":     []byte("GET / HTTP/1.1\r\n"), // a web page in a browser at home
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, nil)
				c := net.dial(t, "")
				before := allocated()
				c.Write(head) // the end may come before the last byte
				if _, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Fatalf("read: %v, want EOF", err)
				}
				if got := allocated() - before; got > 256<<10 {
					t.Errorf("%d bytes were allocated", got)
				}
			})
		})
	}
}

// The same after CONNECT, from a client that may connect.
func TestPacketSizeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Limits.PacketSize = 1000 })
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		c.publish("a", 1, 1, strings.Repeat("x", 900))
		c.want(ack(puback, 1)...)
		before := allocated()
		c.send([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
		c.wantClosed()
		if got := allocated() - before; got > 1<<20 {
			t.Errorf("%d bytes were allocated", got)
		}
	})
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A thousand idle connections must not be the end of a Pi with 512 MB: stock
// mochi needs 80 KiB for each.
func TestIdleConnectionIsCheap(t *testing.T) {
	const n = 200
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Limits.PerAddress = n })
		before := allocated()
		for range n {
			net.dial(t, "")
		}
		synctest.Wait()
		if got := (allocated() - before) / n; got > 16<<10 {
			t.Errorf("%d bytes for each connection, want 16 KiB at most", got)
		}
	})
}

// A frozen dashboard: with stock mochi one subscriber that stops reading stops
// every publisher in the process for ever.
func TestFrozenSubscriberDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		frozen := letIn(t, net.dial(t, ""), hello{id: "frozen", forever: true})
		frozen.subscribe("#")
		healthy := letIn(t, net.dial(t, ""), hello{id: "healthy"})
		healthy.subscribe("tele/+/SENSOR")
		publisher := letIn(t, net.dial(t, ""), hello{id: "publisher"})
		for id := range uint16(600) {
			start := time.Now()
			publisher.publish("tele/washer/SENSOR", 1, id+1, strings.Repeat("x", 300))
			publisher.want(ack(puback, id+1)...)
			healthy.wantMessage("tele/washer/SENSOR", strings.Repeat("x", 300))
			if took := time.Since(start); took > 2*time.Second {
				t.Fatalf("message %d took %v", id, took)
			}
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := r.Stats().Clients; got != 2 {
			t.Errorf("%d clients connected, want the frozen one gone", got)
		}
	})
}

// A client that takes nothing but whose socket still accepts is bounded by
// memory, not only by time.
func TestHeldBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) {
			o.Limits.HeldBytes = 10_000
			o.Limits.WriteTimeout = time.Hour
		})
		frozen := letIn(t, net.dial(t, ""), hello{id: "frozen", forever: true})
		frozen.subscribe("#")
		publisher := letIn(t, net.dial(t, ""), hello{id: "publisher"})
		for range 100 {
			publisher.publish("a", 0, 0, strings.Repeat("x", 300))
			publisher.ping()
		}
		synctest.Wait()
		if s := r.Stats(); s.Clients != 1 || s.HeldBytes > 10_000 {
			t.Errorf("%d clients and %d bytes held, want the frozen one gone", s.Clients, s.HeldBytes)
		}
	})
}

// mochi ends a listener at the first error of accept: a gateway out of file
// descriptors for a moment would be deaf until someone restarts it.
func TestListenerOutlivesAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, nil)
		for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS} {
			net.errs <- err
		}
		letIn(t, net.dial(t, ""), hello{id: "a"}).ping()
		if got := r.Stats().Refused["accept"]; got != 4 {
			t.Errorf("%d failures counted, want 4", got)
		}
	})
}

// A listener that is gone is another matter: the broker is of no use and must
// end, so that it is started again.
func TestLostListenerEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, p := inBubble(t, nil)
		r.fails = true
		p.Close()
		synctest.Wait()
		if err := r.stop(); err == nil || !strings.Contains(err.Error(), net.ErrClosed.Error()) {
			t.Errorf("Run: %v, want that the listener is closed", err)
		}
	})
}

// mochi adds half to the keep-alive in 16 bits: with 43691 s a sleepy sensor is
// cut off at once, with 43700 s after 14 s.
func TestKeepAliveIsOneAndAHalf(t *testing.T) {
	for _, seconds := range []uint16{2, 60, 600} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, nil)
				c := letIn(t, net.dial(t, ""), hello{id: "a", keepAlive: seconds})
				d := time.Duration(seconds) * time.Second * 3 / 2
				time.Sleep(d - 10*time.Millisecond)
				c.ping()
				start := time.Now()
				if _, _, err := c.read(2 * d); err != io.EOF {
					t.Fatalf("read: %v, want EOF", err)
				}
				if took := time.Since(start); took < d-10*time.Millisecond || took > d+2*time.Second {
					t.Errorf("closed after %v of silence, want %v", took, d)
				}
			})
		})
	}
}

func TestLongKeepAliveIsNotCutShort(t *testing.T) {
	for _, seconds := range []uint16{43691, 43700} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, nil)
				c := letIn(t, net.dial(t, ""), hello{id: "a", keepAlive: seconds})
				time.Sleep(100 * time.Second)
				c.ping()
			})
		})
	}
}

// An MQTT 5 sender may limit the life of its message.
func TestRetainedMessageExpiresWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5, forever: true})
		body := append(append(str("a"), 0, 1), 5, 0x02, 0, 0, 0, 10) // Message Expiry Interval
		c.send(frame(0x33, append(body, "x"...)))
		c.want(ack(puback, 1)...)
		time.Sleep(15 * time.Second)
		c.subscribe("a")
		c.ping()
	})
}

// $SYS every second is 20 retained messages and a stop of the world each: too
// much for a Pi Zero.
func TestSysTopicsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Listen[0].AnonymousRole = home })
		c := letIn(t, net.dial(t, ""), hello{id: "a", forever: true})
		c.subscribe("$SYS/broker/uptime")
		c.packet() // the retained one
		start := time.Now()
		if _, _, err := c.read(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.read(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < time.Minute {
			t.Errorf("two updates within %v", took)
		}
	})
}

// mochi logs whole packets: with the password of a second CONNECT, and with
// what was published.
func TestLogHoldsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		r, net := inBubble(t, func(o *broker.Options) {
			o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		h := hello{id: "a", user: "alice", password: "geheim", will: &will{topic: "lwt", payload: "geheim"}}
		c := letIn(t, net.dial(t, ""), h)
		c.send(h.bytes()) // a second CONNECT
		c.wantClosed()
		r.store.refuseWith(errQuota)
		c = letIn(t, net.dial(t, ""), hello{id: "b"})
		c.publish("a", 1, 1, "geheim")
		c.wantClosed()
		synctest.Wait()
		text := log.String()
		for _, secret := range []string{"geheim", fmt.Sprint([]byte("geheim")), "Z2VoZWlt"} {
			if strings.Contains(text, secret) {
				t.Errorf("the log holds %q:\n%s", secret, text)
			}
		}
		if !strings.Contains(text, "second connect packet") {
			t.Errorf("the log does not tell what happened:\n%s", text)
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
