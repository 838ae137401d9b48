package history

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// A Query says which records are wanted. The zero Query means all readings.
type Query struct {
	First, Last  uint64    // numbers, both included; 0: no bound
	Since, Until time.Time // Until is not included; zero: no bound
	Device       string    // "": all
	Events       bool      // events as well as readings
	Letters      bool      // dead letters as well
	Newest       int       // only so many, the newest; 0: all
	Unsent       int       // only so many of those that Kafka has not confirmed, the oldest; 0: all
}

// MaxCount bounds Newest and Unsent, which are kept in memory.
const MaxCount = 1000

// SetFrom makes p the beginning of the range.
func (q *Query) SetFrom(p Point) { q.First, q.Since = p.Number, p.Time }

// SetTo makes p the end of the range.
func (q *Query) SetTo(p Point) { q.Last, q.Until = p.Number, p.Time }

// Validate says what cannot be meant.
func (q Query) Validate() error {
	switch {
	case q.Last > 0 && q.First > q.Last:
		return fmt.Errorf("the range from %d to %d is empty: the lower number comes first", q.First, q.Last)
	case !q.Until.IsZero() && !q.Since.Before(q.Until):
		return fmt.Errorf("the range from %s to %s is empty: the earlier time comes first", q.Since.Format(time.RFC3339), q.Until.Format(time.RFC3339))
	case q.Newest < 0 || q.Newest > MaxCount || q.Unsent < 0 || q.Unsent > MaxCount:
		return fmt.Errorf("the count must lie between 1 and %d: `plantgate buffer export` writes as many as there are", MaxCount)
	}
	return nil
}

// Values is the Query as ParseQuery reads it.
func (q Query) Values() url.Values {
	v := url.Values{}
	number := func(name string, n uint64) {
		if n > 0 {
			v.Set(name, strconv.FormatUint(n, 10))
		}
	}
	moment := func(name string, t time.Time) {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	flag := func(name string, on bool) {
		if on {
			v.Set(name, "true")
		}
	}
	number("first", q.First)
	number("last", q.Last)
	moment("since", q.Since)
	moment("until", q.Until)
	if q.Device != "" {
		v.Set("device", q.Device)
	}
	flag("events", q.Events)
	flag("letters", q.Letters)
	number("newest", uint64(q.Newest))
	number("unsent", uint64(q.Unsent))
	return v
}

// ParseQuery reads what Values wrote.
func ParseQuery(v url.Values) (Query, error) {
	p := parser{v: v}
	q := Query{
		First: p.number("first"), Last: p.number("last"), Since: p.moment("since"), Until: p.moment("until"),
		Device: v.Get("device"), Events: v.Get("events") == "true", Letters: v.Get("letters") == "true",
		Newest: p.count("newest"), Unsent: p.count("unsent"),
	}
	if p.err != nil {
		return Query{}, p.err
	}
	return q, q.Validate()
}

// A parser keeps the first error, so that the caller checks once.
type parser struct {
	v   url.Values
	err error
}

func (p *parser) fail(name string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (p *parser) number(name string) uint64 {
	if !p.v.Has(name) {
		return 0
	}
	n, err := strconv.ParseUint(p.v.Get(name), 10, 62)
	p.fail(name, err)
	return n
}

func (p *parser) count(name string) int { return int(min(p.number(name), MaxCount+1)) }

func (p *parser) moment(name string) time.Time {
	if !p.v.Has(name) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, p.v.Get(name))
	p.fail(name, err)
	return t
}
