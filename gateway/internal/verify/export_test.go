package verify

// The set of numbers, for its test.

type Set = set

const PageBits = pageBits

func (s *set) Add(n uint64) bool                 { return s.add(n) }
func (s *set) Missing(first, last uint64) []Span { return s.missing(first, last) }

// Pages returns how many pages take memory.
func (s *set) Pages() int {
	n := 0
	for _, p := range s.pages {
		if p != nil {
			n++
		}
	}
	return n
}

func Append(all []Span, s Span) []Span {
	more := spans(all)
	more.add(s)
	return more
}

func Without(holes, explained []Span) []Span { return without(holes, explained) }
