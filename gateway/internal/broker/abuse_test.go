package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A lines is a log that a test reads.
type lines struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.Write(p)
}

// with returns the lines whose attributes are as given.
func (l *lines) with(t *testing.T, attrs map[string]string) (found []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.bytes.Bytes()) {
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		fits := true
		for key, want := range attrs {
			fits = fits && fmt.Sprint(got[key]) == want
		}
		if fits {
			found = append(found, got)
		}
	}
	return found
}

func (l *lines) option(o *broker.Options) { o.Log = slog.New(slog.NewJSONHandler(l, nil)) }

// flood sends packets until the broker closes, and returns how many it took.
func flood(conn net.Conn, packet []byte) (sent int) {
	for {
		if _, err := conn.Write(packet); err != nil {
			return sent
		}
		sent++
	}
}

// drain reads whatever comes, and returns the last bytes of it.
func drain(conn net.Conn) (last []byte) {
	p := make([]byte, 4096)
	for {
		n, err := conn.Read(p)
		if n > 0 {
			last = bytes.Clone(p[:n])
		}
		if err != nil {
			return last
		}
	}
}

// A station that was out of reach sends all that it kept at once. It is slowed
// down to what it may, and every message of it is taken and answered.
func TestBacklogIsSlowedDownAndNothingLost(t *testing.T) {
	const messages, rate = 2000, 100
	tests := map[string]func(*broker.Limits){
		"messages of a client":   func(l *broker.Limits) { l.Messages = rate },
		"messages of an address": func(l *broker.Limits) { l.AddressMessages = rate },
		"bytes of a client":      func(l *broker.Limits) { l.Bytes = rate * 20 },
		"bytes of an address":    func(l *broker.Limits) { l.AddressBytes = rate * 20 },
	}
	for name, limit := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, func(o *broker.Options) { limit(&o.Limits); o.Limits.Patience = time.Minute })
				c := letIn(t, net.dial(t, ""), hello{id: "station"})
				c.patience = time.Minute
				begin := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() {
					for id := range uint16(messages) {
						c.publish("tele/s", 1, id+1, "12345678") // 20 bytes
					}
				})
				for id := range uint16(messages) {
					c.want(ack(puback, id+1)...)
				}
				sending.Wait()
				took, least := time.Since(begin), time.Duration(messages-2*rate-100)*time.Second/rate
				if took < least/2 || took > 2*least { // half: a share is never less than it takes to connect
					t.Errorf("%d messages at %d a second took %s, want about %s", messages, rate, took, least)
				}
				s := r.Stats()
				if got := len(r.store.all()); got != messages || s.Slowed == 0 || s.SlowedFor < least/2 || len(refusals(s)) > 0 {
					t.Errorf("%d messages taken, slowed %d times for %s, refused %v", got, s.Slowed, s.SlowedFor, refusals(s))
				}
			})
		})
	}
}

// refusals are the reasons that were counted.
func refusals(s broker.Stats) map[string]uint64 {
	some := map[string]uint64{}
	for reason, n := range s.Refused {
		if n > 0 {
			some[reason] = n
		}
	}
	return some
}

// A client that does not stop is cut off and told why, kept away for a while
// that grows, and named in one line of the log and in the statistics. Its
// neighbour behind the same address notices nothing.
func TestFlooderIsCutOff(t *testing.T) {
	tests := map[string]struct {
		limit   func(*broker.Limits)
		version byte
		reason  byte
		allowed string
	}{
		"messages_per_client":  {func(l *broker.Limits) { l.Messages = 100 }, 5, 0x96, "100/s"},
		"bytes_per_client":     {func(l *broker.Limits) { l.Bytes = 2000 }, 5, 0x97, "2000 bytes/s"},
		"messages_per_address": {func(l *broker.Limits) { l.AddressMessages = 100 }, 5, 0x96, "100/s"},
		"bytes_per_address":    {func(l *broker.Limits) { l.AddressBytes = 2000 }, 4, 0, "2000 bytes/s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lines
				r, net := inBubble(t, func(o *broker.Options) { test.limit(&o.Limits); o.Limits.Patience = 5 * time.Second; log.option(o) })
				calm := letIn(t, net.dial(t, ""), hello{id: "calm"})
				worst := time.Duration(0)
				for _, away := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
					c := letIn(t, net.dial(t, ""), hello{id: "flooder", version: test.version})
					begin := time.Now()
					var running sync.WaitGroup
					running.Go(func() { flood(c, c.message(0, "tele/s", 0, 0, "12345678")) })
					ended := make(chan []byte, 1)
					running.Go(func() { ended <- drain(c) })
					for alive := true; alive; {
						select {
						case last := <-ended:
							alive = false
							if want := []byte{0xe0, test.reason}; test.reason != 0 && (len(last) < 3 || last[0] != want[0] || last[2] != want[1]) {
								t.Errorf("the last bytes are %x, want a DISCONNECT with reason %x", last, test.reason)
							}
						default:
							if time.Since(begin) > time.Minute {
								t.Fatal("not cut off within a minute")
							}
							asked := time.Now()
							calm.publish("tele/c", 1, 1, "x")
							calm.want(ack(puback, 1)...)
							worst = max(worst, time.Since(asked))
							time.Sleep(200 * time.Millisecond)
						}
					}
					running.Wait()
					if took := time.Since(begin); took < 5*time.Second || took > 12*time.Second {
						t.Errorf("cut off after %s, want a burst of 2 s and 5 s of patience", took)
					}
					again := hello{id: "flooder", version: test.version}
					if got := answer(t, net.dial(t, ""), again); got != map[byte]byte{4: 3, 5: 0x89}[test.version] {
						t.Errorf("let in again at once: code %x", got)
					}
					time.Sleep(away)
				}
				if worst > 10*time.Millisecond {
					t.Errorf("its neighbour waited %s for an answer", worst)
				}
				s := r.Stats()
				if s.Refused[name] != 3 {
					t.Errorf("refused %v, want 3 times %s", refusals(s), name)
				}
				want := map[string]string{"event": "client_refused", "client": "flooder", "address": "192.168.1.20", "reason": name,
					"setting": "mqtt.limits." + name, "limit": test.allowed}
				if got := log.with(t, want); len(got) != 1 {
					t.Errorf("%d lines with %v in\n%s", len(got), want, log.bytes.String())
				}
				named := false
				for _, a := range s.Abuses {
					if a.Client == "calm" {
						t.Errorf("its neighbour met a limit: %+v", a)
					}
					named = named || a.Effect == broker.CutOff && a.Client == "flooder" && a.Reason == name && a.Setting == "mqtt.limits."+name && a.Allowed == test.allowed && a.Times == 3
				}
				if !named {
					t.Errorf("not among the abuses: %+v", s.Abuses)
				}
				time.Sleep(2 * time.Minute)
				if got := r.Stats().Abuses; len(got) > 0 {
					t.Errorf("two minutes later there is still %+v", got)
				}
			})
		})
	}
}

