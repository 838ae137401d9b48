// Package journal is how the gateway speaks about itself: one slog.Logger that
// writes native fields to systemd's journal, and text or JSON where there is
// none.
//
// It guarantees that one call is one entry: nothing that a client chose (a
// topic, a name, a payload) can begin a line, end a field, move a terminal's
// cursor or be longer than a bound; that values under names of secrets never
// leave; and that a journal which cannot be reached costs no entry. It does not
// know which states there are, nor who may log what.
package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
)

// The formats of Options.Format.
const (
	Auto    = "auto"    // the journal where stderr goes there, else text
	Journal = "journal" // native fields; text when no journal is there
	Text    = "text"    // lines: for a person on a terminal, else with a level prefix
	JSON    = "json"    // one object a line
)

// Options are the options of New; the zero value logs from level info on, to
// stderr, in the format that fits what stderr is.
type Options struct {
	Format string
	Level  slog.Leveler
	Out    io.Writer // nil: os.Stderr. Native fields go to the journal's socket instead
}

// New returns the logger of the whole program.
func New(o Options) *slog.Logger {
	out, level := o.Out, o.Level
	if out == nil {
		out = os.Stderr
	}
	if level == nil {
		level = slog.LevelInfo
	}
	return slog.New(&handler{level: level, write: sinkFor(o.Format, out)})
}

func sinkFor(format string, out io.Writer) sink {
	collected := goesToJournal(out)
	text := textSink(out, layoutOf(out, collected))
	switch {
	case format == JSON:
		return jsonSink(out)
	case format == Journal, format != Text && collected:
		return nativeSink(text)
	default:
		return text
	}
}

// A sink writes one entry. The record has no attributes of its own: they are
// attrs, flat, resolved and without secrets.
type sink func(ctx context.Context, r slog.Record, attrs []slog.Attr) error

// A handler does what all formats have in common: it resolves values, joins
// groups into dotted keys and takes secrets out.
type handler struct {
	level  slog.Leveler
	write  sink
	prefix string // of the open groups, "a.b."
	attrs  []slog.Attr
}

// Enabled reports whether entries of this level are written.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle writes one entry.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	attrs := slices.Clip(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.prefix, a)
		return true
	})
	return h.write(ctx, slog.NewRecord(r.Time, r.Level, r.Message, r.PC), attrs)
}

// WithAttrs returns a handler whose entries carry attrs too.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup returns a handler that puts name before the keys that follow.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

func flatten(dst []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	value := a.Value.Resolve()
	switch {
	case a.Key == "" && value.Kind() != slog.KindGroup && value.Equal(slog.Value{}):
		return dst
	case secretKeys[strings.ToLower(a.Key)]:
		return append(dst, slog.String(prefix+a.Key, redacted))
	case value.Kind() != slog.KindGroup:
		dst = append(dst, slog.Attr{Key: prefix + a.Key, Value: plain(value)})
		if id, ok := messageID(value.String()); ok && prefix+a.Key == KeyEvent {
			dst = append(dst, slog.String(keyMessageID, id))
		}
		return dst
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range value.Group() {
		dst = flatten(dst, prefix, member)
	}
	return dst
}

// plain turns a resolved value into a string of bounded length, a number or a
// boolean, so that every format writes the same.
func plain(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindDuration:
		return slog.StringValue(v.Duration().String())
	case slog.KindTime:
		return slog.StringValue(v.Time().UTC().Format(timeFormat))
	case slog.KindString:
		return slog.StringValue(cut(v.String(), maxField))
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool:
		return v
	}
	if b, ok := v.Any().([]byte); ok {
		return slog.StringValue(cut(string(b), maxField))
	}
	// fmt, unlike a direct call of Error or String, survives a nil pointer.
	return slog.StringValue(cut(fmt.Sprint(v.Any()), maxField))
}

// timeFormat is RFC 3339 with the milliseconds that a record carries too.
const timeFormat = "2006-01-02T15:04:05.000Z"

// levelOf rounds down to one of slog's four levels: journald has no name for
// those between them.
func levelOf(l slog.Level) slog.Level {
	switch {
	case l >= slog.LevelError:
		return slog.LevelError
	case l >= slog.LevelWarn:
		return slog.LevelWarn
	case l >= slog.LevelInfo:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// jsonSink writes one object a line. The encoder escapes what must be.
func jsonSink(out io.Writer) sink {
	next := slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.Level(-1 << 31)})
	return func(ctx context.Context, r slog.Record, attrs []slog.Attr) error {
		if !r.Time.IsZero() {
			r.Time = r.Time.UTC().Truncate(time.Millisecond)
		}
		r.Message = clean(r.Message, maxMessage)
		r.AddAttrs(attrs...)
		return next.Handle(ctx, r)
	}
}
