package reading_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/plantgate/plantgate/reading"
)

// Anybody may have written what a command reads back: it is a record or an
// error, never a crash, and a record is written again with the same identity.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"v":1,"id":"pi1-6f2c9a1e-12345","seq":12345,"ts":"2026-11-24T08:12:31.123Z","ts_ms":1795507951123,"quality":"good","quality_level":0.0,"gateway":"pi1","site":"home","device":"washer","channel":"","source":"tasmota","power_w":123.0,"energy_kwh":4.213,"suspect":"power_w"}`,
		`{"v":1,"id":"a-b-1","power_w":1e400}`, `{"v":1,"id":"a-b-1","power_w":{"a":[1,{}]},"x_own":[{}]}`,
		`{"v":1,"id":"a-b-1","quality_level":1e300,"ts_ms":9223372036854775807}`, `{"v":1,"id":"-b-1"}`, `{"v":1,"v":2}`, `[]`, `null`, `{"v":1,"id":"a-b-1","power_w":1.0,"power_w":2.0}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := reading.Parse(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("%q is taken for a record", text)
		}
		stream, seq, err := reading.SplitID(r.ID)
		if err != nil || stream != r.Head.Stream {
			t.Errorf("id %q: stream %q and %d, %v, want %q", r.ID, stream, seq, err, r.Head.Stream)
		}
		for _, v := range r.Reading.Values {
			if v.Number-v.Number != 0 {
				t.Errorf("%s is %v", v.Metric, v.Number)
			}
		}
		if strings.ContainsAny(r.Head.Gateway, `"\`) || r.Reading.Validate() != nil {
			return // somebody else's
		}
		body, err := reading.AppendBody(nil, r.Place, r.Reading)
		if err != nil || !utf8.Valid(body) {
			t.Errorf("%+v is written as %q, %v", r.Reading, body, err)
		}
	})
}

// The words of an event hold errors of the system and names that clients chose:
// none of them costs the event.
func FuzzEvent(f *testing.F) {
	f.Add("washer", "input/output error", int64(-1), uint64(1)<<63, 1e-9, int64(1795507951123))
	f.Add("\x00", "\xff\u2028\"\\", int64(0), uint64(0), math.Copysign(0, -1), int64(-1))
	f.Add("", strings.Repeat("é", 2000), int64(0), uint64(0), 1e300, int64(0))
	f.Fuzz(func(t *testing.T, device, text string, a int64, b uint64, c float64, ms int64) {
		const year9999 = 253402300799999
		e := reading.Event{Type: reading.BufferFull, Device: device, Fields: []reading.Field{
			{Name: "detail", Value: text}, {Name: "bytes", Value: a}, {Name: "limit", Value: b}, {Name: "policy", Value: c},
			{Name: "detail", Value: time.UnixMilli(ms % year9999)},
		}}
		body, err := reading.AppendEventBody([]byte{'{'}, home, e)
		if err != nil {
			if e.Validate() == nil && c-c == 0 {
				t.Errorf("%v: %+v", err, e)
			}
			return
		}
		if !utf8.Valid(body) || !json.Valid(body) || len(body) > 6*(1100+reading.MaxNameBytes)+500 {
			t.Errorf("%d bytes: %q", len(body), body)
		}
	})
}
