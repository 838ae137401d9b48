package forward_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/reading"
)

// The positions lie on the card and may have been written by another version:
// whatever they hold, forward starts, and what it keeps of them fits where it
// came from.
func FuzzBlob(f *testing.F) {
	f.Add([]byte(`{"v":1,"partitions":{"plantgate.readings.v1":3},"last":[{"topic":"plantgate.readings.v1","partition":0,"offset":7,"id":"pi1-6f2c9a1e-8"}],"refill":[{"topic":"plantgate.events.v1","partition":-1,"next":3,"to":9}]}`))
	f.Add([]byte(`{"v":1,"last":[{"topic":"plantgate.readings.v1","partition":-9,"offset":-9223372036854775808,"id":"\u0000"}]}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, blob []byte) {
		once, err := forward.ParseBlob(blob, forward.DefaultTopics())
		if err != nil {
			return
		}
		if len(once) > buffer.MaxBlob {
			t.Fatalf("%d bytes", len(once))
		}
		twice, err := forward.ParseBlob(once, forward.DefaultTopics())
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s is kept as %s and then, %v, as %s", blob, once, err, twice)
		}
	})
}

// A block's checksum tells that its bytes are what was written, not that this
// program can read them. Whatever they are becomes a record that Kafka and a
// consumer can take, in the right topic, with the right identity.
func FuzzRecord(f *testing.F) {
	body, err := reading.AppendBody(nil, place, reading.Reading{Device: "washer", Source: "tasmota", Values: []reading.Value{{Metric: reading.Power, Number: 7}}})
	if err != nil {
		f.Fatal(err)
	}
	taken := clock.Instant{Wall: 1795507951123, Boottime: 77_000, Boot: 42, Synced: true}
	f.Add(envelope.Envelope{Kind: envelope.Reading, Taken: taken, Key: "washer", Body: body}.Append(nil), int64(1795507951123), false)
	f.Add(envelope.Envelope{Kind: envelope.Event, Taken: taken, Body: []byte(`"event":"gap"}`)}.Append(nil), int64(0), true)
	letter := envelope.Letter{Topic: "tele/x/SENSOR", Client: "c", Error: "not JSON", Payload: []byte{0xff}}.Append(nil)
	f.Add(envelope.Envelope{Kind: envelope.DeadLetter, Key: "c", Body: letter}.Append(nil), int64(1), true)
	wordy := envelope.Letter{Error: strings.Repeat("no JSON ", 500)}.Append(nil)
	f.Add(envelope.Envelope{Kind: envelope.DeadLetter, Body: wordy}.Append(nil), int64(1), false)
	f.Add([]byte{2, 1}, int64(0), false)
	topics := forward.DefaultTopics()
	f.Fuzz(func(t *testing.T, stored []byte, ms int64, replayed bool) {
		at := time.UnixMilli(ms % 253402300800000).UTC() // year 9999
		before := bytes.Clone(stored)
		r := forward.MakeRecord(place, stored, at, replayed)
		if !bytes.Equal(stored, before) {
			t.Error("what is stored was changed")
		}
		id, own := forward.RecordID(place.Gateway, &r)
		if want := place.Gateway + "-6f2c9a1e-7"; id != want || !own {
			t.Errorf("identity %q, own: %v, want %q", id, own, want)
		}
		if !r.Timestamp.Equal(at) {
			t.Errorf("time %v, want %v", r.Timestamp, at)
		}
		e, err := envelope.Parse(stored)
		switch {
		case err != nil || e.Kind == envelope.DeadLetter:
			checkLetter(t, topics, r)
		case r.Topic != map[envelope.Kind]string{envelope.Reading: topics.Readings, envelope.Event: topics.Events}[e.Kind]:
			t.Errorf("a %s in topic %s", e.Kind, r.Topic)
		case bytes.HasPrefix(e.Body, []byte{'"'}) && json.Valid(append([]byte{'{'}, e.Body...)) && utf8.Valid(e.Body):
			checkJSON(t, r)
		}
	})
}

func checkLetter(t *testing.T, topics forward.Topics, r kgo.Record) {
	t.Helper()
	if r.Topic != topics.DeadLetter {
		t.Errorf("a dead letter in topic %s", r.Topic)
	}
	for _, h := range r.Headers {
		if h.Key == "error" && len(h.Value) > 1024 {
			t.Errorf("%d bytes of error text", len(h.Value))
		}
	}
}

// checkJSON: headers say what the value says.
func checkJSON(t *testing.T, r kgo.Record) {
	t.Helper()
	var v struct {
		V   int    `json:"v"`
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		t.Errorf("%q: %v", r.Value, err)
	}
	for _, h := range r.Headers {
		if len(h.Value) == 0 {
			t.Errorf("header %s is empty", h.Key)
		}
	}
}

// Kafka may say anything about its log. What forward makes of it names records
// that it has sent, and a log that has them all has lost none.
func FuzzLog(f *testing.F) {
	f.Add(int64(0), int64(41), []byte{10, 20, 30, 40})
	f.Add(int64(0), int64(25), []byte{10, 20})
	f.Add(int64(20), int64(41), []byte{20, 30})
	f.Add(int64(-9223372036854775808), int64(9223372036854775807), []byte{})
	f.Add(int64(10), int64(41), []byte{20, 30, 40})
	f.Add(int64(50), int64(-1), []byte{10})
	f.Fuzz(func(t *testing.T, start, end int64, there []byte) {
		ids := map[int64]string{}
		for _, offset := range there {
			ids[int64(offset)] = fmt.Sprintf("id-%d", offset)
		}
		for _, known := range []map[int64]string{ids, nil} {
			lost := forward.Lost(start, end, known)
			if !slices.IsSorted(lost) || len(lost) > 4 || len(lost) > 0 && (lost[0] < 0 || lost[len(lost)-1] > 3) {
				t.Fatalf("lost are %v", lost)
			}
			for i, offset := range []int64{10, 20, 30, 40} {
				gone := offset >= start && (offset >= end || known != nil && known[offset] == "")
				if gone && !slices.Contains(lost, i) || !gone && known != nil && slices.Contains(lost, i) {
					t.Errorf("log %d to %d with %v: lost are %v", start, end, known, lost)
				}
			}
		}
	})
}
