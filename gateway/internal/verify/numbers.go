package verify

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
)

// A set of numbers: which of a stream were seen. Numbers come nearly without
// holes but from three topics at once, so runs would be short while they are
// collected; a bit each, in pages of which full ones cost nothing, takes at
// most an eighth of a byte a number.
type set struct {
	pages map[uint64]*page // nil: every number of it
}

const pageBits = 1 << 15

type page struct {
	words [pageBits / 64]uint64
	count int
}

// add reports whether n was new.
func (s *set) add(n uint64) bool {
	p, known := s.pages[n/pageBits]
	if known && p == nil {
		return false
	}
	if !known {
		if s.pages == nil {
			s.pages = map[uint64]*page{}
		}
		p = new(page)
		s.pages[n/pageBits] = p
	}
	word, bit := &p.words[n%pageBits/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	p.count++
	if p.count == pageBits {
		s.pages[n/pageBits] = nil
	}
	return true
}

// A Span is a run of numbers, both ends included.
type Span struct{ First, Last uint64 }

// Count returns how many numbers the span holds.
func (s Span) Count() uint64 { return s.Last - s.First + 1 }

// missing returns what the set lacks from first through last, in order.
func (s *set) missing(first, last uint64) []Span {
	var holes spans
	at := first
	for _, key := range slices.Sorted(maps.Keys(s.pages)) {
		start := key * pageBits
		end := start + (pageBits - 1)
		if end < at || start > last {
			continue
		}
		if start > at {
			holes.add(Span{at, start - 1})
		}
		if p := s.pages[key]; p != nil {
			p.missing(&holes, start, max(start, at), min(end, last))
		}
		if end >= last {
			return holes
		}
		at = end + 1
	}
	holes.add(Span{at, last})
	return holes
}

func (p *page) missing(holes *spans, start, first, last uint64) {
	for n := first; n <= last; {
		word := p.words[(n-start)/64] >> (n % 64)
		if word&1 != 0 {
			n += uint64(bits.TrailingZeros64(^word))
			continue
		}
		end := min(last, n|63)
		if word != 0 {
			end = min(last, n+uint64(bits.TrailingZeros64(word))-1)
		}
		holes.add(Span{n, end})
		n = end + 1
	}
}

// spans are in order and apart.
type spans []Span

// add puts s behind the others, as a part of the last one if they touch.
func (a *spans) add(s Span) {
	if n := len(*a); n > 0 && (*a)[n-1].Last+1 >= s.First {
		(*a)[n-1].Last = max((*a)[n-1].Last, s.Last)
		return
	}
	*a = append(*a, s)
}

// merge brings spans in any order into order.
func merge(all []Span) spans {
	var merged spans
	for _, s := range slices.SortedFunc(slices.Values(all), func(a, b Span) int { return cmp.Compare(a.First, b.First) }) {
		merged.add(s)
	}
	return merged
}

// without returns the part of holes that explained does not cover.
func without(holes []Span, explained spans) []Span {
	var left []Span
	for _, h := range holes {
		for _, e := range explained {
			if e.Last < h.First {
				continue
			}
			if e.First > h.Last {
				break
			}
			if e.First > h.First {
				left = append(left, Span{h.First, e.First - 1})
			}
			if e.Last >= h.Last {
				h.First, h.Last = 1, 0
				break
			}
			h.First = e.Last + 1
		}
		if h.First <= h.Last {
			left = append(left, h)
		}
	}
	return left
}

func total(all []Span) uint64 {
	var n uint64
	for _, s := range all {
		n += s.Count()
	}
	return n
}
