package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

// fuzzedIngest returns an ingest and a buffer that run until the target ends.
func fuzzedIngest(f *testing.F, path string) (*ingest.Ingest, *buffer.Buffer) {
	f.Helper()
	i := mustIngest(f, path)
	b, err := buffer.Open(f.TempDir(), buffer.Options{Limit: 6 << 20, SegmentSize: 1 << 20, Reserve: -1, Keep: -1})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- b.Run(ctx, func() {}) }()
	go func() { done <- i.Run(ctx, func() {}) }()
	f.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				f.Error(err)
			}
		}
		if err := b.Close(); err != nil {
			f.Error(err)
		}
	})
	i.Attach(b)
	return i, b
}

func mustIngest(t testing.TB, path string) *ingest.Ingest {
	t.Helper()
	i, err := ingest.New(ingest.Options{
		Place: place, Now: systemClock(), DevicesPath: path, Log: slog.New(slog.DiscardHandler),
		Dialects: []ingest.Dialect{tasmota.New(), other{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// FuzzAccept: whatever a client publishes, what lies on the card is a record
// that forward sends and a consumer reads, and a message with QoS 1 has the tag
// of its own.
func FuzzAccept(f *testing.F) {
	in, err := os.ReadFile(corpus)
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.SplitSeq(bytes.TrimSpace(in), []byte("\n")) {
		var m struct {
			Topic, Payload string
			Setup          []struct{ Topic, Payload string }
		}
		if err := json.Unmarshal(line, &m); err != nil {
			f.Fatal(err)
		}
		for _, before := range m.Setup {
			f.Add("c", before.Topic, []byte(before.Payload), byte(0))
		}
		f.Add("c", m.Topic, []byte(m.Payload), byte(1))
	}
	f.Add("c\xff", "other/\x00", []byte("7"), byte(9))
	f.Add(strings.Repeat("c", 300), "other/"+strings.Repeat("a", 300), []byte("!"), byte(16))
	f.Add("c", "tele/x/SENSOR", bytes.Repeat([]byte("no JSON "), 5000), byte(1))
	i, b := fuzzedIngest(f, "")
	f.Fuzz(func(t *testing.T, client, topic string, payload []byte, flags byte) {
		before := b.Stats().Next
		m := ingest.Message{Client: client, Topic: topic, Payload: payload, QoS: flags & 1, Retained: flags&2 != 0, Dup: flags&4 != 0, Will: flags&8 != 0}
		kept := bytes.Clone(payload)
		tag, err := i.Accept(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept, payload) {
			t.Error("the payload was changed")
		}
		next := b.Stats().Next
		if m.QoS == 0 && tag != 0 || tag != 0 && tag < before || tag >= next {
			t.Errorf("QoS %d: tag %d of %d", m.QoS, tag, next)
		}
		if next == before {
			return
		}
		if err := b.Wait(t.Context(), next-1); err != nil {
			t.Fatal(err)
		}
		checkStored(t, b, before, next)
		if err := b.Confirm(next-1, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// checkStored looks at each record from number first to before next.
func checkStored(t *testing.T, b *buffer.Buffer, first, next uint64) {
	t.Helper()
	for first < next {
		w, err := b.Read(first, 1000, 1<<20)
		if err != nil || w.Gap != nil || len(w.Records) == 0 {
			t.Fatalf("read %d of %d: %+v, %v", first, next, w.Gap, err)
		}
		for _, stored := range w.Records {
			checkRecord(t, stored)
			first++
		}
	}
}

func checkRecord(t *testing.T, stored []byte) {
	t.Helper()
	e, err := envelope.Parse(stored)
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind == envelope.DeadLetter {
		if l, err := envelope.ParseLetter(e.Body); err != nil || l.Error == "" || len(l.Payload) > 32<<10 || len(l.Error) > 2048 {
			t.Errorf("letter %+v, %v", l, err)
		}
		return
	}
	h := reading.Head{Gateway: place.Gateway, Stream: "6f2c9a1e", Seq: 7, Time: time.UnixMilli(e.Taken.Wall), Quality: e.Quality}
	record := append(h.Append(nil), e.Body...)
	if !utf8.Valid(record) || !json.Valid(record) {
		t.Fatalf("not JSON: %q", record)
	}
	if e.Kind == envelope.Event {
		return
	}
	r, err := reading.Parse(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Reading.Validate(); err != nil || r.Reading.Device != e.Key || r.Reading.Quality() > e.Quality {
		t.Errorf("%v: key %q, quality %v of %s", err, e.Key, e.Quality, record)
	}
}

// The file of device names is a convenience: whatever the card gives back of it,
// the gateway starts, names stay valid, and what is then kept is read again.
func FuzzDevices(f *testing.F) {
	for _, text := range []string{`{"v":1,"owners":{"washer":"tasmota","basil":"ads1115"}}`, `{"v":2}`, `{"v":1,"owners":{"":"","\u0000":"x"}}`, `{"v":1,"owners":null}`, ``, `[`} {
		f.Add([]byte(text), "washer")
	}
	f.Add([]byte(`{"v":1,"owners":{"`+strings.Repeat("a", 300)+`":"`+strings.Repeat("b", 300)+`"}}`), "other:washer")
	path := filepath.Join(f.TempDir(), "devices.json")
	f.Fuzz(func(t *testing.T, content []byte, device string) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		i := mustIngest(t, path)
		known := len(i.Devices())
		got, err := i.Accept(t.Context(), ingest.Message{Client: "c", Topic: "other/" + device, Payload: []byte("7")})
		if err != nil || got != 0 {
			t.Fatalf("tag %d, %v", got, err)
		}
		if after := len(i.Devices()); after < known || after > known+2 {
			t.Errorf("%d devices became %d", known, after)
		}
		for _, d := range i.Devices() {
			if d.Name == "" && d.Readings > 0 {
				t.Errorf("device %+v", d)
			}
		}
	})
}

// The counters of refused readings lie with the positions: whatever they are,
// they are read or start anew, and can be told to Kafka.
func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"v":1,"stream":"6f2c9a1e","total":9,"reported":2,"pending":[{"reason":"full","count":7,"devices":["washer"],"since":1795507951123,"until":1795507952000}]}`))
	f.Add([]byte(`{"v":1,"pending":[{"reason":"\u0000","count":18446744073709551615,"since":-9223372036854775808,"until":9223372036854775807},{"count":1}]}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, note []byte) {
		events, again, err := ingest.ResumeNote("6f2c9a1e", note)
		if err != nil {
			if len(events) > 0 {
				t.Errorf("%v, and still %+v", err, events)
			}
			return
		}
		if !json.Valid(again) {
			t.Errorf("kept as %s", again)
		}
		for _, e := range events {
			body, err := reading.AppendEventBody([]byte{'{'}, place, e)
			if err != nil || !json.Valid(body) {
				t.Errorf("event %s: %v", body, err)
			}
		}
	})
}
