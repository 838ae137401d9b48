package broker

import (
	"context"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const watchEvery = time.Second

// Why the broker itself disconnects a client.
var (
	reasonStopping = packets.ErrServerShuttingDown
	reasonRevoked  = packets.ErrNotAuthorized
)

// watch does what is due now and then.
func (b *Broker) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var generation uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if b.options.Users != nil {
			if now := b.options.Users.Generation(); now != generation {
				generation = now
				b.review()
			}
		}
		b.heal()
		b.conns.sweep(&b.options.Limits, time.Now())
	}
}

// review disconnects clients whose user is gone or has another password, and
// gives the others their present role.
func (b *Broker) review() {
	for _, c := range b.conns.all() {
		who := c.account.Load()
		if who == nil || who.anonymous || c.internal {
			continue
		}
		now, ok := b.options.Users.Current(who.user)
		if !ok {
			b.log.Info("client disconnected: its user was removed or has a new password", "client", c.id(), "user", who.user.Name)
			b.disconnect(c, reasonRevoked)
			continue
		}
		c.account.Store(&account{user: now})
	}
}

// disconnect tells the client why, if it can be told, and closes. mochi's
// DisconnectClient returns the reason as an error, which is no failure.
func (b *Broker) disconnect(c *conn, reason packets.Code) {
	if cl := c.client.Load(); cl != nil {
		_ = b.server.DisconnectClient(cl, reason)
		return
	}
	_ = c.Close() // not yet let in
}

// heal puts connected clients back that mochi lost: its search for expired
// sessions deletes by client id, and may meet a client that just returned.
func (b *Broker) heal() {
	for _, c := range b.conns.all() {
		cl := c.client.Load()
		if cl == nil || cl.Closed() || !b.sessions.settled(c) {
			continue
		}
		if _, ok := b.server.Clients.Get(cl.ID); !ok {
			b.server.Clients.Add(cl)
		}
	}
}
