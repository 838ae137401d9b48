//go:build linux

package proof_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// A look is what the gateway showed at one moment.
type look struct {
	at      time.Time
	life    int   // how often it was started before
	top     int64 // most bytes resident in this life so far
	figures [figureCount]float64
	unsent  float64
}

// The figures that must not grow.
const (
	resident = iota // MiB
	heap            // MiB that live
	goroutineRow
	descriptorRow
	onCard // MiB; grows by the keep time, so it is shown and not judged
	figureCount
)

// figureRows say how much more the last third of a life may show than the first
// one: the file pages of a segment that fills, and what is in flight.
var figureRows = [figureCount]struct {
	name   string
	slack  float64
	judged bool
}{
	resident:      {"resident MiB", 8, true},
	heap:          {"live heap MiB", 4, true},
	goroutineRow:  {"goroutines", 4, true},
	descriptorRow: {"descriptors", 4, true},
	onCard:        {"buffer MiB", 0, false},
}

// A judgement is what two thirds of a life say about growth.
type judgement struct {
	first, last [figureCount]float64 // medians
	grown       []string
}

// judge compares the first third of a life, without its first tenth, in which
// caches and pools fill, with the last third.
func judge(life []look) (j judgement) {
	warm := life[len(life)/10:]
	third := len(warm) / 3
	if third == 0 {
		j.grown = []string{fmt.Sprintf("%d looks are too few to judge", len(life))}
		return j
	}
	for f, row := range figureRows {
		j.first[f], j.last[f] = median(warm[:third], f), median(warm[len(warm)-third:], f)
		if row.judged && j.last[f] > j.first[f]+row.slack {
			j.grown = append(j.grown, fmt.Sprintf("%s grew from %.1f to %.1f, want at most %.1f", row.name, j.first[f], j.last[f], j.first[f]+row.slack))
		}
	}
	return j
}

func median(looks []look, figure int) float64 {
	values := make([]float64, len(looks))
	for i, s := range looks {
		values[i] = s.figures[figure]
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func (j judgement) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "medians\tfirst third\tlast third\t")
	for f, row := range figureRows {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t\n", row.name, j.first[f], j.last[f])
	}
	w.Flush()
	return b.String()
}

// line is the judgement in few words.
func (j judgement) line() string {
	var parts []string
	for f, row := range figureRows {
		if row.judged {
			parts = append(parts, fmt.Sprintf("%s %.1f to %.1f", row.name, j.first[f], j.last[f]))
		}
	}
	return strings.Join(parts, ", ")
}

// table shows a dozen of the looks.
func table(looks []look) string {
	const rows = 12
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "after\tlife\t")
	for _, row := range figureRows {
		fmt.Fprint(w, row.name+"\t")
	}
	fmt.Fprintln(w, "unsent\t")
	for i := range min(rows, len(looks)) {
		s := looks[i*(len(looks)-1)/max(min(rows, len(looks))-1, 1)]
		fmt.Fprintf(w, "%s\t%d\t", s.at.Sub(looks[0].at).Round(time.Second), s.life+1)
		for _, figure := range s.figures {
			fmt.Fprintf(w, "%.0f\t", figure)
		}
		fmt.Fprintf(w, "%.0f\t\n", s.unsent)
	}
	w.Flush()
	return b.String()
}

// A soak that takes a leak for flat would be of no use: one goroutine that is
// left behind with every twentieth look, or some MiB, is seen, and figures that
// only move up and down are not.
func TestSoakSeesGrowth(t *testing.T) {
	for _, c := range []struct {
		name string
		grow func(s *look, n int)
		want string // "": flat
	}{
		{"nothing grows", func(*look, int) {}, ""},
		{"it goes up and down", func(s *look, n int) {
			s.figures[resident] += float64(n%7) * 3
			s.figures[goroutineRow] += float64(n % 5)
		}, ""},
		{"it grows at first", func(s *look, n int) { s.figures[resident] += float64(min(n, 20)) }, ""},
		{"an outage doubles it for a while", func(s *look, n int) {
			if n > 160 && n < 180 {
				s.figures[resident] *= 2
			}
		}, ""},
		{"the card fills", func(s *look, n int) { s.figures[onCard] += float64(n) }, ""},
		{"goroutines leak", func(s *look, n int) { s.figures[goroutineRow] += float64(n / 20) }, "goroutines grew"},
		{"descriptors leak", func(s *look, n int) { s.figures[descriptorRow] += float64(n / 20) }, "descriptors grew"},
		{"memory leaks", func(s *look, n int) { s.figures[resident] += float64(n) / 10 }, "resident MiB grew"},
		{"the heap leaks", func(s *look, n int) { s.figures[heap] += float64(n) / 20 }, "live heap MiB grew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var life []look
			for n := range 200 {
				s := look{figures: [figureCount]float64{resident: 40, heap: 12, goroutineRow: 60, descriptorRow: 30}}
				c.grow(&s, n)
				life = append(life, s)
			}
			grown := strings.Join(judge(life).grown, "; ")
			if c.want == "" && grown != "" || !strings.Contains(grown, c.want) {
				t.Errorf("judged %q, want %q", grown, c.want)
			}
		})
	}
	if got := judge(nil).grown; len(got) == 0 {
		t.Error("a life without looks is judged flat")
	}
}
