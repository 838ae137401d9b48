package buffer

import (
	"cmp"
	"slices"
	"time"
)

func reasonName(reason byte) string {
	switch reason {
	case reasonDropped:
		return Dropped
	case reasonLostTail:
		return LostTail
	default:
		return Damaged
	}
}

// add puts g into the sorted list and merges it with its neighbours of the same
// kind. When the list is full, the entries that the reader has passed go, then
// the new one: a hole is a gap without it too, only less well explained.
func (p *positions) add(g gapEntry) {
	if g.last < g.first {
		return
	}
	g.detail = g.detail[:min(len(g.detail), maxGapDetail)]
	at, _ := slices.BinarySearchFunc(p.gaps, g, func(a, b gapEntry) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	if at > 0 && p.gaps[at-1].joins(g) {
		p.gaps[at-1].last = max(p.gaps[at-1].last, g.last)
		return
	}
	if len(p.gaps) >= maxGaps {
		before := len(p.gaps)
		p.gaps = slices.DeleteFunc(p.gaps, func(g gapEntry) bool { return g.last <= p.confirmed })
		if len(p.gaps) == before {
			return
		}
		p.add(g)
		return
	}
	p.gaps = slices.Insert(p.gaps, at, g)
}

// joins says whether g goes on where e ends, for the same reason.
func (e gapEntry) joins(g gapEntry) bool {
	return e.stream == g.stream && e.reason == g.reason && g.first <= e.last+1 && g.first >= e.first
}

// addGap remembers why numbers are missing, durably with the next positions.
func (b *Buffer) addGap(g gapEntry) {
	now, _ := b.o.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	g.since = now
	b.positions.add(g)
	b.dirty.now = true
	b.callKeeper()
}

// addDamage remembers the holes between the blocks that were saved from s.
func (b *Buffer) addDamage(s *segment, found []foundBlock, limit uint64, cause error) {
	stream := cmp.Or(s.stream, b.stream)
	if len(found) > 0 {
		stream = found[0].head.stream
	}
	next := s.first
	for _, f := range found {
		b.addGap(gapEntry{stream: stream, first: next, last: f.head.first - 1, reason: reasonDamaged, detail: cause.Error()})
		next = f.head.last() + 1
	}
	if limit > 0 {
		b.addGap(gapEntry{stream: stream, first: next, last: limit - 1, reason: reasonDamaged, detail: cause.Error()})
	}
}

// gap explains why the numbers first..last are not there; it may end earlier,
// where another reason begins.
func (b *Buffer) gap(stream uint32, first, last uint64) *Gap {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.explain(Gap{Stream: streamName(stream), First: first, Last: last, Reason: Damaged, Detail: "nothing on the card tells why"})
}

// gapBefore is gap for numbers lower than any on the card.
func (b *Buffer) gapBefore(stream uint32, first, last uint64) *Gap {
	b.mu.Lock()
	defer b.mu.Unlock()
	confirmed := b.positions.confirmed
	if first > confirmed {
		return b.explain(Gap{Stream: streamName(stream), First: first, Last: last, Reason: Damaged, Detail: "its file is gone"})
	}
	return b.explain(Gap{Stream: streamName(stream), First: first, Last: min(last, confirmed), Reason: Expired, Detail: "confirmed long ago"})
}

// explain makes g what an entry of the positions says, if there is one. The
// caller holds b.mu.
func (b *Buffer) explain(g Gap) *Gap {
	for _, e := range b.positions.gaps {
		switch {
		case e.last < g.First:
			continue
		case e.first > g.First: // what lies before it has no explanation
			g.Last = min(g.Last, e.first-1)
			return &g
		}
		found := e.gap(g.First, min(g.Last, e.last))
		return &found
	}
	return &g
}

// gap is the part first..last of what e explains.
func (e gapEntry) gap(first, last uint64) Gap {
	return Gap{Stream: streamName(e.stream), First: first, Last: last, Reason: reasonName(e.reason), Detail: e.detail, Since: sinceOf(e)}
}

func sinceOf(e gapEntry) time.Time {
	if e.since.UnixMilli() == 0 {
		return time.Time{}
	}
	return e.since
}
