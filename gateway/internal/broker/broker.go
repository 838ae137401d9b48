// Package broker is the MQTT broker of the gateway: mochi-mqtt behind one
// function, Options.Accept, that gets every message.
//
// It guarantees that no PUBACK and no PUBREC leaves before what it answers is
// durable (Options.Wait), whatever connection it leaves on; that a message
// which could not be stored is never answered; that no client, however slow,
// fast, broken or malicious, stops the others; and that Run ends within three
// seconds. Subscribers are served at QoS 0: Kafka is the durable consumer. A
// QoS 2 message arrives exactly once while the broker runs, at least once over
// a restart.
//
// It does not know what messages mean, where they are stored, or that there is
// a Kafka.
//
// How it works: mochi handles the packets of one client one after the other
// and answers each before it reads the next. So Accept only queues a message
// and returns the number under which it will be stored, and mochi's answer goes
// into a connection (conn) that holds it back until that number is durable. A
// commit serves all connections at once, and no client waits for another.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"golang.org/x/sync/errgroup"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

// A Message is what a client published, or its will.
type Message struct {
	Client, User, Topic string // User is "" for anonymous clients
	Payload             []byte // neither to be kept nor changed
	QoS                 byte
	Retained, Dup       bool
	Will                bool // the client's connection broke
}

// A Listener is an address to listen on.
type Listener struct {
	Addr          string       // as net.Listen takes it: ":1883"
	Socket        net.Listener // already open (from systemd); Addr is then not used
	TLS           *tls.Config  // nil: plain text, for local peers only
	Anonymous     bool         // local peers need no user
	AnonymousRole users.Role   // of clients without user
}

// Limits bound what clients can cost. A zero means the default.
type Limits struct {
	Connections         int           // open at a time; 512
	PerAddress          int           // of these, from one address (IPv6: one /64); 128
	Sessions            int           // connected and remembered clients; 1024
	Messages            int           // packets a second from one client; 20,000
	Bytes               int           // a second from one client; 16 MiB
	AddressMessages     int           // packets a second from one address; 200,000
	AddressBytes        int           // a second from one address; 128 MiB
	Patience            time.Duration // for a client that has to be slowed down to these; 30 s
	KeepAlive           time.Duration // longest silence of an MQTT 5 client; 1 h
	Retained            int           // messages of one client; 2048
	Subscriptions       int           // of one client; 8192: home automation has one for each thing it knows
	DeviceSubscriptions int           // of one client whose role is Device; 256
	TopicLevels         int           // of a topic or filter; 16
	PacketSize          uint32        // bytes; 1 MiB
	HeldBytes           int           // waiting to leave on one connection; 512 KiB
	RetainedBytes       int           // of memory for all retained messages; 16 MiB
	ConnectTimeout      time.Duration // from accept to CONNECT, the TLS handshake apart; 5 s
	WriteTimeout        time.Duration // a client must take what is sent to it within; 2 s
	DrainTimeout        time.Duration // what is durable may still leave a closed connection for; 2 s
	StopTimeout         time.Duration // the same for all connections together at the end of Run; 1 s
}

// Options are what a Broker needs.
type Options struct {
	Listen       []Listener
	Limits       Limits
	Users        *users.File // nil: nobody but anonymous clients
	RetainedPath string      // the file of retained messages; "": they are not kept

	// Accept decodes and appends a message. It returns the number to await
	// before an answer may leave; 0: none. It may wait, within bounds and until
	// ctx ends, except for a will. On an error a client that published with QoS
	// 1 or 2 is disconnected unanswered and sends again later; subscribers get
	// a QoS 0 message nevertheless. It is called from many goroutines.
	Accept func(ctx context.Context, m Message) (tag uint64, err error)

	// Learn, if given, gets the retained messages that were kept over a restart,
	// before anybody can connect: they are not published again, but some
	// announce how a device speaks.
	Learn func(m Message)

	// Wait returns nil when all through number survive a power cut.
	Wait func(ctx context.Context, number uint64) error

	// Durable, if given, returns the highest number that is durable, at no
	// cost. With it, answers that one commit freed leave in one write.
	Durable func() uint64

	Log *slog.Logger
}

// A Broker is made by New and runs once.
type Broker struct {
	options  Options
	log      *slog.Logger
	server   *mqtt.Server
	sessions registry
	conns    connSet
	retained *retained
	started  atomic.Bool
	stopping atomic.Bool
	counters counters

	subscribed atomic.Uint64 // grows when somebody may have subscribed

	mu      sync.Mutex
	addrs   []net.Addr
	serving *sync.WaitGroup // nil while the broker does not take connections
}

