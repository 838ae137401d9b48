package history_test

import (
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/history"
)

// People write ends of a range as they think of them; each way has one meaning.
func TestEndsOfARangeAreUnderstood(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zones on this machine: %v", err)
	}
	now := time.Date(2026, 10, 26, 8, 0, 0, 0, berlin)
	at := func(text string) history.Point {
		p, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return history.Point{Time: p}
	}
	for _, tc := range []struct {
		text     string
		from, to history.Point
	}{
		{"", history.Point{}, history.Point{}},
		{"123", history.Point{Number: 123}, history.Point{Number: 123}},
		{" #123 ", history.Point{Number: 123}, history.Point{Number: 123}},
		{"2026-10-24", at("2026-10-24T00:00:00+02:00"), at("2026-10-25T00:00:00+02:00")},
		{"2026-10-25", at("2026-10-25T00:00:00+02:00"), at("2026-10-26T00:00:00+01:00")}, // of 25 hours
		{"2026-10-24T08:00:00Z", at("2026-10-24T08:00:00Z"), at("2026-10-24T08:00:00Z")},
		{"2026-10-24T08:00:00.5+02:00", at("2026-10-24T06:00:00.5Z"), at("2026-10-24T06:00:00.5Z")},
		{"2026-10-24 08:00", at("2026-10-24T08:00:00+02:00"), at("2026-10-24T08:00:00+02:00")},
		{"2026-10-24T08:00:30", at("2026-10-24T08:00:30+02:00"), at("2026-10-24T08:00:30+02:00")},
		{"90m", at("2026-10-26T06:30:00+01:00"), at("2026-10-26T06:30:00+01:00")},
		{"2h", at("2026-10-26T06:00:00+01:00"), at("2026-10-26T06:00:00+01:00")},
		{"3d", at("2026-10-23T09:00:00+02:00"), at("2026-10-23T09:00:00+02:00")},
	} {
		from, err := history.ParseFrom(tc.text, now)
		if err != nil || from.Number != tc.from.Number || !from.Time.Equal(tc.from.Time) {
			t.Errorf("from %q: got %+v, %v, want %+v", tc.text, from, err, tc.from)
		}
		to, err := history.ParseTo(tc.text, now)
		if err != nil || to.Number != tc.to.Number || !to.Time.Equal(tc.to.Time) {
			t.Errorf("to %q: got %+v, %v, want %+v", tc.text, to, err, tc.to)
		}
	}
}

func TestWrongEndsOfARangeAreExplained(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"0":                     "no number of a record",
		"99999999999999999999":  "no number of a record",
		"yesterday":             "how long ago",
		"5":                     "",
		"5x":                    "no unit of time",
		"5H":                    "did you mean `5h`",
		"-2h":                   "lies in the future",
		"2026-13-01":            "no point in time",
		"24.11.2026":            "write a number",
		"2026-11-24 8 o'clock":  "no point in time",
		"2026-11-24T08:00+0100": "no point in time",
	} {
		p, err := history.ParseFrom(text, now)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "`")):
			t.Errorf("%q: got %+v, %v, want an error with %q and what to write", text, p, err, want)
		}
	}
}
