package history

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
)

// slack is by how much a record may be older than those before it: a device's
// own time stamp counts when it lies within five minutes.
const slack = 10 * time.Minute

// Range returns the numbers among which the records of q are. Times are looked
// for as if they grew with the numbers, which they do within slack, unless the
// board ran without a clock.
func (s *Source) Range(ctx context.Context, q Query) (Span, error) {
	oldest, end := s.Look.Oldest(), s.Look.Durable()+1
	if oldest == 0 {
		oldest = end
	}
	// What was asked for by its number and is no longer there shows as a gap.
	span := Span{First: cmp.Or(q.First, oldest), Last: end - 1}
	if q.Last > 0 {
		span.Last = min(span.Last, q.Last)
	}
	if !q.Since.IsZero() {
		n, err := s.locate(ctx, q.Since.Add(-slack), end)
		if err != nil {
			return Span{}, err
		}
		span.First = max(span.First, n)
	}
	if !q.Until.IsZero() {
		n, err := s.locate(ctx, q.Until.Add(slack), end)
		if err != nil {
			return Span{}, err
		}
		span.Last = min(span.Last, n-1)
	}
	return span, nil
}

// locate returns the first number whose record was not taken before t; end:
// there is none.
func (s *Source) locate(ctx context.Context, t time.Time, end uint64) (uint64, error) {
	low, high := max(s.Look.Oldest(), 1), end
	for low < high {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		middle := low + (high-low)/2
		at, number, err := s.timeFrom(middle)
		switch {
		case err != nil:
			return 0, err
		case number == 0 || number >= high: // nothing but a gap from here to there
			high = middle
		case at.Before(t):
			low = number + 1
		default:
			high = middle
		}
	}
	return low, nil
}

// timeFrom returns the time and number of the first record that can be read from
// number from on; number 0: there is none.
func (s *Source) timeFrom(from uint64) (at time.Time, number uint64, err error) {
	for {
		w, err := s.Look.Read(from, 1, 1)
		switch {
		case err != nil:
			return time.Time{}, 0, err
		case w.Gap != nil:
			from = w.Gap.Last + 1
			continue
		case len(w.Records) == 0:
			return time.Time{}, 0, nil
		}
		e, err := envelope.Parse(w.Records[0])
		if err != nil { // of a newer program; the next one may not be
			from = w.First + 1
			continue
		}
		at, _, _ = s.Resolve(e.Taken)
		return at, w.First, nil
	}
}

// Exact is Range with its ends at the first and the last record that lie within
// the times of q, of whatever device. What lies between them is in it, also what
// is dated otherwise.
func (s *Source) Exact(ctx context.Context, q Query) (Span, error) {
	q.Device, q.Events, q.Letters = "", true, true
	span, err := s.Range(ctx, q)
	if err != nil || span.First > span.Last {
		return span, err
	}
	if !q.Since.IsZero() {
		first := span.Last + 1
		err := s.each(ctx, q, span, func(l Line) error {
			if l.Gap != nil {
				return nil
			}
			first = l.Number
			return errEnough
		})
		if err != nil && !errors.Is(err, errEnough) {
			return Span{}, err
		}
		span.First = first
	}
	if q.Until.IsZero() {
		return span, nil
	}
	n, err := s.locate(ctx, q.Until.Add(-slack), span.Last+1)
	if err != nil {
		return Span{}, err
	}
	n = max(n, span.First)
	last := n - 1
	err = s.each(ctx, q, Span{First: n, Last: span.Last}, func(l Line) error {
		last = max(last, l.Number)
		return nil
	})
	span.Last = last
	return span, err
}