// New checks the options. It does not listen yet.
func New(o Options) (*Broker, error) {
	if len(o.Listen) == 0 {
		return nil, errors.New("broker: no address to listen on")
	}
	if o.Accept == nil || o.Wait == nil {
		return nil, errors.New("broker: Accept and Wait are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.withDefaults()
	b := &Broker{options: o, log: o.Log}
	b.server = newServer(o)
	b.sessions.server = b.server
	b.retained = newRetained(o.RetainedPath, o.Limits, b.server, o.Log)
	return b, nil
}

func (l Limits) withDefaults() Limits {
	set(&l.Connections, 512)
	set(&l.PerAddress, 128)
	set(&l.Sessions, 1024)
	set(&l.Messages, 20_000)
	set(&l.Bytes, 16<<20)
	set(&l.AddressMessages, 200_000)
	set(&l.AddressBytes, 128<<20)
	set(&l.Patience, 30*time.Second)
	set(&l.KeepAlive, time.Hour)
	set(&l.Retained, 2048)
	set(&l.Subscriptions, 8192)
	set(&l.DeviceSubscriptions, 256)
	set(&l.TopicLevels, 16)
	set(&l.PacketSize, 1<<20)
	set(&l.HeldBytes, 512<<10)
	set(&l.RetainedBytes, 16<<20)
	set(&l.ConnectTimeout, 5*time.Second)
	set(&l.WriteTimeout, 2*time.Second)
	set(&l.DrainTimeout, 2*time.Second)
	set(&l.StopTimeout, time.Second)
	return l
}

func set[T comparable](limit *T, standard T) {
	var zero T
	if *limit == zero {
		*limit = standard
	}
}

// Run serves until ctx ends and returns nil then. It calls ready when all
// addresses are listened on. Another error is one that the broker cannot
// outlive: an address in use.
func (b *Broker) Run(ctx context.Context, ready func()) error {
	sockets, err := b.listen(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	if err := b.begin(ctx); err != nil {
		return errors.Join(err, closeAll(sockets))
	}
	for i, s := range sockets {
		g.Go(func() error { return b.acceptLoop(ctx, s, b.options.Listen[i]) })
	}
	g.Go(func() error { return b.watch(ctx) })
	g.Go(func() error { return b.retained.run(ctx) })
	ready()
	<-ctx.Done()
	err = closeAll(sockets)
	b.disconnectAll()
	if failed := g.Wait(); failed != nil {
		err = failed
	}
	return errors.Join(err, b.end())
}

// begin starts mochi. Its own listeners are not used: it gets connections from
// acceptLoop, because its accept loop ends at the first error, and because
// closing its clients by listener takes a read lock twice (clients.go
// GetByListener), which can hang for ever.
func (b *Broker) begin(ctx context.Context) error {
	if b.started.Swap(true) {
		return errors.New("broker: runs once")
	}
	if err := errors.Join(b.server.AddHook(newStrict(), nil), b.server.AddHook(newHook(ctx, b), nil)); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	b.retained.open()
	b.learn()
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serving = new(sync.WaitGroup)
	return nil
}

func (b *Broker) learn() {
	if b.options.Learn == nil {
		return
	}
	for _, pk := range b.server.Topics.Retained.GetAll() {
		b.options.Learn(Message{Topic: pk.TopicName, Payload: pk.Payload, Retained: true})
	}
}

// disconnectAll closes every connection and waits for them. What is durable may
// leave for one second, counted for all together.
func (b *Broker) disconnectAll() {
	b.stopping.Store(true)
	b.mu.Lock()
	serving := b.serving
	b.serving = nil
	b.mu.Unlock()
	for _, c := range b.conns.all() {
		b.disconnect(c, reasonStopping)
	}
	late := time.AfterFunc(b.options.Limits.StopTimeout, func() {
		for _, c := range b.conns.all() {
			c.abandon()
		}
	})
	defer late.Stop()
	serving.Wait()
}

// end stops mochi's own goroutines and writes the retained messages a last
// time, the wills of the clients just closed included.
func (b *Broker) end() error {
	if err := b.server.Close(); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	b.retained.close()
	return nil
}

// Addrs returns the addresses listened on, in the order of Options.Listen, once
// Run called ready.
func (b *Broker) Addrs() []net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addrs
}
