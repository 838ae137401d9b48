package buffer

import (
	"fmt"
	"time"
)

// A filling follows how full the buffer is. It is guarded by Buffer.mu.
type filling struct {
	mark     int  // the highest of marks that was announced and not left again
	full     bool // announced
	refusing bool // new records are turned away
	samples  []sample
}

// A sample of all bytes ever taken by blocks.
type sample struct {
	at    time.Time
	taken int64
}

const (
	hysteresis  = 10 // percent below a mark before it counts as left
	freeBelow   = 90 // percent
	sampleEvery = time.Minute
	sampleSpan  = 60 // samples: an hour
)

var marks = []int{50, 80, 95} // percent of Limit

// watchFilling tells of marks that were passed. The caller holds b.keeping.
func (b *Buffer) watchFilling() {
	roomy := b.roomy()
	b.mu.Lock()
	unsent := b.unsentBytes()
	percent := int(unsent * 100 / b.o.Limit)
	f := &b.fill
	f.sample(time.Now(), b.count.taken.Load())
	notice := Notice{Percent: percent, Bytes: unsent, Limit: b.o.Limit, DaysLeft: f.daysLeft(b.o.Limit - unsent)}
	switch {
	case f.rises(percent):
		notice.Kind, notice.Percent = Filling, f.mark
	case f.full && !f.refusing && percent < freeBelow && roomy:
		f.full = false
		notice.Kind = Free
	}
	b.mu.Unlock()
	if notice.Kind != "" {
		b.o.Notify(notice)
	}
}

// roomy reports whether the next segment fits without giving up records. While
// they are given up the buffer stays full, however little it holds: others may
// have the card, and of a small limit one segment is more than a tenth. The
// caller holds b.keeping.
func (b *Buffer) roomy() bool {
	b.mu.Lock()
	announced, confirmed := b.fill.full, len(b.confirmedSegments())
	b.mu.Unlock()
	if !announced || confirmed > 0 {
		return true
	}
	short, err := b.lacking(0)
	return err == nil && short == ""
}

// rises moves the mark and says whether it went up.
func (f *filling) rises(percent int) bool {
	mark := 0
	for _, m := range marks {
		if percent >= m || m <= f.mark && percent > m-hysteresis {
			mark = m
		}
	}
	up := mark > f.mark
	f.mark = mark
	return up
}

func (f *filling) sample(now time.Time, taken int64) {
	if n := len(f.samples); n > 0 && now.Sub(f.samples[n-1].at) < sampleEvery {
		return
	}
	f.samples = append(f.samples, sample{now, taken})
	if len(f.samples) > sampleSpan {
		f.samples = append(f.samples[:0], f.samples[1:]...)
	}
}

// daysLeft until room bytes are taken at the rate of the last hour; 0: not known.
func (f *filling) daysLeft(room int64) float64 {
	if len(f.samples) < 2 {
		return 0
	}
	first, last := f.samples[0], f.samples[len(f.samples)-1]
	rate := float64(last.taken-first.taken) / last.at.Sub(first.at).Hours() // bytes per hour
	if rate <= 0 {
		return 0
	}
	return float64(max(room, 0)) / rate / 24
}

// noteFull announces that the buffer is full, once until it is free again.
func (b *Buffer) noteFull(why string) {
	b.mu.Lock()
	announced := b.fill.full
	b.fill.full = true
	notice := Notice{Kind: Full, Bytes: b.unsentBytes(), Limit: b.o.Limit, Policy: b.o.WhenFull, Detail: why}
	b.mu.Unlock()
	if !announced {
		b.o.Notify(notice)
	}
}

// refuseNew turns new records away until takeNew: those queued already have no
// room on the card.
func (b *Buffer) refuseNew(cause error) {
	why := b.shortage()
	if why == "" {
		why = cause.Error()
	}
	b.mu.Lock()
	before := b.fill.refusing
	b.fill.refusing = true
	b.mu.Unlock()
	if !before {
		b.q.setFull(fmt.Errorf("%w: %s", ErrFull, why))
		b.noteFull(why)
	}
}

func (b *Buffer) takeNew() {
	b.mu.Lock()
	before := b.fill.refusing
	b.fill.refusing = false
	b.mu.Unlock()
	if before {
		b.q.setFull(nil)
		b.callKeeper() // to announce it
	}
}

// shortage is why the next segment cannot be made; "": it can.
func (b *Buffer) shortage() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.short
}

func (b *Buffer) setShortage(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.short = why
}
