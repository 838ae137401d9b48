package broker_test

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
	"github.com/plantgate/plantgate/gateway/internal/users"
)

// household has a user of each role; the password is the name backwards.
func household(t *testing.T) *users.File {
	t.Helper()
	f, err := users.Open(filepath.Join(t.TempDir(), "mqtt-users"))
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]users.Role{"plug": device, "assistant": home, "panel": reader} {
		if err := f.Add(name, backwards(name), role); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func backwards(s string) string {
	b := []byte(s)
	for i := range len(b) / 2 {
		b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
	}
	return string(b)
}

func as(user, id string, version byte) hello {
	return hello{id: id, user: user, password: backwards(user), version: version}
}

// answer is what comes back for a CONNECT.
func answer(t *testing.T, conn net.Conn, h hello) byte {
	t.Helper()
	c := newClient(t, conn, h.version)
	c.send(h.bytes())
	head, body := c.packet()
	if head != 0x20 {
		t.Fatalf("got packet %x %x, want a CONNACK", head, body)
	}
	if body[1] != 0 {
		c.wantClosed()
	}
	return body[1]
}

// The zero of every configuration: nobody gets in without a password.
func TestOnlyUsersGetIn(t *testing.T) {
	tests := map[string]struct {
		hello  hello
		v4, v5 byte
	}{
		"right":          {as("plug", "a", 0), 0, 0},
		"wrong password": {hello{id: "a", user: "plug", password: "x"}, 5, 0x86},
		"no password":    {hello{id: "a", user: "plug"}, 5, 0x86},
		"no user":        {hello{id: "a"}, 5, 0x86},
		"unknown":        {as("burglar", "a", 0), 5, 0x86},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := household(t)
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, func(o *broker.Options) { o.Users, o.Listen[0].Anonymous = file, false })
				for version, want := range map[byte]byte{4: test.v4, 5: test.v5} {
					test.hello.version = version
					if got := answer(t, net.dial(t, ""), test.hello); got != want {
						t.Errorf("v%d: code %x, want %x", version, got, want)
					}
				}
			})
		})
	}
}

func TestNobodyGetsInWithoutUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Listen[0].Anonymous = false })
		if got := answer(t, net.dial(t, ""), as("plug", "a", 0)); got != 5 {
			t.Errorf("code %x, want 5", got)
		}
	})
}

// Where anonymous clients are let in, devices keep the name they had with
// another broker; but a name that exists needs its password.
func TestAnonymousClients(t *testing.T) {
	file := household(t)
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Users = file })
		if got := answer(t, net.dial(t, ""), hello{id: "a", user: "DVES_USER", password: "x"}); got != 0 {
			t.Errorf("unknown name: code %x, want 0", got)
		}
		if got := answer(t, net.dial(t, ""), hello{id: "b", user: "plug", password: "x"}); got != 5 {
			t.Errorf("wrong password: code %x, want 5", got)
		}
		c := letIn(t, net.dial(t, ""), as("plug", "c", 0))
		c.publish("a", 1, 1, "x")
		c.want(ack(puback, 1)...)
		if got := r.store.all()[0].User; got != "plug" {
			t.Errorf("message of user %q, want plug", got)
		}
	})
}

// A socket that was taken over must not switch the others, nor a dashboard
// anything.
func TestRolesBoundWhatIsPublished(t *testing.T) {
	tests := []struct {
		user, topic string
		v5          byte // reason code of the PUBACK; 0: none
		stays       bool // an MQTT 3.1.1 client keeps its connection
	}{
		{"plug", "tele/plug/SENSOR", 0, true},
		{"plug", "shellyplug-s/events/rpc", 0, true},
		{"plug", "cmnd/other/POWER", 0x87, true},
		{"plug", "zigbee2mqtt/lamp/set", 0x87, true},
		{"assistant", "cmnd/other/POWER", 0, true},
		{"panel", "tele/plug/SENSOR", 0x87, false},
	}
	file := household(t)
	for _, test := range tests {
		t.Run(test.user+" "+test.topic, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, func(o *broker.Options) { o.Users, o.Listen[0].Anonymous = file, false })
				watcher := letIn(t, net.dial(t, ""), as("assistant", "watcher", 0))
				watcher.subscribe("#")
				c := letIn(t, net.dial(t, ""), as(test.user, "new", 5))
				c.publish(test.topic, 1, 1, "x")
				head, body := c.packet()
				if got := reason(body); head != puback || got != test.v5 {
					t.Errorf("v5: got %x %x, want a PUBACK with reason %x", head, body, test.v5)
				}
				old := letIn(t, net.dial(t, ""), as(test.user, "old", 4))
				old.publish(test.topic, 1, 1, "x")
				if test.stays {
					old.want(ack(puback, 1)...)
				} else {
					old.wantClosed()
				}
				want := 0
				if test.v5 == 0 {
					want = 2
				}
				if got := len(r.store.all()); got != want {
					t.Errorf("%d messages stored, want %d", got, want)
				}
				for range want {
					watcher.wantMessage(test.topic, "x")
				}
				watcher.ping()
			})
		})
	}
}

