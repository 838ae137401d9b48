package broker_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

func keptIn(path string) func(*broker.Options) {
	return func(o *broker.Options) { o.RetainedPath = path }
}

// wantRetained expects that exactly these messages are retained, in any order.
func wantRetained(t *testing.T, c *client, want map[string]string) {
	t.Helper()
	c.subscribe("#")
	got := make(map[string]string)
	c.send(ping)
	for {
		head, body := c.packet()
		if head == pong[0] {
			break
		}
		if head != 0x31 {
			t.Fatalf("got packet %x %x, want a retained message", head, body)
		}
		n := int(body[1]) + 2
		got[string(body[2:n])] = string(body[n:])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("retained: %v, want %v", got, want)
	}
}

// After a restart home automation must find what devices said of themselves:
// they say it once.
func TestRetainedMessagesOutliveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retained.db")
	long := strings.Repeat("x", 100_000)
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		for topic, payload := range map[string]string{"a": "1", "b": "gone", "c": "old", "long": long} {
			c.send(c.message(retain, topic, 1, 1, payload))
			c.want(ack(puback, 1)...)
		}
		time.Sleep(6 * time.Second) // all that is in the file
		c.send(c.message(retain, "c", 0, 0, "new"))
		c.send(c.message(retain, "b", 1, 1, ""))
		c.want(ack(puback, 1)...)
	})
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "b"})
		wantRetained(t, c, map[string]string{"a": "1", "c": "new", "long": long})
		if got := r.store.all(); len(got) != 0 {
			t.Errorf("retained messages were accepted again: %+v", got)
		}
	})
}

// A power cut instead of a stop: what changed five seconds ago is there.
func TestRetainedMessagesAreSavedWithinFiveSeconds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retained.db")
	copied := path + ".copy"
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		for i := range 20 { // changes all the time must not put the save off
			c.send(c.message(retain, "a", 1, 1, fmt.Sprint(i)))
			c.want(ack(puback, 1)...)
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, content, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(copied))
		wantRetained(t, letIn(t, net.dial(t, ""), hello{id: "b"}), map[string]string{"a": "19"})
	})
}

// With its default mochi drops retained messages after a day, and all of them
// at once when the clock is set by more than that: a Pi without a clock starts
// in the past. The bubble's clock is years behind the test's.
func TestRetainedMessagesOutliveAClockStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retained.db")
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		c.send(c.message(retain, "a", 1, 1, "x"))
		c.want(ack(puback, 1)...)
	})
	r := start(t, keptIn(path))
	c := r.client(t, hello{id: "b"})
	c.wantSilence(1200 * time.Millisecond) // mochi looks once a second
	wantRetained(t, c, map[string]string{"a": "x"})
}

// A card damages files. The broker must serve all the same, and the file must
// be there for a look at it.
func TestDamagedRetainedFileIsSetAside(t *testing.T) {
	whole := retainedFile(t)
	damages := map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"short":     func(b []byte) []byte { return b[:1000] },
		"one page":  func(b []byte) []byte { return b[:4096] },
		"truncated": func(b []byte) []byte { return b[:len(b)/2/4096*4096] },
		"zeros":     func(b []byte) []byte { return make([]byte, len(b)) },
		"text":      func([]byte) []byte { return bytes.Repeat([]byte("no database "), 4096) },
	}
	for page := range len(whole) / 4096 {
		damages[fmt.Sprint("page ", page)] = func(b []byte) []byte {
			for i := range 4096 {
				b[page*4096+i] ^= 0xa5
			}
			return b
		}
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "retained.db")
			if err := os.WriteFile(path, damage(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, payload := range []string{"first", "second"} {
				synctest.Test(t, func(t *testing.T) {
					_, net := inBubble(t, keptIn(path))
					c := letIn(t, net.dial(t, ""), hello{id: "a"})
					c.send(c.message(retain, "after", 1, 1, payload))
					c.want(ack(puback, 1)...)
				})
			}
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, keptIn(path))
				c := letIn(t, net.dial(t, ""), hello{id: "b"})
				c.subscribe("after")
				c.wantMessage("after", "second")
			})
		})
	}
}

func retainedFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "retained.db")
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		for i := range 100 {
			c.send(c.message(retain, fmt.Sprint("topic", i), 1, 1, strings.Repeat("x", 100)))
			c.want(ack(puback, 1)...)
		}
	})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// Where the file cannot be the broker serves from memory. Once the card is
