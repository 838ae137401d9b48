package ingest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// Dead letters are messages that a dialect claims and cannot read. They are
// kept to find out why, and one device that sends nothing else must not wear
// the card out with them.
const (
	// lettersPerTopic and letterBytes bound what is kept in letterSpan (ms).
	lettersPerTopic = 10
	letterBytes     = 1 << 20
	letterSpan      = 60_000

	// maxLetterTopics bounds the topics told apart; the others share a bound.
	maxLetterTopics = 512

	// maxLetter bounds the payload of one, in bytes: a record of the smallest
	// buffer holds 64 KiB.
	maxLetter = 32 << 10

	// maxSamples bounds the messages of topics that no dialect reads which
	// are kept in one run, one for each topic: enough to write a mapping by.
	maxSamples = 200

	// maxCutEvents bounds the events about one span.
	maxCutEvents = 20
)

const otherTopics = "(others)"

type letters struct {
	mu     sync.Mutex
	topics map[string]*letterCount
	since  int64 // boottime, ms
	bytes  int
}

// A letterCount is one topic's letters of the present span.
type letterCount struct {
	kept, cut int
	err       string // of the last one cut
}

// allow reports whether a letter may be kept, and counts it either way.
func (l *letters) allow(topic string, size int, cause error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.of(topic)
	if c.kept < lettersPerTopic && l.bytes+size <= letterBytes {
		c.kept++
		l.bytes += size
		return true
	}
	c.cut++
	c.err = cause.Error()
	return false
}

// lost counts a letter that was allowed and could not be stored.
func (l *letters) lost(topic string, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.of(topic)
	c.cut++
	c.err = cause.Error()
}

func (l *letters) of(topic string) *letterCount {
	if c, ok := l.topics[topic]; ok {
		return c
	}
	if l.topics == nil {
		l.topics = make(map[string]*letterCount)
	}
	if len(l.topics) >= maxLetterTopics || len(topic) > reading.MaxNameBytes {
		topic = otherTopics
	}
	c, ok := l.topics[topic]
	if !ok {
		c = new(letterCount)
		l.topics[strings.Clone(topic)] = c
	}
	return c
}

// turn begins a new span when the old one is over, and tells what was cut.
func (l *letters) turn(boottime int64) []reading.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if boottime-l.since < letterSpan {
		return nil
	}
	var events []reading.Event
	for topic, c := range l.topics {
		if c.cut > 0 && len(events) < maxCutEvents {
			events = append(events, reading.Event{Type: reading.DeadLettersCut, Fields: []reading.Field{
				{Name: "count", Value: int64(c.cut)}, {Name: "topic", Value: topic}, {Name: "error", Value: cutText(c.err, 512)},
			}})
		}
	}
	l.since, l.bytes, l.topics = boottime, 0, nil
	return events
}

// bury keeps a message that cannot be read, unless too many of its kind are.
// It never waits and never fails: the message carries no reading, and whoever
// sent it would send it again for ever. The tag is the letter's number.
func (i *Ingest) bury(m Message, cause error) (tag uint64) {
	payload := m.Payload[:min(len(m.Payload), maxLetter)]
	if len(payload) < len(m.Payload) {
		cause = fmt.Errorf("%w (the first %d of %d bytes are kept)", cause, len(payload), len(m.Payload))
	}
	topic := cutText(m.Topic, maxLetterTopic)
	if !i.letters.allow(topic, len(payload), cause) {
		i.counts.lettersCut.Add(1)
		return 0
	}
	letter := envelope.Letter{Topic: topic, Client: m.Client, Error: cutText(cause.Error(), maxLetterError), Payload: payload}
	b := takeBatch()
	defer b.release()
	b.body = letter.Append(b.body[:0])
	b.add(envelope.Envelope{Kind: envelope.DeadLetter, Taken: i.o.Now(), Key: cutText(m.Client, reading.MaxNameBytes), Body: b.body})
	tag, err := tryAppend(i.store.Load(), b.slices()...)
	if err != nil {
		i.letters.lost(topic, err)
		i.counts.lettersCut.Add(1)
	}
	return tag
}

const (
	maxLetterTopic = 4096
	maxLetterError = 1024
)

// cutText keeps the beginning of a text, whole characters only.
func cutText(text string, size int) string {
	if len(text) <= size {
		return text
	}
	return strings.ToValidUTF8(text[:size], "")
}

// unread is a table of the topics that no dialect reads: what a person needs to
// write a mapping.
type unread struct {
	mu      sync.Mutex
	topics  map[string]*Unread
	samples int
}

// An Unread is a topic that no dialect reads.
type Unread struct {
	Topic  string
	Count  uint64
	Sample []byte // the beginning of the last payload
	Last   time.Time
}

const (
	maxUnread       = 1000
	maxUnreadTopic  = 512 // bytes
	maxUnreadSample = 256 // bytes
)

// note counts a message and reports whether its topic is new.
func (u *unread) note(topic string, payload []byte, at time.Time) (isNew bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.topics == nil {
		u.topics = make(map[string]*Unread)
	}
	topic = cutText(topic, maxUnreadTopic)
	t, known := u.topics[topic]
	if !known {
		u.makeRoom()
		t = &Unread{Topic: strings.Clone(topic)}
		u.topics[t.Topic] = t
	}
	t.Count++
	t.Sample = append(t.Sample[:0], payload[:min(len(payload), maxUnreadSample)]...)
	t.Last = at
	return !known
}

// makeRoom forgets the longest silent one of a few: the oldest of all would
// have to be searched for at every message of a flood.
func (u *unread) makeRoom() {
	if len(u.topics) < maxUnread {
		return
	}
	var oldest *Unread
	looks := 0
	for _, t := range u.topics {
		if oldest == nil || t.Last.Before(oldest.Last) {
			oldest = t
		}
		if looks++; looks == 8 {
			break
		}
	}
	delete(u.topics, oldest.Topic)
}

// takeSample reports whether one more sample may be kept.
func (u *unread) takeSample() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.samples++
	return u.samples <= maxSamples
}

var errNoDialect = fmt.Errorf("no dialect reads this topic; this is its first message, more are counted only")

// remember notes a message that no dialect claims. The first JSON object of a
// topic is kept as a dead letter: it may be a device that deserves a dialect.
func (i *Ingest) remember(m Message) {
	i.counts.unread.Add(1)
	at := i.o.Now()
	if !i.unread.note(m.Topic, m.Payload, wallOf(at)) || len(m.Payload) > MaxPayload {
		return
	}
	if _, err := dialect.Object(m.Payload); err == nil && i.unread.takeSample() {
		i.bury(m, errNoDialect)
	}
}

func wallOf(at clock.Instant) time.Time { return time.UnixMilli(at.Wall) }

// Unread lists the topics that no dialect reads, most frequent first.
func (i *Ingest) Unread() []Unread { return i.unread.list() }
