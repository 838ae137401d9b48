package journal

import (
	"container/list"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// LimitOptions are the options of Limit; its zero value is useful.
type LimitOptions struct {
	// Keys are the attributes by which two messages of the same text are told
	// apart; nil: client, address and device. Of an address the port does not
	// count: a client that comes again has another one.
	Keys       []string
	Every      time.Duration    // longest silence about what goes on; 0: a minute
	PerMessage int              // how many are told apart under one text; 0: 16
	Now        func() time.Time // nil: time.Now
}

// Limit returns a handler for messages that clients cause. The first of a kind
// is written at once; while more of the same arrive, one a minute, with
// their count. What is left when a client falls silent is told together with
// the next message of any kind.
//
// Lines and memory are bounded, whatever clients do: one that invents a new id
// for each attempt becomes one kind with all the others beyond PerMessage.
func Limit(next slog.Handler, o LimitOptions) slog.Handler {
	if o.Keys == nil {
		o.Keys = []string{KeyClient, KeyAddress, KeyDevice}
	}
	if o.Every == 0 {
		o.Every = time.Minute
	}
	if o.PerMessage == 0 {
		o.PerMessage = 16
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &limited{next: next, kinds: &kinds{o: o, byName: make(map[string]*list.Element), perText: make(map[string]int)}}
}

// A limited is one handler of a family that shares its kinds.
type limited struct {
	next  slog.Handler
	kinds *kinds
	attrs []slog.Attr // those of WithAttrs that tell messages apart
}

// Enabled asks the next handler.
func (l *limited) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// WithAttrs returns a handler of the same family.
func (l *limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	own := slices.Clip(l.attrs)
	for _, a := range attrs {
		if slices.Contains(l.kinds.o.Keys, a.Key) {
			own = append(own, slog.String(a.Key, cut(a.Value.Resolve().String(), maxValue)))
		}
	}
	return &limited{l.next.WithAttrs(attrs), l.kinds, own}
}

// WithGroup returns a handler of the same family.
func (l *limited) WithGroup(name string) slog.Handler {
	return &limited{l.next.WithGroup(name), l.kinds, l.attrs}
}

// Handle writes the record, or counts it.
func (l *limited) Handle(ctx context.Context, r slog.Record) error {
	for _, due := range l.kinds.take(l, r) {
		if err := due.next.Handle(ctx, due.record); err != nil {
			return err
		}
	}
	return nil
}

// maxKinds bounds the memory should a message's text, against the rules, hold
// something that a client chose.
const maxKinds = 1024

// kinds is what has been written lately.
type kinds struct {
	o LimitOptions

	mu      sync.Mutex
	byName  map[string]*list.Element
	oldest  list.List // of *kind, by the time of the last line
	perText map[string]int
}

// A kind is one message about one client.
type kind struct {
	name, text string
	written    time.Time
	repeated   int         // left out since then
	last       slog.Record // the last one left out
	next       slog.Handler
}

// A due is a record to be written now.
type due struct {
	next   slog.Handler
	record slog.Record
}

// take decides about r, and returns what is to be written: first what has been
// left out of other kinds for long enough, then r itself unless it is left out.
func (k *kinds) take(l *limited, r slog.Record) []due {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	name := k.name(l, r)
	records := k.expire(now, name)
	e := k.byName[name]
	if e == nil && (k.perText[r.Message] >= k.o.PerMessage || len(k.byName) >= maxKinds) {
		name = k.crowd(r)
		e = k.byName[name]
	}
	if e == nil {
		k.byName[name] = k.oldest.PushBack(&kind{name: name, text: r.Message, written: now})
		k.perText[r.Message]++
		return append(records, due{l.next, r})
	}
	known := e.Value.(*kind)
	if now.Sub(known.written) < k.o.Every {
		known.repeated, known.last, known.next = known.repeated+1, short(r), l.next
		return records
	}
	records = append(records, due{l.next, known.told(r)})
	k.begin(e, now)
	return records
}

// begin counts anew.
func (k *kinds) begin(e *list.Element, now time.Time) {
	known := e.Value.(*kind)
	known.written, known.repeated, known.last, known.next = now, 0, slog.Record{}, nil
	k.oldest.MoveToBack(e)
}

// short returns a copy of r that keeps no large text alive.
func short(r slog.Record) slog.Record {
	copied := slog.NewRecord(r.Time, r.Level, cut(r.Message, maxValue), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		for _, flat := range flatten(nil, "", a) {
			if flat.Value.Kind() == slog.KindString {
				flat.Value = slog.StringValue(strings.Clone(cut(flat.Value.String(), maxValue)))
			}
			copied.AddAttrs(flat)
		}
		return true
	})
	return copied
}

// crowd names the kind of all that are not told apart.
func (k *kinds) crowd(r slog.Record) string {
	if k.perText[r.Message] > 0 {
		return r.Message
	}
	return "" // too many texts: one kind for the rest
}

// expire writes and forgets what was last written long ago, but for one kind.
func (k *kinds) expire(now time.Time, but string) []due {
	var records []due
	for e := k.oldest.Front(); e != nil; {
		known, following := e.Value.(*kind), e.Next()
		if now.Sub(known.written) < k.o.Every {
			break
		}
		switch {
		case known.name == but:
		case known.repeated > 0:
			records = append(records, due{known.next, known.told(known.last)})
			k.begin(e, now)
		default:
			k.forget(e)
		}
		e = following
	}
	return records
}

func (k *kinds) forget(e *list.Element) {
	known := k.oldest.Remove(e).(*kind)
	delete(k.byName, known.name)
	if k.perText[known.text]--; k.perText[known.text] == 0 {
		delete(k.perText, known.text)
	}
}

// told returns r with the number of those that were left out.
func (known *kind) told(r slog.Record) slog.Record {
	if known.repeated == 0 {
		return r
	}
	r = r.Clone()
	r.AddAttrs(slog.Int(KeyRepeated, known.repeated))
	return r
}

// name tells one message from another. The text comes first, so that no client
// can name itself like another message.
func (k *kinds) name(l *limited, r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	for _, key := range k.o.Keys {
		b.WriteByte(0)
		b.WriteString(value(l, r, key))
	}
	return b.String()
}

func value(l *limited, r slog.Record, key string) string {
	var text string
	match := func(a slog.Attr) bool {
		if a.Key == key {
			text = a.Value.Resolve().String()
		}
		return true
	}
	for _, a := range l.attrs {
		match(a)
	}
	r.Attrs(match)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().String()
	}
	return cut(text, maxValue)
}
