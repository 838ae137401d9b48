package forward

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A witness sees what the client does not return: it retries by itself and for
// ever, and says why only to its hooks and its log.
type witness struct {
	log   *slog.Logger
	seeds []string
	// curious makes the client tell all; only then does it say with which
	// error a batch is sent again and again.
	curious atomic.Bool
	// away is set by every new connection: a broker that was away may come
	// back without its last records. wake tells the sender while it is idle.
	away atomic.Bool
	wake chan struct{}
	// reached is set once an address that Kafka announces could be reached.
	reached atomic.Bool

	mu    sync.Mutex
	cause error
}

func newWitness(o Options) *witness {
	return &witness{log: o.Log, seeds: o.Brokers, wake: make(chan struct{}, 1)}
}

var (
	_ kgo.HookBrokerConnect = (*witness)(nil)
	_ kgo.Logger            = (*witness)(nil)
)

// OnBrokerConnect implements kgo.HookBrokerConnect. Nodes below zero are the
// configured addresses, the others those that Kafka announces.
func (w *witness) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	announced := meta.NodeID >= 0
	if err == nil {
		w.wasAway()
		if announced {
			w.reached.Store(true)
		}
		return
	}
	address := net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port)))
	if announced && !w.reached.Load() && !slices.Contains(w.seeds, address) && isDial(err) {
		err = &announcedAddress{address: address, err: err}
	}
	w.note(err)
}

// wasAway notes that Kafka may have lost records.
func (w *witness) wasAway() {
	w.away.Store(true)
	select {
	case w.wake <- struct{}{}:
	default: // it has not yet looked at the last one
	}
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Level implements kgo.Logger.
func (w *witness) Level() kgo.LogLevel {
	if w.curious.Load() || w.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelDebug
	}
	return kgo.LogLevelWarn
}

// Log implements kgo.Logger. The client repeats its warnings with every
// attempt, so they reach our log only when somebody looks for details.
func (w *witness) Log(_ kgo.LogLevel, msg string, pairs ...any) {
	w.log.Debug(msg, pairs...)
	for i := 0; i+1 < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case error:
			w.note(v)
		case string:
			if pairs[i] == "to" {
				w.note(refusalIn(v))
			}
		}
	}
}

// refusalIn finds the error in the client's account of a produce request:
// topic[0{retrying@-1,50(NOT_ENOUGH_REPLICAS: Messages are ...)}]. A wording
// that changes costs the explanation in the log and nothing else.
func refusalIn(account string) error {
	_, rest, _ := strings.Cut(account, "{retrying@")
	_, rest, _ = strings.Cut(rest, "(")
	name, _, found := strings.Cut(rest, ":")
	if !found {
		return nil
	}
	const codes = 256 // Kafka 4.3 uses 137
	for code := int16(1); code < codes; code++ {
		if e, ok := kerr.ErrorForCode(code).(*kerr.Error); ok && e.Message == name {
			return e
		}
	}
	return nil
}

// note keeps the last cause that says anything. That the client was closed or
// an attempt was called off is our own doing.
func (w *witness) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil && errors.Is(err, context.DeadlineExceeded) {
		return // what came before says more
	}
	w.cause = err
}

func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = nil
}

func (w *witness) lastCause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}