// mended it is well again by itself, though nothing retained changes.
func TestBrokerServesWithoutRetainedFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	path := filepath.Join(dir, "retained.db")
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		c.send(c.message(retain, "a", 1, 1, "x"))
		c.want(ack(puback, 1)...)
		wantRetained(t, c, map[string]string{"a": "x"})
		time.Sleep(10 * time.Second)
		if !r.Stats().RetainedFail {
			t.Error("the failure is not told")
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if r.Stats().RetainedFail {
			t.Error("the failure is told after its end")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(path))
		wantRetained(t, letIn(t, net.dial(t, ""), hello{id: "b"}), map[string]string{"a": "x"})
	})
}

// The same where nothing is ever retained.
func TestUnusedRetainedFileIsMended(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	synctest.Test(t, func(t *testing.T) {
		r, _ := inBubble(t, keptIn(filepath.Join(dir, "retained.db")))
		if !r.Stats().RetainedFail {
			t.Error("the failure is not told")
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if r.Stats().RetainedFail {
			t.Error("the failure is told after its end")
		}
	})
}

// Home automation asks for all retained messages at once. mochi drops what does
// not fit into a client's queue.
func TestAllRetainedMessagesArrive(t *testing.T) {
	const n = 2000
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Limits.HeldBytes = 20_000 })
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		for i := range n {
			c.send(c.message(retain, fmt.Sprint("topic/", i), 1, 1, strings.Repeat("x", 200)))
			c.want(ack(puback, 1)...)
		}
		c.subscribe("topic/+")
		for range n {
			if head, _ := c.packet(); head != 0x31 {
				t.Fatalf("got packet %x, want a retained message", head)
			}
		}
		c.ping()
	})
}

// Retained messages are bounded: a device that invents topics would fill the
// memory of the gateway.
func TestRetainedMessagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Limits.RetainedBytes = 20_000 })
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		for i := range 100 {
			c.send(c.message(retain, fmt.Sprint("topic/", i), 1, 1, "x"))
			c.want(ack(puback, 1)...)
		}
		if got := r.Stats().Retained; got < 5 || got > 15 {
			t.Errorf("%d messages retained, want about 10", got)
		}
		c.send(c.message(retain, "topic/0", 1, 1, "new")) // replaces one
		c.want(ack(puback, 1)...)
		c.subscribe("topic/0")
		c.wantMessage("topic/0", "new")
		if got := len(r.store.all()); got != 101 {
			t.Errorf("%d messages stored, want all 101", got)
		}
	})
}

// Which retained messages a filter brings (MQTT 5.0 section 4.7).
func TestRetainedMessagesMatchTheirFilter(t *testing.T) {
	topics := []string{"a", "a/b", "a/b/c", "a//c", "/a", "b", "a/b/"}
	tests := map[string]string{
		"a": "a", "#": "/a a a//c a/b a/b/ a/b/c b", "+": "a b", "a/#": "a a//c a/b a/b/ a/b/c", "+/+": "/a a/b",
		"a/+/c": "a//c a/b/c", "+/b/#": "a/b a/b/ a/b/c", "a/b/+": "a/b/ a/b/c", "/#": "/a", "c": "", "a/+": "a/b",
		"$SYS/broker/none": "", "+/broker/version": "",
	}
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Listen[0].AnonymousRole = home })
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		for _, topic := range topics {
			c.send(c.message(retain, topic, 1, 1, "x"))
			c.want(ack(puback, 1)...)
		}
		for filter, want := range tests {
			c.subscribe(filter)
			c.send(ping)
			var got []string
			for head, body := c.packet(); head != pong[0]; head, body = c.packet() {
				got = append(got, string(body[2:2+int(body[1])]))
			}
			slices.Sort(got)
			if got := strings.Join(got, " "); got != want {
				t.Errorf("%s brings %q, want %q", filter, got, want)
			}
		}
	})
}

// MQTT 5 clients choose whether they want retained messages (section 3.8.3.1).
func TestRetainHandling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		c := letIn(t, net.dial(t, ""), hello{id: "a", version: 5})
		c.send(c.message(retain, "a", 1, 1, "x"))
		c.want(ack(puback, 1)...)
		subscribe := func(options byte) {
			t.Helper()
			c.send(frame(0x82, append(append([]byte{0, 9, 0}, str("a")...), options)))
			c.want(0x90, 4, 0, 9, 0, 0)
		}
		subscribe(2 << 4) // never
		c.ping()
		subscribe(1 << 4) // if new: it is not
		c.ping()
		subscribe(0 << 4)
		c.wantMessage("a", "x")
		subscribe(0<<4 | 1<<2) // no local: it is its own message
		c.ping()
	})
}
