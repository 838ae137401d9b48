//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A sample is one figure of one run.
type sample struct {
	system string
	what   string
	unit   string
	value  float64
}

// A row is all runs of a figure.
type row struct {
	sample // value is not used
	values []float64
}

// A table keeps rows in the order in which they first came.
type table struct{ rows []*row }

func (t *table) add(samples []sample) {
	for _, s := range samples {
		i := slices.IndexFunc(t.rows, func(r *row) bool { return r.system == s.system && r.what == s.what && r.unit == s.unit })
		if i < 0 {
			t.rows = append(t.rows, &row{sample: s})
			i = len(t.rows) - 1
		}
		t.rows[i].values = append(t.rows[i].values, s.value)
	}
}

func (r *row) spread() (least, median, most float64) {
	v := slices.Sorted(slices.Values(r.values))
	return v[0], v[len(v)/2], v[len(v)-1]
}

// median of a figure; false: it was not measured.
func (t *table) median(system, what string) (float64, bool) {
	for _, r := range t.rows {
		if r.system == system && r.what == what {
			_, m, _ := r.spread()
			return m, true
		}
	}
	return 0, false
}

func (t *table) markdown(w io.Writer, title string) {
	fmt.Fprintf(w, "## %s\n\n| what | system | median | least | most | unit | runs |\n|---|---|--:|--:|--:|---|--:|\n", title)
	for _, r := range t.rows {
		least, median, most := r.spread()
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %d |\n", r.what, r.system, number(median), number(least), number(most), r.unit, len(r.values))
	}
	fmt.Fprintln(w)
}

// number has three digits that count, and no more than are known.
func number(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int64(v + 0.5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
	}
}

func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// A bar is what a figure has to reach.
type bar struct {
	what   string
	got    float64
	known  bool
	atMost bool
	bar    float64
	unit   string
}

func (b bar) line() string {
	word, verdict := "at least", "reached"
	if b.atMost {
		word = "at most"
	}
	switch {
	case !b.known:
		return fmt.Sprintf("| %s | %s %s %s | not measured | |", b.what, word, number(b.bar), b.unit)
	case b.atMost == (b.got > b.bar) && b.got != b.bar:
		verdict = "**missed**"
	}
	return fmt.Sprintf("| %s | %s %s %s | %s %s | %s |", b.what, word, number(b.bar), b.unit, number(b.got), b.unit, verdict)
}
