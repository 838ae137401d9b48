package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
	"github.com/plantgate/plantgate/gateway/internal/broker"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/control"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/gateway/internal/poll"
	"github.com/plantgate/plantgate/gateway/internal/service"
	"github.com/plantgate/plantgate/gateway/internal/users"
	"github.com/plantgate/plantgate/reading"
)

// The files of the data directory.
const (
	bufferDir    = "buffer"
	clockFile    = "clock.json"
	devicesFile  = "devices.json"
	retainedFile = "retained.db"
)

// A gateway is all parts, wired: sensors and sockets on the left, Kafka on the
// right, the buffer between.
type gateway struct {
	cfg      config.Config
	log      *slog.Logger
	started  time.Time
	profiled bool // /debug/pprof is served
	registry *prometheus.Registry
	looks    looks
	mappings *mapping.Decoder // the user's own

	clock  *clock.Clock
	users  *users.File
	ingest *ingest.Ingest
	broker *broker.Broker
	poller *poll.Poller
	buses  *buses
	store  *store

	committed atomic.Int64 // unix seconds of the committer's last turn
	isReady   atomic.Bool
}

// newGateway makes the parts; nothing runs, listens or is connected yet.
func newGateway(cfg config.Config, log *slog.Logger, open openBus, user *mapping.Decoder) (*gateway, error) {
	g := &gateway{cfg: cfg, log: log, mappings: user, started: time.Now(), registry: prometheus.NewRegistry(), buses: newBuses(open)}
	if err := os.MkdirAll(cfg.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("make data_dir: %w", err)
	}
	steps := []func() error{g.makeClock, g.makeIngest, g.makeBroker, g.makePoller, g.makeStore, g.makeMetrics}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gateway) path(name string) string { return filepath.Join(g.cfg.DataDir, name) }

func (g *gateway) makeClock() (err error) {
	g.clock, err = clock.Open(clock.Options{
		Path: g.path(clockFile), Hold: g.cfg.Clock.Hold, Trust: g.cfg.Clock.Trust,
		Notify: func(e reading.Event) { g.ingest.Event(e) },
		Log:    g.log,
	})
	return err
}

func (g *gateway) makeIngest() (err error) {
	since := func() time.Duration { return time.Duration(g.clock.Now().Boottime) * time.Millisecond }
	g.ingest, err = ingest.New(ingest.Options{
		Place: place(g.cfg), Dialects: dialects(g.mappings, since),
		Now: g.clock.Now, Trusted: g.clock.Trusted,
		DevicesPath: g.path(devicesFile), Log: g.log,
	})
	return err
}

func (g *gateway) makeBroker() (err error) {
	if g.users, err = users.Open(g.path(usersFile)); err != nil {
		return fmt.Errorf("open users: %w", err)
	}
	listeners, err := mqttListeners(g.cfg.MQTT, g.log)
	if err != nil {
		return err
	}
	limits := g.cfg.MQTT.Limits
	g.broker, err = broker.New(broker.Options{
		Listen: listeners,
		Limits: broker.Limits{
			Connections: limits.Connections, PerAddress: limits.ConnectionsPerAddress,
			Messages: limits.MessagesPerClient, Bytes: int(limits.BytesPerClient),
			AddressMessages: limits.MessagesPerAddress, AddressBytes: int(limits.BytesPerAddress),
			Patience: limits.Patience, KeepAlive: limits.Keepalive,
			Retained: limits.RetainedPerClient, Subscriptions: limits.SubscriptionsPerClient,
			PacketSize: uint32(limits.Packet), ConnectTimeout: limits.ConnectTimeout, WriteTimeout: limits.WriteTimeout,
		},
		Users: g.users, RetainedPath: g.path(retainedFile),
		Accept: g.accept, Learn: func(m broker.Message) { g.ingest.Learn(ingest.Message(m)) },
		Wait:    func(ctx context.Context, n uint64) error { return g.store.wait(ctx, n) },
		Durable: func() uint64 { return g.store.durable() },
		Log:     slog.New(journal.Limit(g.log.Handler(), journal.LimitOptions{})),
	})
	return err
}

func mqttListeners(m config.MQTT, log *slog.Logger) ([]broker.Listener, error) {
	var listeners []broker.Listener
	for _, addr := range m.Listen {
		listeners = append(listeners, broker.Listener{Addr: addr, Anonymous: m.Anonymous, AnonymousRole: users.Home})
	}
	if len(m.TLS.Listen) == 0 {
		return listeners, nil
	}
	secure, err := broker.TLSConfig(m.TLS.Cert, m.TLS.Key, log)
	if err != nil {
		return nil, fmt.Errorf("mqtt.tls: %w", err)
	}
	for _, addr := range m.TLS.Listen {
		listeners = append(listeners, broker.Listener{Addr: addr, TLS: secure, Anonymous: m.Anonymous, AnonymousRole: users.Home})
	}
	return listeners, nil
}

func (g *gateway) accept(ctx context.Context, m broker.Message) (uint64, error) {
	return g.ingest.Accept(ctx, ingest.Message(m))
}

func (g *gateway) makePoller() error {
	tasks, err := sensorTasks(g.cfg.Sensors, g.buses, g.log)
	if err != nil {
		return err
	}
	g.poller = poll.New(tasks, g.ingest.Put, g.ingest.Event, g.log)
	return nil
}