func reason(body []byte) byte {
	if len(body) > 2 {
		return body[2]
	}
	return 0
}

// mochi does not look at the topic of a will: whoever may connect could switch
// a socket by dying.
func TestWillsAreJudgedLikeMessages(t *testing.T) {
	file := household(t)
	tests := map[string]struct {
		user, topic string
		v4, v5      byte
	}{
		"own":     {"plug", "tele/plug/LWT", 0, 0},
		"command": {"plug", "cmnd/other/POWER", 5, 0x87},
		"home":    {"assistant", "cmnd/other/POWER", 0, 0},
		"reader":  {"panel", "a", 5, 0x87},
		"broker":  {"assistant", "$SYS/a", 5, 0x87},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, net := inBubble(t, func(o *broker.Options) { o.Users, o.Listen[0].Anonymous = file, false })
				for version, want := range map[byte]byte{4: test.v4, 5: test.v5} {
					h := as(test.user, "a", version)
					h.will = &will{topic: test.topic, payload: "ON"}
					if got := answer(t, net.dial(t, ""), h); got != want {
						t.Errorf("v%d: code %x, want %x", version, got, want)
					}
				}
			})
		})
	}
}

func TestRolesBoundWhatIsSubscribed(t *testing.T) {
	file := household(t)
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Users, o.Listen[0].Anonymous = file, false })
		c := letIn(t, net.dial(t, ""), as("plug", "a", 5))
		c.send(c.subscription("#", "$SYS/#", "$share/g/$SYS/#"))
		c.want(0x90, 6, 0, 9, 0, 0, 0x87, 0x87)
		c = letIn(t, net.dial(t, ""), as("panel", "b", 5))
		c.send(c.subscription("#", "$SYS/none"))
		c.want(0x90, 5, 0, 9, 0, 0, 0)
	})
}

// A session is taken over by its client id alone, with its subscriptions: the
// id belongs to the user that is connected with it.
func TestClientIDBelongsToItsUser(t *testing.T) {
	file := household(t)
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Users = file })
		keep := as("assistant", "hub", 4)
		keep.keep = true
		hub := letIn(t, net.dial(t, ""), keep)
		hub.subscribe("secret")
		if got := answer(t, net.dial(t, ""), as("plug", "hub", 4)); got != 2 {
			t.Errorf("another user: code %x, want 2", got)
		}
		if got := answer(t, net.dial(t, ""), hello{id: "hub", version: 5}); got != 0x85 {
			t.Errorf("anonymous: code %x, want 85", got)
		}
		hub.ping()
		hub.Close()
		synctest.Wait()
		thief := as("plug", "hub", 4)
		thief.keep = true
		c := letIn(t, net.dial(t, ""), thief) // session present would be 1
		other := letIn(t, net.dial(t, ""), as("assistant", "other", 4))
		other.publish("secret", 1, 1, "x")
		other.want(ack(puback, 1)...)
		c.ping()
		if got := r.Stats().Refused["client_id"]; got != 2 {
			t.Errorf("%d refusals counted, want 2", got)
		}
	})
}

// Who took a user away wants it gone now, not when the device reconnects.
func TestRemovedUserIsDisconnected(t *testing.T) {
	file := household(t)
	r := start(t, func(o *broker.Options) { o.Users, o.Listen[0].Anonymous = file, false })
	plug := r.client(t, as("plug", "plug", 5))
	panel := r.client(t, as("panel", "panel", 5))
	assistant := r.client(t, as("assistant", "assistant", 5))
	if err := file.Remove("plug"); err != nil {
		t.Fatal(err)
	}
	if err := file.SetPassword("assistant", "new"); err != nil {
		t.Fatal(err)
	}
	if err := file.SetRole("panel", home); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{plug, assistant} {
		if head, body := c.packet(); head != 0xe0 || body[0] != 0x87 {
			t.Errorf("got %x %x, want a DISCONNECT with reason 0x87", head, body)
		}
	}
	panel.publish("cmnd/a", 1, 1, "x")
	if head, body := panel.packet(); head != puback || reason(body) != 0 {
		t.Errorf("got %x %x, want a PUBACK", head, body)
	}
}

