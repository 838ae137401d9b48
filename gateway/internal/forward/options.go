package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/plantgate/plantgate/reading"
)

// Topics are the names of the topics. Devices is only made, never written
// here; "" leaves it alone.
type Topics struct{ Readings, Events, DeadLetter, Devices string }

// DefaultTopics returns the names that the documentation uses.
func DefaultTopics() Topics {
	return Topics{
		Readings:   "plantgate.readings.v1",
		Events:     "plantgate.events.v1",
		DeadLetter: "plantgate.deadletter.v1",
		Devices:    "plantgate.devices.v1",
	}
}

// Options say where Kafka is and how to treat it. Brokers and Place.Gateway
// are needed; every other zero value is a sensible choice.
type Options struct {
	Brokers      []string // host:port, at least one
	Topics       Topics   // zero value: DefaultTopics
	CreateTopics bool     // make missing topics at start
	TLS          *tls.Config
	SASL         sasl.Mechanism
	Compression  string // zstd (default), lz4, snappy, gzip or none

	Place      reading.Place
	Registerer prometheus.Registerer // of the client's own metrics; may be nil
	Log        *slog.Logger          // nil: none
	// Event stores an event of forward's own, so that it gets a number and
	// comes back through the buffer. It must not block; may be nil.
	Event func(reading.Event)
	// Dial opens the connection below TLS; nil: TCP with a deadline of 10 s.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// A window is what is in flight at once. There are three of them in
	// memory, so these two bound what Kafka can cost while it is slow or
	// away. Defaults 2000 records and 1 MiB.
	MaxWindowRecords int
	MaxWindowBytes   int

	Linger  time.Duration // shortest time between the starts of small windows; default 50 ms
	Stalled time.Duration // the client is rebuilt when nothing moved for so long; default 2 min
	// Backoff is the wait before the try-th attempt (from 1) after Kafka
	// refused; default 1 s doubling to 15 s, with jitter.
	Backoff func(try int) time.Duration
}

// Bounds of things that must not grow with an outage.
const (
	dialTimeout    = 10 * time.Second
	requestTimeout = 15 * time.Second
	adminTimeout   = 30 * time.Second
	// Below the broker's connections.max.idle.ms of 10 minutes and above the
	// metadata refresh of 5: an idle gateway would reconnect, and so look
	// for a rewound log, every few minutes.
	idleTimeout = 9 * time.Minute
	// How long a flush may hang before it counts as "does not take records".
	patience = 5 * time.Second
	// How long a client that is given up may take to end.
	closeTimeout = time.Minute
	// Shutdown is a crash with manners: what is in flight gets this long.
	stopTimeout = 800 * time.Millisecond
)

