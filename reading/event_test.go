package reading_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/reading"
)

// A consumer that alerts on events relies on the table: an event with another
// field, or of another type, is a mistake in the program.
func TestEventOutsideTheTableIsTurnedDown(t *testing.T) {
	for name, e := range map[string]reading.Event{
		"type":     {Type: "party"},
		"field":    {Type: reading.Gap, Fields: []reading.Field{{Name: "colour", Value: "red"}}},
		"value":    {Type: reading.Gap, Fields: []reading.Field{{Name: "count", Value: struct{}{}}}},
		"infinite": {Type: reading.SensorFound, Fields: []reading.Field{{Name: "lost_s", Value: math.Inf(1)}}},
		"device":   {Type: reading.DeviceSeen, Device: "\xff"},
	} {
		if body, err := reading.AppendEventBody(nil, home, e); err == nil || body != nil {
			t.Errorf("%s: got %q, %v, want nothing and an error", name, body, err)
		}
	}
}

// The words of an event come from the system or from a client; they must never
// cost the event.
func TestWordsOfAnEventAreMadeFit(t *testing.T) {
	words := strings.Repeat("x", 5000) + "\xff\"\n"
	body, err := reading.AppendEventBody([]byte("{"), home, reading.Event{
		Type: reading.FileSetAside, Fields: []reading.Field{{Name: "error", Value: words}, {Name: "file", Value: "\xff\"\n"}, {Name: "salvaged", Value: int64(3)}},
	})
	if err != nil || !json.Valid(body) || len(body) > 2000 {
		t.Errorf("got %d bytes, valid %v, %v", len(body), json.Valid(body), err)
	}
}

func TestEventTableIsDocumented(t *testing.T) {
	seen := map[reading.EventType]bool{}
	for _, d := range reading.EventDefinitions() {
		if seen[d.Type] || d.Meaning == "" {
			t.Errorf("%s: twice or without meaning", d.Type)
		}
		seen[d.Type] = true
		for _, f := range d.Fields {
			if f.Name == "" || f.Meaning == "" {
				t.Errorf("%s: field %q without meaning", d.Type, f.Name)
			}
		}
	}
}
