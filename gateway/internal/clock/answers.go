package clock

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// Answers are those that a clock gave, read from its state file while no clock
// runs on it.
type Answers struct {
	facts   map[uint32]facts
	current string // id of this boot
	ids     map[uint32]string
}

// ReadAnswers reads the state file of a clock and leaves it as it is. Without a
// file there are no answers but the one that everybody knows: what was taken
// while the clock was synchronised keeps its time.
func ReadAnswers(path string) (Answers, error) {
	t, err := read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Answers{}, fmt.Errorf("read clock state %s: %w", path, err)
	}
	a := Answers{facts: t.facts(), current: bootID(), ids: map[uint32]string{}}
	for _, b := range t {
		a.ids[b.Number] = b.ID
	}
	return a, nil
}

// Resolve is Clock.Resolve. While ok is false, t is a guess that a clock may
// still correct.
func (a Answers) Resolve(i Instant) (t time.Time, q reading.Quality, ok bool) {
	id, known := a.ids[i.Boot]
	return resolve(a.facts[i.Boot], i, known && id == a.current)
}

// resolve says when i was, as far as is known of its boot; running: that boot
// may still be synchronised.
func resolve(known facts, i Instant, running bool) (t time.Time, q reading.Quality, ok bool) {
	wall := time.UnixMilli(i.Wall).UTC()
	switch {
	case i.Synced:
		return wall, reading.Good, true
	case i.Boottime < known.before:
		return wall, reading.Uncertain, true
	case known.offset != nil:
		return time.UnixMilli(i.Boottime + *known.offset).UTC(), reading.Good, true
	default:
		return wall, reading.Uncertain, !running
	}
}