func (o Options) withDefaults() Options {
	if o.Topics == (Topics{}) {
		o.Topics = DefaultTopics()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Event == nil {
		o.Event = func(reading.Event) {}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if o.Backoff == nil {
		o.Backoff = defaultBackoff
	}
	o.MaxWindowRecords = orDefault(o.MaxWindowRecords, 2000)
	o.MaxWindowBytes = orDefault(o.MaxWindowBytes, 1<<20)
	o.Linger = orDefault(o.Linger, 50*time.Millisecond)
	o.Stalled = orDefault(o.Stalled, 2*time.Minute)
	return o
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// defaultBackoff has jitter: after a power cut every gateway of the house is
// back at the same second.
func defaultBackoff(try int) time.Duration {
	limit := min(time.Second<<min(max(try-1, 0), 5), 15*time.Second)
	return limit/2 + rand.N(limit/2)
}

// reconnectBackoff is the client's own wait between attempts. Kafka may be away
// for weeks, and each attempt costs a radio and a log of a firewall something.
func reconnectBackoff(fails int) time.Duration {
	limit := min(250*time.Millisecond<<min(max(fails-1, 0), 6), 15*time.Second)
	return limit/2 + rand.N(limit/2)
}

// Validate reports the first reason why these options cannot work with any
// Kafka at all.
func (o Options) Validate() error {
	o = o.withDefaults()
	switch {
	case len(o.Brokers) == 0:
		return errors.New("kafka.brokers is empty: name at least one host:port")
	case o.Place.Gateway == "":
		return errors.New("gateway has no name")
	case o.Topics.Readings == "" || o.Topics.Events == "" || o.Topics.DeadLetter == "":
		return errors.New("kafka.topics: readings, events and dead letters each need a name")
	}
	codec, err := compression(o.Compression)
	if err != nil {
		return err
	}
	if err := kgo.ValidateOpts(append(o.connectOpts(), kgo.ProducerBatchCompression(codec...))...); err != nil {
		return fmt.Errorf("kafka options: %w", err)
	}
	return nil
}

// Connect returns the client options that reach the same Kafka in the same
// way, for a command that reads it back.
func (o Options) Connect() []kgo.Opt { return o.withDefaults().connectOpts() }

func (o Options) connectOpts() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID("plantgate-" + o.Place.Gateway),
		kgo.SoftwareNameAndVersion("plantgate", "1"),
		kgo.Dialer(o.dial),
		kgo.RequestTimeoutOverhead(dialTimeout),
		kgo.ConnIdleTimeout(idleTimeout),
		kgo.MetadataMinAge(2 * time.Second),
		kgo.RetryBackoffFn(reconnectBackoff),
		kgo.DisableClientMetrics(),
	}
	if o.SASL != nil {
		opts = append(opts, kgo.SASL(o.SASL))
	}
	return opts
}

// dial adds TLS to whatever Dial gives. The handshake has the same deadline as
// the connection: a plain port that expects us to speak first answers nothing.
func (o Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := o.Dial(ctx, network, address)
	if err != nil || o.TLS == nil {
		return conn, err
	}
	config := o.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address) // kgo always gives host:port
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close() // the handshake's error is the one that helps
		return nil, &handshakeFailed{address: address, err: err}
	}
	return secure, nil
}

// produceOpts are the settings of the one producing client. acks=all and
// idempotence are kgo's defaults and stay.
func (o Options) produceOpts(batchLimit func(topic string) int32) []kgo.Opt {
	codec, err := compression(o.Compression)
	if err != nil {
		codec = []kgo.CompressionCodec{kgo.NoCompression()} // Validate has reported it
	}
	opts := append(o.connectOpts(),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(codec...),
		kgo.ProducerBatchMaxBytesFn(batchLimit),
		kgo.ProduceRequestTimeout(requestTimeout),
		// A topic that is made later must not fail records: the default
		// gives up after about 2 s.
		kgo.UnknownTopicRetries(-1),
		// Nothing leaves before the whole window is buffered: kgo fails all
		// that is buffered for a partition at once, and a record produced
		// just afterwards would overtake.
		kgo.ManualFlushing(),
		kgo.MaxBufferedRecords(2*o.MaxWindowRecords+1000),
	)
	if o.Registerer != nil {
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("plantgate_kafka", kprom.Registerer(o.Registerer))))
	}
	return opts
}

// compression takes names of Kafka's compression.type. Brokers before 2.1 do
// not know zstd and get snappy.
func compression(name string) ([]kgo.CompressionCodec, error) {
	switch strings.ToLower(name) {
	case "", "zstd":
		// The fastest level: half the time of the usual one, for a tenth more
		// bytes.
		fast := kgo.ZstdCompression().WithLevel(int(zstd.SpeedFastest))
		return []kgo.CompressionCodec{fast, kgo.SnappyCompression(), kgo.NoCompression()}, nil
	case "snappy":
		return []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.NoCompression()}, nil
	case "lz4":
		return []kgo.CompressionCodec{kgo.Lz4Compression(), kgo.NoCompression()}, nil
	case "gzip":
		return []kgo.CompressionCodec{kgo.GzipCompression(), kgo.NoCompression()}, nil
	case "none":
		return []kgo.CompressionCodec{kgo.NoCompression()}, nil
	default:
		return nil, fmt.Errorf("kafka.compression %q is not known: zstd, lz4, snappy, gzip or none", name)
	}
}
