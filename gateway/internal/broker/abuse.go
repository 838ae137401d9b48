package broker

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	noteFor  = time.Minute // how long a limit that was met is remembered, and how often it is logged
	maxNotes = 256         // what is told apart; more is one note for each reason

	// How many messages and subscriptions of a client may be turned down at
	// once and in a second: each alone costs nothing but its answer, which a
	// device with a setting too many can live with; a flood of them is cut off.
	// A bridge updates its topics no faster.
	strikesAtOnce    = 1000
	strikesPerSecond = 50
)

// An Abuse is a limit that a client met within the last minute.
type Abuse struct {
	Client, User, Address string    // "" each when they are too many to be told apart
	Reason                string    // as in Stats.Refused
	Setting               string    // the key of the configuration that sets the limit; "": none does
	Allowed               string    // the limit
	Effect                Effect    //
	Since, Last           time.Time //
	Times                 uint64    //
}

// An Effect is what a limit did to a client, for people to read.
type Effect string

// The effects.
const (
	SlowedDown Effect = "slowed down"
	TurnedDown Effect = "turned down" // one message or subscription of it
	TurnedAway Effect = "turned away" // not let in
	CutOff     Effect = "cut off"
)

// notes are the limits that were met lately. They also bound the lines in the
// log: the first of a client and reason, and then one a minute, because whoever
// is refused comes back at once.
type notes struct {
	mu  sync.Mutex
	now map[note]*noted
}

// A note is what is told apart.
type note struct {
	reason          refusal
	client, address string
	effect          Effect
}

type noted struct {
	user                string
	since, last, logged time.Time
	times               uint64
}

// take notes that a limit was met, and reports whether a line is due.
func (n *notes) take(k note, user string, now time.Time) (log bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entry(k, now)
	e.user, e.last = user, now
	if e.times++; now.Sub(e.logged) < noteFor {
		return false
	}
	e.logged = now
	return true
}

func (n *notes) entry(k note, now time.Time) *noted {
	if e := n.now[k]; e != nil {
		return e
	}
	if len(n.now) >= maxNotes {
		n.prune(now)
	}
	if len(n.now) >= maxNotes {
		k = note{reason: k.reason, effect: k.effect} // of these there are few
		if e := n.now[k]; e != nil {
			return e
		}
	}
	if n.now == nil {
		n.now = make(map[note]*noted)
	}
	e := &noted{since: now}
	n.now[k] = e
	return e
}

func (n *notes) prune(now time.Time) {
	for k, e := range n.now {
		if now.Sub(e.last) >= noteFor {
			delete(n.now, k)
		}
	}
}

// abuses lists what is noted of limits, the latest first.
func (n *notes) abuses(l *Limits, now time.Time) (list []Abuse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.prune(now)
	for k, e := range n.now {
		why := reasons[k.reason]
		if why.limit == nil && k.reason != refusedTooMany {
			continue
		}
		a := Abuse{
			Client: k.client, User: e.user, Address: k.address, Reason: why.name, Setting: why.setting(),
			Effect: k.effect, Since: e.since, Last: e.last, Times: e.times,
		}
		if why.limit != nil {
			a.Allowed = why.limit(l)
		}
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Abuse) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Client, b.Client))
	})
	return list
}

// refuse counts what is turned away, and says so once a minute.
func (b *Broker) refuse(c *conn, r refusal, e Effect, client, user, what string, more ...any) {
	b.counters.refuse(r)
	address := c.from.String()
	if !b.counters.notes.take(note{r, client, address, e}, user, time.Now()) {
		return
	}
	args := []any{"event", "client_refused", "client", client, "user", user, "address", address}
	b.log.Warn(what, slices.Concat(args, reasons[r].attrs(c.limits), more)...)
}

// slowed is what conn.slowed does: the client is not read from for a while.
func (b *Broker) slowed(c *conn, r refusal, since time.Time, wait time.Duration) {
	b.counters.slowed.Add(1)
	b.counters.slowedFor.Add(int64(wait))
	client, user, address := c.id(), c.user(), c.from.String()
	if !b.counters.notes.take(note{r, client, address, SlowedDown}, user, time.Now()) {
		return
	}
	args := []any{"client", client, "user", user, "address", address}
	b.log.Info("client is slowed down: it sends more than it may", slices.Concat(args, reasons[r].attrs(c.limits))...)
}

// cutOff disconnects a client for good reason and keeps it away for a while,
// longer each time.
func (b *Broker) cutOff(c *conn, r refusal) {
	if b.stopping.Load() || c.closing.Load() {
		return
	}
	wait := b.sessions.penalise(c.key(), time.Now())
	b.refuse(c, r, CutOff, c.id(), c.user(), "client was cut off: "+reasons[r].why, "not_before", wait.String())
	code := packets.ErrQuotaExceeded
	if r == refusedMessages || r == refusedAddressMessages {
		code = packets.ErrMessageRateTooHigh
	}
	b.disconnect(c, code)
}

// strike turns down one message or subscription, and cuts off a client that
// does not stop.
func (b *Broker) strike(c *conn, cl *mqtt.Client, r refusal, what string, more ...any) {
	b.refuse(c, r, TurnedDown, cl.ID, c.user(), what, more...)
	if c.reader.strikes.spend(1, strikesPerSecond, strikesAtOnce, time.Now()) > 0 {
		b.cutOff(c, r)
	}
}

// A reason is what a refusal is called, which key below mqtt.limits sets its
// limit, and what a person is told.
type reason struct {
	name  string
	key   string
	limit func(*Limits) string
	why   string
}

func (r reason) setting() string {
	if r.key == "" {
		return ""
	}
	return "mqtt.limits." + r.key
}

func (r reason) attrs(l *Limits) []any {
	args := []any{"reason", r.name, "error", r.why}
	if r.limit != nil {
		args = append(args, "limit", r.limit(l))
	}
	if r.key != "" {
		args = append(args, "setting", r.setting())
	}
	return args
}

func counted(of func(*Limits) int, unit string) func(*Limits) string {
	return func(l *Limits) string { return fmt.Sprint(of(l), unit) }
}
