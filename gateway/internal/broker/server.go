package broker

import (
	"context"
	"log/slog"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// readBuffer is what mochi reads into, for each connection; bytes. Ten messages
// of a socket fit, which direct takes only whole.
const readBuffer = 4096

// newServer sets mochi up. Each value replaces a default that does harm here.
func newServer(o Options) *mqtt.Server {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumPacketSize = o.Limits.PacketSize           // 0 lets five bytes allocate 256 MiB
	caps.MaximumClientWritesPending = 256                  // 8192 cost 64 KiB for each connection
	caps.MaximumMessageExpiryInterval = 0                  // a day, and retained messages vanish, at once when the clock is set
	caps.MaximumSessionExpiryInterval = 7 * 24 * 3600      // seconds; sessions would never end
	caps.TopicAliasMaximum = 0                             // mochi checks rights before it resolves them
	caps.Compatibilities.NoInheritedPropertiesOnAck = true // MQTT 5.0 section 3.4.2.2 knows no such inheritance
	return mqtt.New(&mqtt.Options{
		Capabilities: caps,
		// The connection collects what it sends itself. mochi's own buffer would
		// keep an answer until the next packet when one between is too large.
		ClientNetWriteBufferSize: 1,
		ClientNetReadBufferSize:  readBuffer,
		SysTopicResendInterval:   60, // seconds
		Logger:                   slog.New(&quiet{to: o.Log.Handler()}),
	})
}

// quiet passes mochi's log on at debug level, without what it likes to attach:
// whole packets with payloads and, for a second CONNECT, the password. What a
// person must know the broker says itself, once.
type quiet struct{ to slog.Handler }

// Enabled implements slog.Handler.
func (q *quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.to.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, slog.LevelDebug, "mqtt: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if harmless(a) {
			clean.AddAttrs(a)
		}
		return true
	})
	return q.to.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	var kept []slog.Attr
	for _, a := range attrs {
		if harmless(a) {
			kept = append(kept, a)
		}
	}
	return &quiet{q.to.WithAttrs(kept)}
}

// WithGroup implements slog.Handler.
func (q *quiet) WithGroup(name string) slog.Handler { return &quiet{q.to.WithGroup(name)} }

// harmless names what may pass: a list of what may not would miss the next
// packet under another name.
func harmless(a slog.Attr) bool {
	switch a.Key {
	case "error", "client", "listener", "remote", "old_remote", "new_remote", "keepalive":
		return true
	}
	return false
}
