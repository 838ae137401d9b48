package verify

import (
	"fmt"
	"strings"
)

// A Report is what was found.
type Report struct {
	Streams       []StreamReport
	Foreign       uint64 // records that no plantgate wrote
	NotOrdered    uint64 // records whose order was not checked: too many devices
	BeginningGone bool   // retention has deleted the beginning of a partition
}

// A StreamReport is what was found of one stream of one gateway.
type StreamReport struct {
	Gateway, Stream string
	First, Last     uint64 // lowest and highest number that is there

	Readings, Events, DeadLetters uint64
	Replayed                      uint64 // records sent again and marked so

	Holes     []Span // missing without an explanation
	Explained []Span // by gap events
	Unclean   []Span // behind the last number before an unclean start

	Duplicates        uint64 // records with an id that was there before
	DuplicateExamples Examples
	Disorder          uint64 // records behind a later one of their device
	DisorderExamples  Examples

	Refused       uint64 // readings turned away before they had a number
	UncleanStarts uint64
	Rewound       uint64 // partitions that Kafka lost records of
}

// Examples are the first few numbers of a kind.
type Examples []uint64

const maxExamples = 10

func (e *Examples) add(n uint64) {
	if len(*e) < maxExamples {
		*e = append(*e, n)
	}
}

// OK is true when nothing is missing without an explanation and every device's
// readings are in their order. Duplicates are allowed: delivery is at least once.
func (r Report) OK() bool {
	for _, s := range r.Streams {
		if len(s.Holes) > 0 || s.Disorder > 0 {
			return false
		}
	}
	return true
}

// String is the report for a person.
func (r Report) String() string {
	var b strings.Builder
	for _, s := range r.Streams {
		s.write(&b)
	}
	if len(r.Streams) == 0 {
		b.WriteString("no records of a plantgate were found\n")
	}
	if r.BeginningGone {
		b.WriteString("kafka has deleted the oldest records: numbers before the first one of a stream cannot be judged\n")
	}
	if r.Foreign > 0 {
		fmt.Fprintf(&b, "records that are not plantgate's: %d\n", r.Foreign)
	}
	if r.NotOrdered > 0 {
		fmt.Fprintf(&b, "records whose order was not checked, for more than %d devices: %d\n", maxDevices, r.NotOrdered)
	}
	return b.String()
}

func (s StreamReport) write(b *strings.Builder) {
	fmt.Fprintf(b, "stream %s-%s: numbers %d to %d; %d readings, %d events, %d dead letters\n",
		s.Gateway, s.Stream, s.First, s.Last, s.Readings, s.Events, s.DeadLetters)
	line(b, "missing without explanation", total(s.Holes), spanText(s.Holes))
	if len(s.Explained) > 0 {
		line(b, "missing, explained by gap events", total(s.Explained), spanText(s.Explained))
	}
	if len(s.Unclean) > 0 {
		line(b, "missing after an unclean start", total(s.Unclean), spanText(s.Unclean))
	}
	line(b, "sent twice with the same id", s.Duplicates, numberText(s.DuplicateExamples))
	line(b, "out of order", s.Disorder, numberText(s.DisorderExamples))
	optional(b, "sent again and marked replayed", s.Replayed)
	optional(b, "refused before they had a number", s.Refused)
	optional(b, "unclean starts", s.UncleanStarts)
	optional(b, "partitions that kafka lost records of", s.Rewound)
}

func line(b *strings.Builder, what string, n uint64, examples string) {
	if n == 0 {
		fmt.Fprintf(b, "  %s: none\n", what)
		return
	}
	fmt.Fprintf(b, "  %s: %d (%s)\n", what, n, examples)
}

func optional(b *strings.Builder, what string, n uint64) {
	if n > 0 {
		fmt.Fprintf(b, "  %s: %d\n", what, n)
	}
}

func spanText(all []Span) string {
	var parts []string
	for i, s := range all {
		if i == maxExamples {
			parts = append(parts, "...")
			break
		}
		if s.First == s.Last {
			parts = append(parts, fmt.Sprint(s.First))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d-%d", s.First, s.Last))
	}
	return strings.Join(parts, ", ")
}

func numberText(e Examples) string {
	parts := make([]string, 0, len(e)+1)
	for _, n := range e {
		parts = append(parts, fmt.Sprint(n))
	}
	if len(e) == maxExamples {
		parts = append(parts, "...")
	}
	return strings.Join(parts, ", ")
}
