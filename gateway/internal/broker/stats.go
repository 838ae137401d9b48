package broker

import (
	"sync/atomic"
	"time"
)

// A refusal is why a connection or a message was turned away.
type refusal int

const (
	refusedAccept          refusal = iota // the system gave no connection
	refusedPeer                           // not from the home network
	refusedLimit                          // too many connections
	refusedAddress                        // too many from one address
	refusedTLS                            // TLS handshake
	refusedLogin                          // user or password
	refusedTooMany                        // wrong passwords
	refusedClientID                       // too long, or of another user
	refusedSessions                       // too many sessions
	refusedWill                           // its topic
	refusedDelay                          // too early after it was turned away
	refusedMessage                        // Accept failed
	refusedTopic                          // the user's role, $ topics, too deep
	refusedSubscribe                      // too many subscriptions
	refusedFilter                         // too deep
	refusedRetain                         // no room for retained messages
	refusedRetainClient                   // too many retained messages of one client
	refusedMessages                       // too many a second
	refusedBytes                          // the same in bytes
	refusedAddressMessages                // the same of all clients of an address
	refusedAddressBytes                   //
	refusals
)

var reasons = [refusals]reason{
	refusedAccept:  {name: "accept", why: "the system gave no connection"},
	refusedPeer:    {name: "not_local", why: "plain MQTT is for the home network only (use the TLS listener)"},
	refusedLimit:   {"connections", "connections", counted(func(l *Limits) int { return l.Connections }, ""), "there are too many connections"},
	refusedAddress: {"address", "connections_per_address", counted(func(l *Limits) int { return l.PerAddress }, ""), "there are too many connections from its address"},
	refusedTLS:     {name: "tls", why: "the TLS handshake failed"},
	refusedLogin:   {name: "login", why: "name or password is wrong, or its way to log in is not supported (see plantgate mqtt user list)"},
	refusedTooMany: {name: "too_many_logins", why: "too many wrong passwords from its address, or for its name"},
	refusedClientID: {name: "client_id",
		why: "client id is too long, or another user is connected with it (give each device its own)"},
	refusedSessions: {"sessions", "", counted(func(l *Limits) int { return l.Sessions }, ""),
		"there are too many sessions (clients that connect with a new id and without clean session leave one each)"},
	refusedWill:         {name: "will", why: "its will has a topic that its user may not publish to"},
	refusedDelay:        {name: "delay", why: "it was turned away or cut off a moment ago"},
	refusedMessage:      {name: "message", why: "the message could not be stored"},
	refusedTopic:        {name: "topic", why: "its user may not publish to this topic"},
	refusedSubscribe:    {"subscription", "subscriptions_per_client", counted(func(l *Limits) int { return l.Subscriptions }, ""), "it has too many subscriptions"},
	refusedFilter:       {"filter", "", counted(func(l *Limits) int { return l.TopicLevels }, " levels"), "its subscription has too many levels"},
	refusedRetain:       {"retained", "", counted(func(l *Limits) int { return l.RetainedBytes }, " bytes"), "there are too many retained messages"},
	refusedRetainClient: {"retained_per_client", "retained_per_client", counted(func(l *Limits) int { return l.Retained }, ""), "it has too many retained messages"},
	refusedMessages:     {"messages_per_client", "messages_per_client", counted(func(l *Limits) int { return l.Messages }, "/s"), "it sends too many messages"},
	refusedBytes:        {"bytes_per_client", "bytes_per_client", counted(func(l *Limits) int { return l.Bytes }, " bytes/s"), "it sends too many bytes"},
	refusedAddressMessages: {"messages_per_address", "messages_per_address", counted(func(l *Limits) int { return l.AddressMessages }, "/s"),
		"its address sends too many messages, and it more than its share"},
	refusedAddressBytes: {"bytes_per_address", "bytes_per_address", counted(func(l *Limits) int { return l.AddressBytes }, " bytes/s"),
		"its address sends too many bytes, and it more than its share"},
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
	Slowed        uint64        // times that a client was not read from, because it sent too much
	SlowedFor     time.Duration // in all
	Abuses        []Abuse       // limits met within the last minute, the latest first
	Panics        uint64        // of the MQTT library, recovered
	Lost          uint64        // connections closed because of a write or a commit
	Received      uint64        // messages
	Sent          uint64        // messages
	Dropped       uint64        // messages that a subscriber was too slow for
	RetainedFail  bool          // retained messages cannot be saved now
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
		Slowed:        b.counters.slowed.Load(),
		SlowedFor:     time.Duration(b.counters.slowedFor.Load()),
		Abuses:        b.counters.notes.abuses(&b.options.Limits, time.Now()),
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
	for r := range reasons {
		s.Refused[reasons[r].name] = b.counters.refused[r].Load()
	}
	return s
}

type counters struct {
	refused   [refusals]atomic.Uint64
	slowed    atomic.Uint64
	slowedFor atomic.Int64 // nanoseconds
	notes     notes
	panics    atomic.Uint64
	paniced   atomic.Int64 // Unix time of the last line about one
	losses    atomic.Uint64
	peers     peers
}

func (c *counters) refuse(r refusal) { c.refused[r].Add(1) }

// panicked reports whether a line in the log is due: the first, and then one a
// minute.
func (c *counters) panicked() (log bool) {
	c.panics.Add(1)
	then, now := c.paniced.Load(), time.Now().Unix()
	return (now-then >= 60 || now < then) && c.paniced.CompareAndSwap(then, now)
}