func (g *gateway) makeStore() error {
	kafka, err := kafkaOptions(g.cfg)
	if err != nil {
		return err
	}
	kafka.Registerer, kafka.Log, kafka.Event = g.registry, g.log, g.ingest.Event
	if err := kafka.Validate(); err != nil {
		return err
	}
	g.store = &store{
		open:     g.openBuffer,
		forward:  func(b *buffer.Buffer) *forward.Forwarder { return forward.New(kafka, b, g.clock) },
		attach:   g.attach,
		failures: newFailures(g.runtimeDir()),
		log:      g.log,
	}
	return nil
}

// attach opens the way into the buffer. A board whose clock is not set yet says
// no earlier time than that of the newest record: what was taken later must not
// look older.
func (g *gateway) attach(b *buffer.Buffer) {
	if wall, ok := newestTime(b, g.clock); ok {
		g.clock.SetFloor(wall.UnixMilli())
	}
	g.ingest.Attach(b)
}

func newestTime(b *buffer.Buffer, c *clock.Clock) (time.Time, bool) {
	last, _ := b.Durable()
	w, err := b.Read(last, 1, buffer.MaxRecord)
	if err != nil || len(w.Records) == 0 {
		return time.Time{}, false // nothing there, or damaged: forward will say so
	}
	e, err := envelope.Parse(w.Records[0])
	if err != nil {
		return time.Time{}, false
	}
	taken, _, _ := c.Resolve(e.Taken)
	return taken, true
}

// runtimeDir is a folder that does not lie on the card, where systemd gives one.
func (g *gateway) runtimeDir() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return dir
	}
	return g.cfg.DataDir
}

func (g *gateway) openBuffer() (*buffer.Buffer, error) {
	policy := buffer.DropOldest
	if g.cfg.Buffer.WhenFull == "refuse" {
		policy = buffer.Refuse
	}
	b := g.cfg.Buffer
	return buffer.Open(g.path(bufferDir), buffer.Options{
		Limit: b.Limit, Reserve: b.Reserve, Keep: keepFor(b.Keep), WhenFull: policy, CommitEvery: b.CommitEvery,
		Board: boardSerial(), Now: g.clock.Trusted, Check: checkInChild,
		Notify: tellNotice(g.log, g.ingest.Event),
		Beat:   func() { g.committed.Store(time.Now().Unix()) },
	})
}

// keepFor says "not at all" as the buffer wants to hear it: its 0 is its default.
func keepFor(keep time.Duration) time.Duration {
	if keep == 0 {
		return -1
	}
	return keep
}

// boardSerial identifies the computer, so that a cloned card is noticed. On a
// board without one it is "".
func boardSerial() string {
	serial, err := os.ReadFile("/sys/firmware/devicetree/base/serial-number")
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(serial), "\x00\n")
}

// run runs every part until ctx ends. ready is called when all of them work.
func (g *gateway) run(ctx context.Context, ready func()) error {
	socket, err := control.Listen(control.Path(os.Getenv("RUNTIME_DIRECTORY"), g.cfg.DataDir))
	if errors.Is(err, control.ErrRunning) {
		return err
	}
	if err != nil { // a read-only card must not cost the sockets their broker
		g.log.Warn("running without the control socket: plantgate status and tail will not reach this gateway", journal.Error(err))
	}
	decided := make(chan struct{}) // closed once the store is open, or cannot be opened for now
	tasks := []task{
		{"clock", g.clock.Run},
		{"store", func(ctx context.Context, ready func()) error {
			return g.store.run(ctx, sync.OnceFunc(func() { close(decided); ready() }))
		}},
		{"ingest", g.ingest.Run},
		task{"broker", g.broker.Run}.after(decided),
		{"sensors", g.poller.Run},
		{"itself", g.reportItself},
		{"watchdog", func(ctx context.Context, ready func()) error {
			ready()
			return service.Watch(ctx, g.alive, g.log)
		}},
	}
	if socket != nil {
		defer socket.Close() // closed by its task, unless that never runs
		tasks = append(tasks, task{"control", func(ctx context.Context, ready func()) error {
			ready()
			return control.Serve(ctx, socket, g.controlHandler())
		}})
	}
	if g.cfg.HTTP.Listen != "" {
		l, err := net.Listen("tcp", g.cfg.HTTP.Listen)
		if err != nil {
			return fmt.Errorf("http.listen: %w", err)
		}
		tasks = append(tasks, task{"http", func(ctx context.Context, ready func()) error {
			ready()
			return control.ServeHTTP(ctx, l, g.httpHandler())
		}})
	}
	stopped := context.AfterFunc(ctx, func() { g.log.Info("stopping", journal.Event(journal.Stopping)) })
	defer stopped()
	return runAll(ctx, func() { g.isReady.Store(true); ready() }, tasks...)
}

func (g *gateway) close() error { return g.buses.close() }

// committerStall is how long the committer may take for one turn before the
// watchdog gives up on it: an SD card that tidies up can take many seconds.
const committerStall = 90 * time.Second

// alive proves that the broker answers and the committer turns. Kafka is no
// part of it: an outage must not restart the gateway.
func (g *gateway) alive(ctx context.Context) error {
	if err := g.broker.Alive(ctx); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	last := time.Unix(g.committed.Load(), 0)
	if g.store.now().buffer != nil && time.Since(last) > committerStall {
		return fmt.Errorf("buffer: no commit since %s", last.Format(time.RFC3339))
	}
	return nil
}