// Ten flooders of one address share what it may, whatever id they take next;
// a device at another address is not concerned.
func TestFloodersOfAnAddressShareItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, span = 1000, 20 * time.Second
		r, net := inBubble(t, func(o *broker.Options) { o.Limits.AddressMessages, o.Limits.Patience = rate, time.Hour })
		other := letIn(t, net.dial(t, "192.168.1.77:1"), hello{id: "other"})
		end := time.Now().Add(span)
		var running sync.WaitGroup
		for i := range 10 {
			running.Go(func() {
				for n := 0; time.Now().Before(end); n++ { // comes again with another id
					c := letIn(t, net.dial(t, ""), hello{id: fmt.Sprint(i, "-", n)})
					for range 500 {
						if time.Now().Before(end) {
							c.publish("tele/s", 0, 0, "x")
						}
					}
					c.send(disconnect)
					c.Close()
				}
			})
		}
		for time.Now().Before(end) {
			asked := time.Now()
			other.publish("tele/o", 1, 1, "x")
			other.want(ack(puback, 1)...)
			if took := time.Since(asked); took > 10*time.Millisecond {
				t.Errorf("the other device waited %s", took)
			}
			time.Sleep(time.Second)
		}
		running.Wait()
		taken := 0
		for _, m := range r.store.all() {
			if m.Client != "other" {
				taken++
			}
		}
		// Twice the burst: that of the address, and what was in shares.
		if most := rate * int(span/time.Second+5); taken > most || taken < rate*int(span/time.Second)/2 {
			t.Errorf("%d messages taken in %s, want about %d", taken, span, most)
		}
	})
}

// ask tries to get in and goes when it has its answer.
func ask(t *testing.T, net *pipes, h hello) {
	t.Helper()
	c := newClient(t, net.dial(t, ""), h.version)
	c.send(h.bytes())
	c.packet()
	c.Close()
	synctest.Wait() // or a thousand connections that are about to end fill the address
}

// A client that comes again and again, under ids of its own choice, must not
// fill the log of a small card.
func TestRefusalsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		r, net := inBubble(t, func(o *broker.Options) { o.Listen[0].Anonymous = false; log.option(o) })
		for i := range 1000 {
			ask(t, net, as("burglar", fmt.Sprint("id", i%2), 5))
			ask(t, net, as("burglar", fmt.Sprint("new", i), 5))
		}
		refused := map[string]string{"event": "client_refused", "reason": "login", "user": "burglar"}
		if got := len(log.with(t, refused)); got < 3 || got > 300 {
			t.Errorf("%d lines about 2000 refusals", got)
		}
		refused["client"] = "id1"
		if got := len(log.with(t, refused)); got != 1 {
			t.Errorf("%d lines about one client in no time, want 1", got)
		}
		time.Sleep(time.Minute)
		ask(t, net, as("burglar", "id1", 5))
		if got := len(log.with(t, refused)); got != 2 {
			t.Errorf("%d lines about one client in a minute, want 2", got)
		}
		if got := r.Stats().Refused["login"]; got != 2001 {
			t.Errorf("%d refusals counted, want 2001", got)
		}
	})
}

// A guesser waits for the answer to a password that was not even read, so that
// connections cost it more than the gateway.
func TestGuesserHasToWait(t *testing.T) {
	file := household(t)
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Users, o.Listen[0].Anonymous = file, false })
		letIn(t, net.dial(t, ""), as("plug", "plug", 5))
		begin, tries := time.Now(), 0
		for ; time.Since(begin) < time.Minute && tries < 1000; tries++ {
			ask(t, net, hello{id: "a", user: "panel", password: fmt.Sprint("guess", tries), version: 5})
		}
		if tries > 90 {
			t.Errorf("%d guesses in a minute over one connection after the other, want about 70", tries)
		}
		letIn(t, net.dial(t, ""), as("plug", "plug", 5)) // at once: known
		named := false
		for _, a := range r.Stats().Abuses {
			named = named || a.Reason == "too_many_logins" && a.User == "panel"
		}
		if !named {
			t.Errorf("not among the abuses: %+v", r.Stats().Abuses)
		}
	})
}
