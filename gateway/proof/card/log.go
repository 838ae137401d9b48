//go:build linux && (amd64 || arm64)

package card

import "math/rand/v2"

// A Log is what reached a card, in order. It can be used while the card goes on.
type Log struct {
	base    []byte
	entries []entry
}

// Honesty is what a flush is worth.
type Honesty int

// The two kinds of card.
const (
	Honest Honesty = iota // what was flushed stays
	Lying                 // a flush changes nothing
)

const (
	sector = 512 // bytes; a card writes it whole or not at all
	cache  = 512 // writes that a card holds back at most, whether it is flushed or not
)

// Len is how much was recorded; a moment is at most that.
func (l *Log) Len() int { return len(l.entries) }

// Writes says what was recorded before a moment: writes, their bytes, flushes.
func (l *Log) Writes(at int) (writes, flushes int, bytes int64) {
	for _, e := range l.entries[:at] {
		bytes += int64(len(e.data))
		if e.flush {
			flushes++
			continue
		}
		writes++
	}
	return writes, flushes, bytes
}

// Cut is the content of the card after the power went at a moment: all that was
// safe by then, and all, none, half or most of what was still in its cache.
func (l *Log) Cut(at int, random *rand.Rand, honesty Honesty) []byte {
	safe := l.flushed(at)
	if honesty == Lying {
		safe = max(0, at-1-random.IntN(cache))
	}
	image := l.image(safe)
	share := []float64{1, 0, 0.5, 0.9}[random.IntN(4)]
	for _, e := range l.entries[safe:at] {
		if random.Float64() < share {
			copy(image[e.off:], e.torn(random))
		}
	}
	return image
}

// Flushed is the content of the card if the power goes at a moment and the whole
// cache is lost.
func (l *Log) Flushed(at int) []byte { return l.image(l.flushed(at)) }

func (l *Log) image(at int) []byte {
	image := append([]byte(nil), l.base...)
	for _, e := range l.entries[:at] {
		copy(image[e.off:], e.data)
	}
	return image
}

// flushed is the last flush before a moment, or what a card that is never flushed
// has written by itself.
func (l *Log) flushed(at int) int {
	for i := at - 1; i >= max(0, at-cache); i-- {
		if l.entries[i].flush {
			return i
		}
	}
	return max(0, at-cache)
}

// torn cuts one write in eight at a sector. The superblock of ext4 takes two, and
// no journal covers it: torn it is repaired from its backup (e2fsck), which a card
// of this size has none of, and says nothing about what is written by programs.
func (e entry) torn(random *rand.Rand) []byte {
	const superblockEnd = 2048
	if n := len(e.data) / sector; n > 1 && e.off >= superblockEnd && random.IntN(8) == 0 {
		return e.data[:sector*(1+random.IntN(n-1))]
	}
	return e.data
}
