package history

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/config"
)

// A Point is one end of a range: a record's number or a moment. The zero Point
// is no end at all.
type Point struct {
	Number uint64
	Time   time.Time
}

const howToWrite = "write a number (`12345`), a time (`2026-11-24T08:00:00Z`, or `2026-11-24 08:00` in local time), a day (`2026-11-24`) or how long ago (`2h`, `3d`)"

// ParseFrom reads where a range begins, as a person writes it: a day is meant
// from its first moment, in the zone of now.
func ParseFrom(text string, now time.Time) (Point, error) { return parsePoint(text, now, 0) }

// ParseTo reads where a range ends. A number and a day belong to the range, a
// moment does not.
func ParseTo(text string, now time.Time) (Point, error) { return parsePoint(text, now, 1) }

func parsePoint(text string, now time.Time, days int) (Point, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Point{}, nil
	}
	if digits := strings.TrimPrefix(text, "#"); strings.Trim(digits, "0123456789") == "" {
		n, err := strconv.ParseUint(digits, 10, 62)
		if err != nil || n == 0 {
			return Point{}, fmt.Errorf("%q is no number of a record: %s", text, howToWrite)
		}
		return Point{Number: n}, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return Point{Time: day.AddDate(0, 0, days)}, nil // a day may have 23 or 25 hours
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return Point{Time: at}, nil
		}
	}
	ago, err := config.ParseDuration(text)
	switch {
	case err != nil && strings.Contains(text, "-"):
		return Point{}, fmt.Errorf("%q is no point in time: %s", text, howToWrite)
	case err != nil:
		return Point{}, fmt.Errorf("%w: %s", err, howToWrite)
	case ago < 0:
		return Point{}, fmt.Errorf("%q lies in the future: write `%s` for that long ago", text, strings.TrimPrefix(text, "-"))
	}
	return Point{Time: now.Add(-ago)}, nil
}
