package forward

import (
	"bytes"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// CloudEvents 1.0, Kafka binding, binary mode: the attributes are headers, the
// value is the data. Nothing stands only in a header but for dead letters.
const (
	headerID      = "ce_id"
	headerVersion = "ce_specversion"
	headerSource  = "ce_source"
	headerType    = "ce_type"
	headerTime    = "ce_time"
	headerSubject = "ce_subject"
	headerContent = "content-type"
)

// The headers of a dead letter, whose value is raw bytes.
const (
	letterID     = "id"
	letterSeq    = "seq"
	letterTopic  = "topic"
	letterClient = "client"
	letterError  = "error"
	letterBytes  = "bytes"    // length before it was truncated
	letterAgain  = "replayed" // only when it was
)

const maxErrorText = 1024

// A maker turns what lies on the card into what Kafka gets. It holds all that
// is the same in every record, so that a record costs no allocation.
type maker struct {
	place  reading.Place
	topics [topicCount]string

	version, source, content headerValue
	readingType, eventType   headerValue
}

// A headerValue is shared by all records that carry it: nobody writes to it.
type headerValue []byte

// The topics by their index: a record's topic is compared far more often than
// it is printed.
const (
	readingsTopic = iota
	eventsTopic
	deadLetterTopic
	topicCount
)

func newMaker(o Options) *maker {
	return &maker{
		place:       o.Place,
		topics:      [topicCount]string{o.Topics.Readings, o.Topics.Events, o.Topics.DeadLetter},
		version:     headerValue("1.0"),
		source:      headerValue("/gateways/" + o.Place.Gateway),
		content:     headerValue("application/json"),
		readingType: headerValue("io.plantgate.reading.v1"),
		eventType:   headerValue("io.plantgate.event.v1"),
	}
}

// A stamp is all that a record gets on its way out.
type stamp struct {
	stream   string
	number   uint64
	time     time.Time
	quality  reading.Quality
	replayed bool
}

func (m *maker) head(s stamp) reading.Head {
	return reading.Head{
		Gateway: m.place.Gateway, Stream: s.stream, Seq: s.number,
		Time: s.time, Quality: s.quality, Replayed: s.replayed,
	}
}

// add puts the record for e behind those of w.
func (m *maker) add(w *window, s stamp, e envelope.Envelope) {
	if e.Kind == envelope.DeadLetter {
		l, err := envelope.ParseLetter(e.Body)
		if err != nil {
			l = envelope.Letter{Error: err.Error(), Payload: e.Body}
		}
		w.append(s, s.number, m.letter(w, m.head(s), e.Key, l))
		return
	}
	start := len(w.arena)
	w.arena = m.head(s).Append(w.arena)
	w.arena = append(w.arena, e.Body...)
	value := w.arena[start:len(w.arena):len(w.arena)]
	if e.Kind == envelope.Event {
		w.append(s, s.number, m.json(w, eventsTopic, m.eventType, s.time, e.Key, value))
		return
	}
	w.append(s, s.number, m.json(w, readingsTopic, m.readingType, s.time, e.Key, value))
}

// addUnreadable keeps what no envelope could be read from: it was written by a
// newer program, for its block's checksum was right.
func (m *maker) addUnreadable(w *window, s stamp, stored []byte, cause error) {
	l := envelope.Letter{Error: cause.Error(), Payload: stored}
	w.append(s, s.number, m.letter(w, m.head(s), "", l))
}

// json makes a record whose value is complete: its id and time stand at the
// front of the value already, and the headers are parts of it.
func (m *maker) json(w *window, topic int, kind headerValue, at time.Time, key string, value []byte) kgo.Record {
	start := len(w.headers)
	w.headers = append(w.headers,
		kgo.RecordHeader{Key: headerVersion, Value: m.version},
		kgo.RecordHeader{Key: headerID, Value: textAfter(value, `"id":"`)},
		kgo.RecordHeader{Key: headerSource, Value: m.source},
		kgo.RecordHeader{Key: headerType, Value: kind},
		kgo.RecordHeader{Key: headerTime, Value: textAfter(value, `"ts":"`)},
		kgo.RecordHeader{Key: headerContent, Value: m.content},
	)
	// An event of the gateway itself has no device, and an attribute of
	// CloudEvents must not be empty.
	recordKey := w.text(key)
	if key != "" {
		w.headers = append(w.headers, kgo.RecordHeader{Key: headerSubject, Value: recordKey})
	}
	return kgo.Record{
		Topic: m.topics[topic], Key: recordKey, Value: value, Timestamp: at,
		Headers: w.headers[start:len(w.headers):len(w.headers)],
	}
}

// textAfter returns the plain text that follows name, up to the quote that ends
// it. Gateway, stream and time hold nothing that JSON escapes.
func textAfter(value []byte, name string) []byte {
	i := bytes.Index(value, []byte(name))
	if i < 0 {
		return nil
	}
	text := value[i+len(name):]
	return text[:max(bytes.IndexByte(text, '"'), 0)]
}

// letter makes a dead letter: the raw bytes, and in headers all that helps to
// find out why.
func (m *maker) letter(w *window, h reading.Head, key string, l envelope.Letter) kgo.Record {
	start := len(w.headers)
	w.headers = append(w.headers,
		kgo.RecordHeader{Key: letterID, Value: w.text(h.ID())},
		kgo.RecordHeader{Key: letterSeq, Value: w.text(strconv.FormatUint(h.Seq, 10))},
		kgo.RecordHeader{Key: letterTopic, Value: w.text(l.Topic)},
		kgo.RecordHeader{Key: letterClient, Value: w.text(l.Client)},
		kgo.RecordHeader{Key: letterError, Value: w.text(l.Error[:min(len(l.Error), maxErrorText)])},
	)
	if h.Replayed {
		w.headers = append(w.headers, kgo.RecordHeader{Key: letterAgain, Value: w.text("true")})
	}
	return kgo.Record{
		Topic: m.topics[deadLetterTopic], Key: w.text(key), Value: w.bytes(l.Payload), Timestamp: h.Time,
		Headers: w.headers[start:len(w.headers):len(w.headers)],
	}
}

// addGap makes w a window of nothing but the event that explains missing numbers.
func (m *maker) addGap(w *window, s stamp, g buffer.Gap) {
	w.reset(g.Stream, g.First)
	w.append(s, g.Last, m.gap(w, s, g))
}

// gap makes the event that explains the numbers from s.number through g.Last.
// It has no number of its own, and its time is that of the loss, so that it is
// the same whenever it is sent.
func (m *maker) gap(w *window, s stamp, g buffer.Gap) kgo.Record {
	event := reading.Event{Type: reading.Gap, Fields: []reading.Field{
		{Name: "from", Value: g.First},
		{Name: "to", Value: g.Last},
		{Name: "count", Value: g.Last - g.First + 1},
		{Name: "reason", Value: g.Reason},
		{Name: "since", Value: g.Since},
		{Name: "detail", Value: g.Detail[:min(len(g.Detail), maxErrorText)]},
	}}
	start := len(w.arena)
	opening := m.head(s).AppendGap(w.arena, g.Last)
	value, err := reading.AppendEventBody(opening, m.place, event)
	if err != nil {
		// Not with these fields; an event without them still keeps the
		// numbers in its id.
		value = append(opening, "\"event\":\"gap\"}"...)
	}
	w.arena = value
	return m.json(w, eventsTopic, m.eventType, s.time, "", value[start:len(value):len(value)])
}
