package broker_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A fuzzLedger knows which messages are durable.
type fuzzLedger struct {
	store   func(context.Context, broker.Message) (uint64, error)
	durable func() uint64

	mu    sync.Mutex
	first map[ledgerKey]uint64 // the tag under which one was first accepted
	free  map[ledgerKey]bool   // a message that need not be stored was sent
	other map[string]bool      // clients that may have sent messages which do not tell their id
}

type ledgerKey struct {
	client string
	id     uint16
}

func (l *fuzzLedger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first, l.free, l.other = map[ledgerKey]uint64{}, map[ledgerKey]bool{}, map[string]bool{}
}

func (l *fuzzLedger) sent(client string, id uint16, topic string) {
	if strings.HasPrefix(topic, "$") {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.free[ledgerKey{client, id}] = true
	}
}

func (l *fuzzLedger) doubt(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.other[client] = true
}

func (l *fuzzLedger) accept(ctx context.Context, m broker.Message) (uint64, error) {
	tag, err := l.store(ctx, m)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(m.Payload); err == nil && m.QoS > 0 && n > 0 {
		k := ledgerKey{m.Client, uint16(m.Payload[n-1])}
		if _, known := l.first[k]; !known {
			l.first[k] = tag
		}
	}
	return tag, err
}

// check is called with each answer that says a message was taken.
func (l *fuzzLedger) check(t *testing.T, client string, kind byte, id uint16) {
	durable := l.durable()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := ledgerKey{client, id}
	if tag, known := l.first[k]; !l.free[k] && !l.other[client] && (!known || tag > durable) {
		t.Errorf("answer %#x to message %d of client %s, which was accepted: %v, as %d; durable is %d", kind, id, client, known, tag, durable)
	}
}
