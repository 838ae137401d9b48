package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A store stands for the buffer: what is accepted is numbered at once and
// durable after a commit, which takes one sync for all that came before it.
type store struct {
	sync func() error // of one commit; nil: none is needed

	mu       sync.Mutex
	count    uint64
	messages []broker.Message
	forget   bool // do not keep messages
	durable  uint64
	asked    uint64
	held     bool // commits wait
	failed   error
	refuse   error // what accept fails with
	changed  chan struct{}
	wake     chan struct{}
}

func newStore() *store {
	return &store{changed: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (s *store) accept(_ context.Context, m broker.Message) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return 0, s.refuse
	}
	s.count++
	if !s.forget {
		m.Payload = bytes.Clone(m.Payload) // it is the broker's
		s.messages = append(s.messages, m)
	}
	return s.count, nil
}

func (s *store) wait(ctx context.Context, number uint64) error {
	for {
		s.mu.Lock()
		durable, failed, changed := s.durable, s.failed, s.changed
		s.asked = max(s.asked, number)
		s.mu.Unlock()
		switch {
		case number <= durable:
			return nil
		case failed != nil:
			return failed
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *store) durableNumber() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// run commits until ctx ends.
func (s *store) run(ctx context.Context) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		s.commit()
	}
}

func (s *store) commit() {
	s.mu.Lock()
	last, idle := s.count, s.held || s.failed != nil
	s.mu.Unlock()
	if idle {
		return
	}
	var err error
	if s.sync != nil {
		err = s.sync()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.durable = max(s.durable, last)
	}
	s.failed = err
	close(s.changed)
	s.changed = make(chan struct{})
}

// What mochi gives a meaning of its own.
var (
	errQuota  = packets.ErrQuotaExceeded
	errReject = packets.ErrRejectPacket
	errIgnore = packets.CodeSuccessIgnore
)

// hold makes the card hang; release lets it go on.
func (s *store) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

func (s *store) release() {
	s.mu.Lock()
	s.held = false
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

var errCard = errors.New("input/output error")

// fail makes the card give up: every wait for what is not yet durable fails.
func (s *store) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errCard
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *store) refuseWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

func (s *store) askedFor() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *store) all() []broker.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]broker.Message(nil), s.messages...)
}

// A rig is a running broker and its store.
type rig struct {
	*broker.Broker
	store *store
	stop  func() error // ends Run and returns what it returned
	fails bool         // Run is expected to fail
}

func (r *rig) end(t testing.TB) func() {
	return func() {
		if err := r.stop(); (err != nil) != r.fails {
			t.Errorf("Run: %v", err)
		}
	}
}

// start runs a broker for local anonymous clients on a free port, changed by
// edit.
func start(t testing.TB, edit func(*broker.Options)) *rig {
	t.Helper()
	return run(context.Background(), t, newStore(), broker.Listener{Addr: "127.0.0.1:0", Anonymous: true}, edit)
}

// run runs a broker on a listener until the test ends or stop is called, and
// its store with it.
func run(ctx context.Context, t testing.TB, s *store, l broker.Listener, edit func(*broker.Options)) *rig {
	t.Helper()
	o := broker.Options{
		Listen: []broker.Listener{l},
		Accept: s.accept, Wait: s.wait, Durable: s.durableNumber,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if edit != nil {
		edit(&o)
	}
	b, err := broker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	ready, ended := make(chan struct{}), make(chan error, 1)
	running.Go(func() { ended <- b.Run(ctx, func() { close(ready) }) })
	stop := sync.OnceValue(func() error {
		cancel()
		running.Wait()
		return <-ended
	})
	r := &rig{Broker: b, store: s, stop: stop}
	t.Cleanup(r.end(t))
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("Run: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("broker does not get ready")
	}
	return r
}

// addr is the address of the first listener.
func (r *rig) addr() string { return r.Addrs()[0].String() }

func (r *rig) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
