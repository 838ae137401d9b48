package forward_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What a consumer sees is a contract: every byte of it is in the golden file.
func TestRecordsAsKafkaSeesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		stream := r.buffer.Stats().Stream
		r.store(r.reading("washer", 123))
		r.store(r.reading(`a "strange" näme\`, 0.5))
		doubtful := r.reading("probe", 1)
		doubtful.Quality = reading.Uncertain
		r.store(doubtful)
		for _, device := range []string{"washer", ""} {
			body, err := reading.AppendEventBody(nil, place, reading.Event{Type: reading.SensorFound, Device: device,
				Fields: []reading.Field{{Name: "lost_s", Value: 90.0}}})
			if err != nil {
				t.Fatal(err)
			}
			r.store(envelope.Envelope{Kind: envelope.Event, Taken: r.clock.Now(), Key: device, Body: body})
		}
		letter := envelope.Letter{Topic: "tele/washer/SENSOR", Client: "DVES_1", Error: "not JSON", Payload: []byte("\x00{oops")}
		r.store(envelope.Envelope{Kind: envelope.DeadLetter, Taken: r.clock.Now(), Key: "washer", Body: letter.Append(nil)})
		// A newer program wrote something that this one cannot read.
		last, err := r.buffer.Append(t.Context(), []byte("\x09future"))
		if err != nil {
			t.Fatal(err)
		}
		r.sync(last)
		r.await(last)

		var b bytes.Buffer
		for _, topic := range []string{readings, events, deadLetters} {
			for _, g := range r.topic(topic) {
				fmt.Fprintf(&b, "%s key=%q nilkey=%v CreateTime=%s\n", g.Topic, g.Key, g.Key == nil, g.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
				for _, h := range g.Headers {
					fmt.Fprintf(&b, "  %s: %q\n", h.Key, h.Value)
				}
				fmt.Fprintf(&b, "  %q\n", g.Value)
			}
		}
		compareGolden(t, "records.golden", strings.ReplaceAll(b.String(), stream, "STREAM"))
	})
}

func compareGolden(t *testing.T, name, have string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), have); diff != "" {
		t.Errorf("records differ from testdata/%s (-want +got):\n%s", name, diff)
	}
}

// The body that was stored is what leaves; a record reads back as it was put in.
func TestReadingsReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		last := r.put("washer", 3)
		r.await(last)
		for i, g := range r.topic(readings) {
			rec, err := reading.Parse(g.Value)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Head.Seq != uint64(i+1) || rec.Reading.Device != "washer" || rec.Reading.Values[0].Number != float64(i) {
				t.Errorf("record %d reads back as %+v", i+1, rec)
			}
			if !rec.Head.Time.Equal(g.Timestamp) {
				t.Errorf("CreateTime is %v, ts_ms says %v", g.Timestamp, rec.Head.Time)
			}
		}
	})
}
