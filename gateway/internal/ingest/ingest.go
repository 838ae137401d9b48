// Package ingest is the one way into the buffer: what devices publish, what
// sensors measure and what the gateway has to say about both become records
// here, and nowhere else.
//
// It guarantees that each message is read by one dialect at most; that all
// records of a message enter the buffer together; that a reading which could
// not be stored is either unacknowledged (QoS 1 and 2) or counted, and that the
// count reaches Kafka, over restarts too; that two devices never share a name
// because two sources use it; and that no payload, however wrong, stops it or
// makes it grow: every table has a bound.
//
// It does not know what payloads mean (the dialects do), how an acknowledgement
// is held back (the broker does), how records lie on the card or reach Kafka.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

// A Message is what a client published. Its fields are those of the broker's
// message, in the same order, so that one converts to the other.
type Message struct {
	Client, User, Topic string
	Payload             []byte // neither kept nor changed
	QoS                 byte
	Retained, Dup       bool
	Will                bool // a last will: nobody can be made to wait
}

// A Dialect reads one kind of payload; package dialect holds its contract.
type Dialect interface {
	Name() string
	Decode(dialect.Message) (dialect.Result, bool)
}

// Options are what an Ingest needs. Only Now has no default.
type Options struct {
	Place    reading.Place
	Dialects []Dialect // in the order in which they are asked

	Now     func() clock.Instant             // called for each reading
	Trusted func() (wall time.Time, ok bool) // nil: a device's own time is never used

	DevicesPath string       // file that keeps who owns which device name; "": not kept
	Own         []string     // beginnings of topics that the gateway itself publishes under
	Log         *slog.Logger // changes of state; nil: none
}

// ErrNoStore says that the buffer on the card is not usable at the moment.
var ErrNoStore = errors.New("there is no buffer to keep readings in")

// ErrOverload says that polled readings came faster than they could be stored.
var ErrOverload = errors.New("readings come faster than they can be stored")

// An Ingest takes messages, readings and events. All methods may be called at
// any time and from many goroutines.
type Ingest struct {
	o       Options
	store   atomic.Pointer[buffer.Buffer] // nil: none at the moment
	names   *names
	stamps  *stamps
	queue   *queue
	refused refusals
	letters letters
	unread  unread
	taps    taps
	sources *sources
	counts  counts
}

// New reads the file of device names. One that cannot be read is set aside:
// names are a convenience, readings are not. The only error is a missing clock.
func New(o Options) (*Ingest, error) {
	if o.Now == nil {
		return nil, errors.New("ingest: no clock to stamp readings with")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Trusted == nil {
		o.Trusted = func() (time.Time, bool) { return time.Time{}, false }
	}
	return &Ingest{
		o: o, names: openNames(o.DevicesPath, o.Now(), o.Log), stamps: newStamps(), queue: newQueue(),
		sources: newSources(o.Dialects),
	}, nil
}

// Attach gives the buffer to store in, when there is one, and takes over the
// loss counters that it keeps. nil takes the buffer away.
func (i *Ingest) Attach(b *buffer.Buffer) {
	if b != nil {
		if err := i.refused.resume(b.Stats().Stream, b.Note()); err != nil {
			i.o.Log.Warn("the counters of refused readings are unreadable and start anew", "error", err)
		}
	}
	i.store.Store(b)
	i.queue.signal()
}

// Accept reads a message and stores what it says. The tag is the number that
// must be durable before the message may be acknowledged; 0: nothing to wait
// for. An error means that a message with QoS 1 or 2 was not stored and must
// not be acknowledged; with QoS 0, and for a last will, the loss is counted
// instead. Messages that carry no reading always pass.
func (i *Ingest) Accept(ctx context.Context, m Message) (tag uint64, err error) {
	v := i.read(m)
	s := i.sources.of(v.source)
	s.received.Add(1)
	s.dropped.Add(uint64(v.Dropped))
	switch {
	case v.Err != nil:
		s.deadLettered.Add(1)
		tag = i.bury(m, v.Err)
	case v.unread:
		i.remember(m)
	case len(v.Readings) == 0:
		s.ignored.Add(1)
	default:
		if v.Cached {
			doubt(v.Readings)
		}
		tag, err = i.keep(ctx, m, v.Readings, s)
	}
	for _, e := range v.Events {
		i.changed(e, v.source)
	}
	if i.taps.listening() {
		i.taps.tell(Heard{Time: wallOf(i.o.Now()), Message: m, Source: v.source, Readings: v.Readings, Reason: v.reason(err)})
	}
	if m.QoS == 0 {
		tag = 0
	}
	return tag, err
}

// doubt marks what a device repeats from its memory: an inverter that sleeps and
// a battery sensor out of reach must not pass for measured now.
func doubt(rs []reading.Reading) {
	for _, r := range rs {
		for n := range r.Values {
			r.Values[n].Suspect = true
		}
	}
}

// Learn lets the dialects see a message without storing what it says. The
// broker's retained messages, when they are loaded at the start, do not pass
// Accept; the announcements among them name the devices.
func (i *Ingest) Learn(m Message) { i.read(m) }

func (i *Ingest) read(m Message) verdict {
	return read(i.o.Dialects, i.o.Own, dialect.Message{Topic: m.Topic, Payload: m.Payload, Retained: m.Retained})
}

// keep stores the readings of a message.
func (i *Ingest) keep(ctx context.Context, m Message, rs []reading.Reading, s *source) (uint64, error) {
	b := takeBatch()
	defer b.release()
	now := i.o.Now()
	for n := range rs {
		rs[n].Dup = m.Dup
		if err := i.encode(b, &rs[n], now); err != nil {
			s.deadLettered.Add(1)
			i.bury(m, err)
		}
	}
	if b.len() == 0 {
		return 0, nil
	}
	last, err := i.append(ctx, m.Will, b.slices()...)
	switch {
	case err == nil:
		s.readings.Add(uint64(b.len()))
		if m.QoS > 0 && !m.Will {
			s.acknowledged.Add(uint64(b.len()))
		}
		return last, nil
	case errors.Is(err, buffer.ErrTooLarge): // and will be when it is sent again
		s.deadLettered.Add(1)
		return i.bury(m, err), nil
	case m.QoS > 0 && !m.Will:
		return 0, fmt.Errorf("store message on %q: %w", m.Topic, err)
	}
	s.refused.Add(uint64(b.len()))
	i.refused.add(reasonOf(err), b.len(), b.devices, now)
	return 0, nil
}

// append stores records together; at once or not at all for those who cannot
// wait.
func (i *Ingest) append(ctx context.Context, atOnce bool, records ...[]byte) (uint64, error) {
	b := i.store.Load()
	if b != nil && !atOnce {
		return b.Append(ctx, records...)
	}
	return tryAppend(b, records...)
}

func tryAppend(b *buffer.Buffer, records ...[]byte) (uint64, error) {
	if b == nil {
		return 0, ErrNoStore
	}
	return b.TryAppend(records...)
}
