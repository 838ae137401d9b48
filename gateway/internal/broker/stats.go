package broker

import (
	"sync/atomic"
	"time"
)

// A refusal is why a connection or a message was turned away.
type refusal int

const (
	refusedAccept    refusal = iota // the system gave no connection
	refusedPeer                     // not from the home network
	refusedLimit                    // too many connections
	refusedAddress                  // too many from one address
	refusedTLS                      // TLS handshake
	refusedLogin                    // user or password
	refusedTooMany                  // wrong passwords
	refusedClientID                 // too long, or of another user
	refusedSessions                 // too many sessions
	refusedWill                     // its topic
	refusedDelay                    // too early after a message was turned away
	refusedMessage                  // Accept failed
	refusedTopic                    // the user's role, $ topics, too deep
	refusedSubscribe                // the same for subscriptions, or too many
	refusedRetain                   // no room for retained messages
	refusals
)

var refusalNames = [refusals]string{
	"accept", "not_local", "connections", "address", "tls", "login", "too_many_logins", "client_id", "sessions",
	"will", "delay", "message", "topic", "subscription", "retained",
}

// Stats are counted since the start, apart from those that say now.
type Stats struct {
	Connections   int   // now
	Clients       int   // connected now
	Sessions      int   // connected and remembered now
	Subscriptions int   // of all sessions now
	Retained      int   // messages now, without those of $SYS
	HeldBytes     int64 // waiting to leave now
	Refused       map[string]uint64
	Panics        uint64 // of the MQTT library, recovered
	Lost          uint64 // connections closed because of a write or a commit
	Received      uint64 // messages
	Sent          uint64 // messages
	Dropped       uint64 // messages that a subscriber was too slow for
	RetainedFail  bool   // retained messages cannot be saved now
}

// Stats returns the counters.
func (b *Broker) Stats() Stats {
	info := b.server.Info.Clone()
	s := Stats{
		Clients:       int(info.ClientsConnected),
		Sessions:      b.sessions.size(),
		Subscriptions: int(info.Subscriptions),
		Retained:      b.retained.count(),
		Refused:       make(map[string]uint64, refusals),
		Panics:        b.counters.panics.Load(),
		Lost:          b.counters.losses.Load(),
		Received:      uint64(info.MessagesReceived),
		Sent:          uint64(info.MessagesSent),
		Dropped:       uint64(info.MessagesDropped),
		RetainedFail:  b.retained.failing.Load(),
	}
	for _, c := range b.conns.all() {
		s.Connections++
		s.HeldBytes += int64(c.heldBytes())
	}
	for r, name := range refusalNames {
		s.Refused[name] = b.counters.refused[r].Load()
	}
	return s
}

// counters count, and say when a line in the log is due: the first of a kind
// and then one a minute, because whoever is refused comes back at once.
type counters struct {
	refused [refusals]atomic.Uint64
	logged  [refusals]atomic.Int64 // Unix time
	panics  atomic.Uint64
	paniced atomic.Int64
	losses  atomic.Uint64
	peers   peers
}

func (c *counters) refuse(r refusal) (log bool) {
	c.refused[r].Add(1)
	return due(&c.logged[r])
}

func (c *counters) panicked() (log bool) {
	c.panics.Add(1)
	return due(&c.paniced)
}

func due(last *atomic.Int64) bool {
	then, now := last.Load(), time.Now().Unix()
	return (now-then >= 60 || now < then) && last.CompareAndSwap(then, now)
}