// Guessing passwords must cost the guesser, not the gateway; and it must not
// lock out the devices behind the same address that have the right one.
func TestWrongPasswordsAreLimited(t *testing.T) {
	file := household(t)
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) { o.Users, o.Listen[0].Anonymous = file, false })
		letIn(t, net.dial(t, ""), as("plug", "plug", 5))
		var limited bool
		for range 20 {
			c := newClient(t, net.dial(t, ""), 5)
			c.send(hello{id: "a", user: "plug", password: "x", version: 5}.bytes())
			_, body := c.packet()
			limited = limited || body[1] == 0x9f
		}
		if !limited {
			t.Error("twenty wrong passwords in no time are not limited")
		}
		letIn(t, net.dial(t, ""), as("plug", "plug2", 5))
		letIn(t, net.dial(t, "192.168.1.99:7"), as("panel", "panel", 5))
		time.Sleep(time.Minute)
		letIn(t, net.dial(t, ""), as("panel", "panel2", 5))
	})
}

// Home IPv6 is global, so every plain listener is one the whole world may try.
func TestPlainIsForTheHomeNetwork(t *testing.T) {
	tests := map[address]bool{
		"192.168.1.5:1":        true,
		"10.0.0.1:1":           true,
		"172.31.255.1:1":       true,
		"127.0.0.1:1":          true,
		"169.254.7.7:1":        true,
		"[::1]:1":              true,
		"[fe80::1%eth0]:1":     true,
		"[fd12:3456::1]:1":     true,
		"[::ffff:10.0.0.1]:1":  true,
		"8.8.8.8:1":            false,
		"172.32.0.1:1":         false,
		"[2001:4860::8888]:1":  false,
		"[::ffff:8.8.8.8]:1":   false,
		"pipe":                 false,
		"@":                    false,
		"[2001:4860::1%x]:443": false,
	}
	for from, want := range tests {
		t.Run(string(from), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, net := inBubble(t, nil)
				c := net.dial(t, from)
				_, err := c.Write(hello{id: "a"}.bytes())
				if got := err == nil; got != want {
					t.Errorf("served: %v, want %v", got, want)
				}
				if got := r.Stats().Refused["not_local"] == 0; got != want {
					t.Errorf("not counted: %v, want %v", got, want)
				}
			})
		})
	}
}

// One host with a thousand sockets must not keep the others out.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, func(o *broker.Options) { o.Limits.Connections, o.Limits.PerAddress = 5, 3 })
		served := func(from address, id int) bool {
			c := net.dial(t, from)
			_, err := c.Write(hello{id: fmt.Sprint(id), forever: true}.bytes())
			if err == nil {
				_, err = c.Read(make([]byte, 4))
			}
			return err == nil
		}
		steps := []struct {
			from address
			want bool
		}{
			{"192.168.1.1:1", true}, {"192.168.1.1:2", true}, {"[::ffff:192.168.1.1]:3", true}, {"192.168.1.1:4", false},
			{"[fd00::1]:1", true}, {"[fd00::2]:1", true}, {"192.168.1.2:1", false},
		}
		for i, s := range steps {
			if got := served(s.from, i); got != s.want {
				t.Errorf("connection %d from %s served: %v, want %v", i, s.from, got, s.want)
			}
		}
		s := r.Stats()
		if s.Refused["address"] != 1 || s.Refused["connections"] != 1 || s.Clients != 5 {
			t.Errorf("stats %+v", s)
		}
		if err := r.Alive(t.Context()); err != nil {
			t.Errorf("the broker's own connection: %v", err)
		}
	})
}

// Extended authentication is refused, as the standard wants (MQTT 5.0 section
// 4.12), and not ignored.
func TestExtendedAuthenticationIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		h := hello{id: "a", version: 5, properties: append([]byte{0x15}, str("SCRAM")...)}
		if got := answer(t, net.dial(t, ""), h); got != 0x8c {
			t.Errorf("code %x, want 8c", got)
		}
	})
}

// What an MQTT 5 client is told of the broker, byte by byte.
func TestConnackTellsTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, nil)
		c := newClient(t, net.dial(t, ""), 5)
		c.send(hello{id: "a", version: 5, properties: []byte{0x11, 0xff, 0xff, 0xff, 0xff}}.bytes())
		c.want(0x20, 16, 0, 0, 13,
			0x11, 0, 9, 0x3a, 0x80, // sessions: seven days
			0x21, 4, 0, // Receive Maximum 1024
			0x27, 0, 0x10, 0, 0) // Maximum Packet Size 1 MiB
	})
}
