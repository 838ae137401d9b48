package broker

import (
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// A session is what belongs to a client id, whatever connection it comes on.
type session struct {
	// tag is the highest number that a QoS 1 or 2 message of this client got. No
	// byte leaves to the client before it is durable, on no connection: mochi
	// answers a resent QoS 2 message on the new one without asking the hook. It
	// is only ever raised.
	tag atomic.Uint64

	// Guarded by registry.mu.
	user    string
	holders int           // connections let in and not yet ended
	conn    *conn         // the one that has the session now
	opening chan struct{} // closed when conn has taken the session over; nil before and after
	ending  chan struct{} // closed when mochi is done with conn; nil unless it is being ended
}

func (s *session) raise(tag uint64) {
	for {
		now := s.tag.Load()
		if tag <= now || s.tag.CompareAndSwap(now, tag) {
			return
		}
	}
}

// A registry knows the sessions. It also keeps mochi from doing two things at
// once with one client id: mochi deletes a session that ended by its id, and
// would delete the one of a new connection that came a moment too early
// (server.go attachClient, inheritClientSession).
type registry struct {
	server *mqtt.Server

	mu       sync.Mutex
	sessions map[string]*session
	delays   map[string]*delay
}

// claim lets c in as id, unless another user is connected under that id: a
// session is taken over by id alone, subscriptions included. It reports whether
// the id had a session of another user, who is not connected.
func (r *registry) claim(c *conn, id string, u users.User) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s == nil {
		if r.sessions == nil {
			r.sessions = make(map[string]*session)
		}
		s = &session{user: u.Name}
		r.sessions[id] = s
	}
	if s.user != u.Name {
		if s.holders > 0 {
			return false
		}
		s.user = u.Name
		r.discard(id)
	}
	s.holders++
	c.session.Store(s)
	return true
}

// discard makes mochi forget what another user left under id.
func (r *registry) discard(id string) {
	old, ok := r.server.Clients.Get(id)
	if !ok {
		return
	}
	r.server.UnsubscribeClient(old)
	old.ClearInflights()
	r.server.Clients.Delete(id)
}

// attach makes c the session's connection, when mochi is done with ending the
// one before, or with another that came at the same time.
func (r *registry) attach(c *conn) {
	s := c.session.Load()
	for {
		r.mu.Lock()
		busy := s.ending
		if busy == nil {
			busy = s.opening
		}
		if busy == nil {
			old := s.conn
			s.conn, s.opening = c, make(chan struct{})
			r.mu.Unlock()
			if old != nil {
				old.handover.move()
			}
			return
		}
		r.mu.Unlock()
		<-busy // a few map operations of mochi away
	}
}

// attached ends what attach began: mochi has moved the session.
func (r *registry) attached(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened(c)
}

func (r *registry) opened(c *conn) {
	if s := c.session.Load(); s.conn == c && s.opening != nil {
		close(s.opening)
		s.opening = nil
	}
}

// detach is called when mochi ends c. If a newer connection is taking the
// session over, it waits until that is done, because only then does mochi know
// that the session is not c's to delete.
func (r *registry) detach(c *conn) {
	s := c.session.Load()
	r.mu.Lock()
	if s.conn == c {
		if s.ending == nil {
			s.ending = make(chan struct{})
		}
		r.mu.Unlock()
		return
	}
	opening := s.opening
	r.mu.Unlock()
	if opening != nil {
		<-opening
	}
}

// detached is called when mochi is done with c. A session that mochi does not
// remember is forgotten here too.
func (r *registry) detached(c *conn, id string) {
	s := c.session.Load()
	if s == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened(c)
	if s.conn == c {
		s.conn = nil
		if s.ending != nil {
			close(s.ending)
			s.ending = nil
		}
	}
	s.holders--
	if _, remembered := r.server.Clients.Get(id); s.holders == 0 && !remembered && r.sessions[id] == s {
		delete(r.sessions, id)
	}
}

// forget drops a session that expired.
func (r *registry) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[id]; s != nil && s.holders == 0 {
		delete(r.sessions, id)
	}
}

// has reports whether c has its session, not a newer connection.
func (r *registry) has(c *conn) bool {
	s := c.session.Load()
	if s == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.conn == c
}

// settled reports the same once mochi has moved the session.
func (r *registry) settled(c *conn) bool {
	s := c.session.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	return s != nil && s.conn == c && s.opening == nil && s.ending == nil
}

func (r *registry) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}

// How long a client whose message was turned away stays away, and for how long
// that is remembered.
const (
	firstDelay  = time.Second
	longest     = time.Minute
	forgetAfter = 5 * time.Minute
	maxDelays   = 1024
)

// A delay is how long a client stays away after its message was turned away.
// It doubles each time: fifty sockets that resend at once to a full buffer
// would otherwise do nothing but reconnect.
type delay struct {
	wait    time.Duration
	until   time.Time
	penalty bool // it was cut off: no message ends the delay
}

// turnedAway notes that a message of the client known as key was turned away,
// and returns for how long it is not let in.
func (r *registry) turnedAway(key string, now time.Time) time.Duration {
	return r.lengthen(key, false, now)
}

// penalise does the same after the client was cut off for exceeding a limit.
func (r *registry) penalise(key string, now time.Time) time.Duration {
	return r.lengthen(key, true, now)
}

func (r *registry) lengthen(key string, penalty bool, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.delays[key]
	if d == nil {
		r.pruneDelays(now)
		d = new(delay)
		r.delays[key] = d
	}
	d.wait = min(max(2*d.wait, firstDelay), longest)
	d.until = now.Add(d.wait)
	d.penalty = d.penalty || penalty
	return d.wait
}

func (r *registry) pruneDelays(now time.Time) {
	if r.delays == nil {
		r.delays = make(map[string]*delay)
	}
	for key, d := range r.delays {
		if now.Sub(d.until) > forgetAfter {
			delete(r.delays, key)
		}
	}
	if len(r.delays) >= maxDelays {
		clear(r.delays) // more clients than sessions: they choose new ids
	}
}

// mayEnter reports whether the client known as key has waited, and whether the
// next message of it that is taken ends its delays.
func (r *registry) mayEnter(key string, now time.Time) (ok, delayed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.delays[key]
	if d != nil && d.penalty && now.Sub(d.until) > forgetAfter {
		delete(r.delays, key)
		d = nil
	}
	return d == nil || !now.Before(d.until), d != nil && !d.penalty
}

// taken ends the delays of a client: a message of it was taken.
func (r *registry) taken(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.delays, key)
}
