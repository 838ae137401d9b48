package mapping

import (
	"math"
	"time"

	"github.com/tidwall/gjson"
)

// A moment finds the instant in a message that its author vouches for.
type moment struct {
	path, layout string
	zone         *time.Location // nil: the text itself must say it
}

// Instants outside of these years come from clocks that were never set.
const firstYear, lastYear = 2016, 2099

// read returns the instant, or zero when the message leaves it in doubt.
func (w *moment) read(m *message) time.Time {
	if w == nil {
		return time.Time{}
	}
	t := w.parse(m.value(w.path))
	if t = t.UTC(); t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}

func (w *moment) parse(v gjson.Result) time.Time {
	switch w.layout {
	case "unix":
		return unix(v, 1000)
	case "unix_ms":
		return unix(v, 1)
	}
	if w.zone == nil {
		t, err := time.Parse(w.layout, v.Str)
		if err != nil {
			return time.Time{}
		}
		return t
	}
	t, err := time.ParseInLocation(w.layout, v.Str, w.zone)
	if err != nil || !w.once(t) {
		return time.Time{}
	}
	return t
}

// once is false for the hour that a clock shows twice in autumn.
func (w *moment) once(t time.Time) bool {
	shown := t.Format(w.layout)
	return t.Add(time.Hour).Format(w.layout) != shown && t.Add(-time.Hour).Format(w.layout) != shown
}

// unix reads seconds or milliseconds since 1970, with room for a fraction.
func unix(v gjson.Result, perUnit float64) time.Time {
	ms := v.Num * perUnit
	if v.Type != gjson.Number || !(math.Abs(ms) < 1e14) {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
