// Package history shows people and spreadsheets what the card still holds: the
// records as Kafka got them or will get them, sent or not.
//
// It guarantees that it changes nothing, holds a bounded number of records at a
// time, keeps no file from being unlinked, and speaks of every number of a range:
// what cannot be shown is a gap. It does not know Kafka, nor how a question
// reaches the gateway.
package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// A Source answers queries from one buffer. It is not safe for concurrent use.
type Source struct {
	Look    *buffer.Look
	Resolve func(clock.Instant) (at time.Time, q reading.Quality, ok bool)
	Gateway string // its name; "": as the records before say
	Gentle  bool   // leave at least half of the time to others

	value []byte // memory for the value of one record
}

// A Line is one part of an answer. The first one has Span, each other one a
// record or a Gap.
type Line struct {
	Span *Span
	Gap  *Gap

	Number    uint64
	Kind      string // "reading", "event" or "dead letter"
	Confirmed bool   // Kafka has it
	Settled   bool   // its time and quality can no longer change
	// Value is the JSON object that Kafka gets, for a dead letter one that holds
	// its payload in base64. It is valid until the visitor returns.
	Value []byte
}

// A Span is the range of numbers that a query means, both included. It is empty
// when First is greater than Last.
type Span struct{ First, Last uint64 }

// A Gap says why the numbers from First through Last are not shown.
type Gap struct {
	First, Last    uint64
	Reason, Detail string
}

// Expired says that nothing is lost: Kafka confirmed the numbers of the gap.
func (g Gap) Expired() bool { return g.Reason == buffer.Expired }

// The bounds of what is read at once.
const (
	windowRecords = 500
	windowBytes   = 256 << 10
)

// Answer gives the answer to q, line by line, to visit. It ends with the first
// error of visit, the end of ctx or a card that cannot be read.
func (s *Source) Answer(ctx context.Context, q Query, visit func(Line) error) error {
	if err := q.Validate(); err != nil {
		return err
	}
	span, err := s.Range(ctx, q)
	if err != nil {
		return err
	}
	if err := visit(Line{Span: &span}); err != nil {
		return err
	}
	switch {
	case q.Newest > 0:
		return s.newest(ctx, q, span, visit)
	case q.Unsent > 0:
		span.First = max(span.First, s.Look.Confirmed()+1)
		return s.atMost(ctx, q, span, visit)
	}
	return s.each(ctx, q, span, visit)
}

// each visits what of span fits q.
func (s *Source) each(ctx context.Context, q Query, span Span, visit func(Line) error) error {
	for at := span.First; at <= span.Last; {
		begin := time.Now()
		w, err := s.Look.Read(at, int(min(windowRecords, span.Last-at+1)), windowBytes)
		if err != nil {
			return err
		}
		switch {
		case w.Gap != nil:
			g := Gap{First: at, Last: min(w.Gap.Last, span.Last), Reason: w.Gap.Reason, Detail: w.Gap.Detail}
			at = w.Gap.Last + 1
			err = visit(Line{Gap: &g})
		case len(w.Records) == 0:
			return nil
		default:
			at = w.First + uint64(len(w.Records))
			err = s.window(q, w, visit)
		}
		if err != nil {
			return err
		}
		if err := s.rest(ctx, time.Since(begin)); err != nil {
			return err
		}
	}
	return nil
}

// rest lets others have the processor and the card for as long as was worked.
func (s *Source) rest(ctx context.Context, worked time.Duration) error {
	if !s.Gentle {
		return ctx.Err()
	}
	const longest = 20 * time.Millisecond // the visitor may have waited, not worked
	t := time.NewTimer(min(worked, longest))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (s *Source) window(q Query, w buffer.Window, visit func(Line) error) error {
	confirmed := s.Look.Confirmed()
	for i, stored := range w.Records {
		number := w.First + uint64(i)
		line, wanted := s.line(q, reading.Head{Gateway: s.Gateway, Stream: w.Stream, Seq: number}, stored)
		if !wanted {
			continue
		}
		line.Number, line.Confirmed = number, number <= confirmed
		if err := visit(line); err != nil {
			return err
		}
	}
	return nil
}

// line makes of a record what Kafka gets, with the time as it is known now.
func (s *Source) line(q Query, h reading.Head, stored []byte) (l Line, wanted bool) {
	e, err := envelope.Parse(stored)
	if err != nil { // written by a newer program
		h.Quality = reading.Bad
		s.value = appendLetter(h.Append(s.value[:0]), envelope.Letter{Error: err.Error(), Payload: stored})
		return Line{Kind: envelope.DeadLetter.String(), Value: s.value}, q.Letters && q.Device == ""
	}
	at, quality, settled := s.Resolve(e.Taken)
	h.Time, h.Quality = at, max(e.Quality, quality)
	if !q.wants(e, at) {
		return Line{}, false
	}
	l = Line{Kind: e.Kind.String(), Settled: settled}
	if h.Gateway == "" && e.Kind != envelope.DeadLetter {
		h.Gateway = gatewayOf(e.Body)
		s.Gateway = h.Gateway
	}
	s.value = h.Append(s.value[:0])
	if e.Kind == envelope.DeadLetter {
		letter, err := envelope.ParseLetter(e.Body)
		if err != nil {
			letter = envelope.Letter{Error: err.Error(), Payload: e.Body}
		}
		s.value = appendLetter(s.value, letter)
	} else {
		s.value = append(s.value, e.Body...)
	}
	l.Value = s.value
	return l, true
}

// gatewayOf finds the name with which a body begins: the files alone, without
// their configuration, say it nowhere else.
func gatewayOf(body []byte) string {
	return gjson.GetBytes(slices.Concat([]byte("{"), body), "gateway").Str
}

func (q Query) wants(e envelope.Envelope, at time.Time) bool {
	switch {
	case e.Kind == envelope.Event && !q.Events, e.Kind == envelope.DeadLetter && !q.Letters:
		return false
	case q.Device != "" && q.Device != e.Key:
		return false
	}
	return !at.Before(q.Since) && (q.Until.IsZero() || at.Before(q.Until))
}

// errEnough ends a walk over records.
var errEnough = errors.New("enough records")

// atMost visits the first q.Unsent records.
func (s *Source) atMost(ctx context.Context, q Query, span Span, visit func(Line) error) error {
	n := 0
	err := s.each(ctx, q, span, func(l Line) error {
		if l.Gap == nil {
			n++
		}
		if err := visit(l); err != nil {
			return err
		}
		if n == q.Unsent {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// How newest goes back.
const (
	stepBack = 1000
	maxBack  = 1_000_000 // numbers; a device that was silent for longer is not found
)

// newest visits the last q.Newest records, the oldest of them first.
func (s *Source) newest(ctx context.Context, q Query, span Span, visit func(Line) error) error {
	var found []Line // the newest first
	for last := span.Last; last >= span.First && last > 0 && len(found) < q.Newest; {
		part := Span{First: max(span.First, last-min(last-1, stepBack-1)), Last: last}
		var lines []Line
		err := s.each(ctx, q, part, func(l Line) error {
			if l.Gap == nil {
				l.Value = slices.Clone(l.Value)
				lines = append(lines, l)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(lines[max(0, len(lines)-(q.Newest-len(found))):]) {
			found = append(found, l)
		}
		last = part.First - 1
		if span.Last-last >= maxBack && last >= span.First {
			if len(found) > 0 {
				break
			}
			return fmt.Errorf("none among the last %d records: name an earlier range with `plantgate buffer export --from --to`", maxBack)
		}
	}
	for _, l := range slices.Backward(found) {
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}
