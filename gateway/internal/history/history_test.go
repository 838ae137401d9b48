package history_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/history"
	"github.com/plantgate/plantgate/reading"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var place = reading.Place{Gateway: "pi1", Site: "home"}

// A card is a buffer that a test fills.
type card struct {
	t   testing.TB
	dir string
	b   *buffer.Buffer
	end func()
}

func newCard(t testing.TB, o buffer.Options) *card {
	t.Helper()
	c := &card{t: t, dir: t.TempDir()}
	var err error
	if c.b, err = buffer.Open(c.dir, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.b.Run(ctx, func() {}) }()
	c.end = func() {
		cancel()
		if err := errors.Join(<-done, c.b.Close()); err != nil {
			t.Error(err)
		}
	}
	return c
}

func (c *card) put(envelopes ...envelope.Envelope) {
	c.t.Helper()
	for _, e := range envelopes {
		c.store(e.Append(nil))
	}
}

func (c *card) store(record []byte) {
	c.t.Helper()
	last, err := c.b.Append(c.t.Context(), record)
	if err == nil {
		err = c.b.Wait(c.t.Context(), last)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// source is one beside the running buffer.
func (c *card) source() *history.Source {
	c.t.Helper()
	look, err := c.b.Look()
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(look.Close)
	return &history.Source{Look: look, Resolve: resolve, Gateway: "pi1"}
}

// resolve knows the wall clock of what was taken while it was right.
func resolve(i clock.Instant) (time.Time, reading.Quality, bool) {
	if !i.Synced {
		return time.UnixMilli(i.Wall), reading.Uncertain, false
	}
	return time.UnixMilli(i.Wall), reading.Good, true
}

func taken(at time.Time) clock.Instant { return clock.Instant{Wall: at.UnixMilli(), Synced: true} }

func measured(t testing.TB, at time.Time, r reading.Reading) envelope.Envelope {
	t.Helper()
	body, err := reading.AppendBody(nil, place, r)
	if err != nil {
		t.Fatal(err)
	}
	return envelope.Envelope{Kind: envelope.Reading, Taken: taken(at), Key: r.Device, Body: body}
}

func power(t testing.TB, at time.Time, device string, watts float64) envelope.Envelope {
	t.Helper()
	return measured(t, at, reading.Reading{Device: device, Source: "tasmota", Values: []reading.Value{{Metric: reading.Power, Number: watts}}})
}

// home fills a card with one of everything.
func home(t *testing.T) *card {
	t.Helper()
	c := newCard(t, buffer.Options{})
	c.put(power(t, noon, "washer", 42))
	event, err := reading.AppendEventBody(nil, place, reading.Event{Type: reading.DeviceSeen, Device: "washer", Fields: []reading.Field{{Name: "source", Value: "tasmota"}}})
	if err != nil {
		t.Fatal(err)
	}
	letter := envelope.Letter{Topic: "tele/washer/SENSOR", Client: "DVES_1", Error: "not \"JSON\"", Payload: []byte("{\x00")}
	unset := power(t, noon.Add(4*time.Second), "lamp, \"big\"", 7.5)
	unset.Taken.Synced = false
	c.put(
		envelope.Envelope{Kind: envelope.Event, Taken: taken(noon.Add(time.Second)), Key: "washer", Body: event},
		envelope.Envelope{Kind: envelope.DeadLetter, Taken: taken(noon.Add(2 * time.Second)), Key: "DVES_1", Body: letter.Append(nil)},
		measured(t, noon.Add(3*time.Second), reading.Reading{Device: "basil", Channel: "1", Source: "ads1115", Calibration: "dry", Dup: true, Values: []reading.Value{
			{Metric: "x_zeal", Number: 1}, {Metric: reading.SoilMoisture, Number: 41.5, Suspect: true}, {Metric: "x_age", Number: 2},
		}}),
		unset,
	)
	c.store([]byte{9, 9, 9, 9, 9}) // by a program of the future
	if err := c.b.Confirm(2, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func all(t *testing.T, s *history.Source, q history.Query) (lines []history.Line) {
	t.Helper()
	err := s.Answer(t.Context(), q, func(l history.Line) error {
		l.Value = bytes.Clone(l.Value)
		lines = append(lines, l)
		return nil
	})
	if err != nil {
		t.Fatalf("answer to %+v: %v", q, err)
	}
	return lines
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// What a person exports is what Kafka gets, byte for byte, and what travels
// between the gateway and the command is what was sent.
func TestAnswerHoldsEveryKindOfRecord(t *testing.T) {
	c := home(t)
	defer c.end()
	lines := all(t, c.source(), history.Query{Events: true, Letters: true})
	var wire []byte
	for _, l := range lines {
		wire = l.Append(wire)
	}
	wire = history.AppendEnd(wire, nil)
	golden(t, "answer.golden", strings.ReplaceAll(string(wire), c.b.Stats().Stream, "STREAM"))
	var back []history.Line
	err := history.Read(iotest.OneByteReader(bytes.NewReader(wire)), func(l history.Line) error {
		back = append(back, l)
		return nil
	})
	if diff := cmp.Diff(lines, back); err != nil || diff != "" {
		t.Errorf("read back: %v (-sent +read):\n%s", err, diff)
	}
}

// A spreadsheet gets a column for each metric that was measured, in the order
// of the documentation, and each number as it was written.
func TestTableHasTheColumnsThatAreMeasured(t *testing.T) {
	c := home(t)
	defer c.end()
	lines := all(t, c.source(), history.Query{})
	var columns history.Columns
	for _, l := range lines[1:] {
		columns.See(l.Value)
	}
	var out strings.Builder
	table, err := history.NewTable(&out, columns.Names())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines[1:] {
		if err := table.Add(l.Value); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.golden", strings.ReplaceAll(out.String(), c.b.Stats().Stream, "STREAM"))
}

func numbers(lines []history.Line) (found []uint64) {
	for _, l := range lines {
		if l.Number > 0 {
			found = append(found, l.Number)
		}
	}
	return found
}

func TestQueryPicksRecords(t *testing.T) {
	c := home(t)
	defer c.end()
	s := c.source()
	for name, tc := range map[string]struct {
		q    history.Query
		want []uint64
	}{
		"readings":          {history.Query{}, []uint64{1, 4, 5}},
		"numbers":           {history.Query{First: 2, Last: 4, Events: true}, []uint64{2, 4}},
		"behind the end":    {history.Query{First: 5, Last: 500}, []uint64{5}},
		"times":             {history.Query{Since: noon.Add(time.Second), Until: noon.Add(4 * time.Second), Letters: true}, []uint64{3, 4}},
		"device":            {history.Query{Device: "washer", Events: true, Letters: true}, []uint64{1, 2}},
		"newest":            {history.Query{Newest: 2}, []uint64{4, 5}},
		"newest of device":  {history.Query{Newest: 2, Device: "basil"}, []uint64{4}},
		"oldest unsent":     {history.Query{Unsent: 2, Events: true, Letters: true}, []uint64{3, 4}},
		"nothing there":     {history.Query{First: 7}, nil},
		"nothing then":      {history.Query{Since: noon.Add(time.Hour)}, nil},
		"nothing before":    {history.Query{Until: noon.Add(-time.Hour)}, nil},
		"everything newest": {history.Query{Newest: 100, Events: true, Letters: true}, []uint64{1, 2, 3, 4, 5, 6}},
	} {
		if diff := cmp.Diff(tc.want, numbers(all(t, s, tc.q))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		back, err := history.ParseQuery(tc.q.Values())
		if diff := cmp.Diff(tc.q, back); err != nil || diff != "" {
			t.Errorf("%s on its way to the gateway: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for _, q := range []history.Query{{First: 2, Last: 1}, {Since: noon, Until: noon}, {Newest: -1}, {Unsent: history.MaxCount + 1}} {
		if err := s.Answer(t.Context(), q, func(history.Line) error { return nil }); err == nil {
			t.Errorf("%+v is answered", q)
		}
		if _, err := history.ParseQuery(q.Values()); q.Newest >= 0 && err == nil {
			t.Errorf("%+v is understood", q)
		}
	}
}

// Times are found in a long history without reading it all, although devices
// date some records before those that came earlier.
func TestTimesAreFoundInALongHistory(t *testing.T) {
	const count = 3000
	dated := func(n int) time.Time {
		at := noon.Add(time.Duration(n) * time.Minute)
		if n%7 == 3 {
			at = at.Add(-4 * time.Minute)
		}
		return at
	}
	c := newCard(t, buffer.Options{})
	defer c.end()
	var records [][]byte
	for n := range count {
		records = append(records, power(t, dated(n), "washer", float64(n)).Append(nil))
	}
	last, err := c.b.Append(t.Context(), records...)
	if err == nil {
		err = c.b.Wait(t.Context(), last)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := c.source()
	for minute := 1000; minute < 1050; minute++ {
		q := history.Query{Since: noon.Add(time.Duration(minute) * time.Minute), Until: noon.Add(time.Duration(minute+900) * time.Minute)}
		var want []uint64
		for n := range count {
			if at := dated(n); !at.Before(q.Since) && at.Before(q.Until) {
				want = append(want, uint64(n+1))
			}
		}
		lines := all(t, s, q)
		if diff := cmp.Diff(want, numbers(lines)); diff != "" {
			t.Fatalf("minute %d (-want +got):\n%s", minute, diff)
		}
		if span := lines[0].Span; span.First < 900 || span.Last > 2100 {
			t.Errorf("records %d..%d were read for %d..%d", span.First, span.Last, want[0], want[len(want)-1])
		}
		span, err := s.Exact(t.Context(), q)
		if err != nil || span.First != want[0] || span.Last != want[len(want)-1] {
			t.Errorf("exact: %+v, %v, want %d..%d", span, err, want[0], want[len(want)-1])
		}
	}
}

// What is no longer on the card is said, not left out.
func TestWhatIsGoneIsAGap(t *testing.T) {
	c := newCard(t, buffer.Options{SegmentSize: 256 << 10, Limit: 6 << 20, Reserve: -1, Keep: -1})
	defer c.end()
	noise := make([]byte, 60<<10)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	for c.b.Stats().Segments < 3 {
		c.store(envelope.Envelope{Kind: envelope.Reading, Taken: taken(noon), Body: append([]byte(`"gateway":"pi1"`), noise...)}.Append(nil))
	}
	last := c.b.Stats().Next - 1
	if err := c.b.Confirm(last, nil); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); c.b.Stats().Oldest == 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is unlinked")
		}
	}
	oldest := c.b.Stats().Oldest
	lines := all(t, c.source(), history.Query{First: 1})
	if len(lines) < 2 || lines[1].Gap == nil || !lines[1].Gap.Expired() || lines[1].Gap.First != 1 || lines[1].Gap.Last != oldest-1 {
		t.Fatalf("got %+v, oldest is %d", lines, oldest)
	}
	if lines := all(t, c.source(), history.Query{}); lines[1].Gap != nil {
		t.Errorf("everything that is there begins with %+v", lines[1].Gap)
	}
}

// Without its configuration, a card taken out of a dead board still knows whose
// readings it holds.
func TestFilesAloneTellTheirGateway(t *testing.T) {
	c := home(t)
	c.end()
	look, err := buffer.LookAt(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	s := &history.Source{Look: look, Resolve: resolve}
	lines := all(t, s, history.Query{Letters: true})
	for i, id := range []string{"1", "3", "4", "5", "6"} {
		if l := lines[i+1]; !bytes.Contains(l.Value, []byte(`"id":"pi1-`)) || !bytes.Contains(l.Value, []byte("-"+id+`",`)) {
			t.Errorf("line %d: %s", i, l.Value)
		}
	}
	if look.Confirmed() != 2 || lines[1].Confirmed != true || lines[2].Confirmed {
		t.Errorf("confirmed %d", look.Confirmed())
	}
}

// A gateway that stops in the middle of an export must not pass for the end of
// the readings.
func TestBrokenOffAnswerIsAnError(t *testing.T) {
	whole := history.Line{Span: &history.Span{First: 1, Last: 2}}.Append(nil)
	whole = history.Line{Number: 1, Kind: "reading", Value: []byte(`{"v":1}`)}.Append(whole)
	ignore := func(history.Line) error { return nil }
	if err := history.Read(bytes.NewReader(whole), ignore); !errors.Is(err, history.ErrBrokenOff) {
		t.Errorf("without an end: %v", err)
	}
	if err := history.Read(io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(io.ErrUnexpectedEOF)), ignore); !errors.Is(err, history.ErrBrokenOff) {
		t.Errorf("cut: %v", err)
	}
	failed := history.AppendEnd(whole, errors.New("card: \"input/output error\""))
	if err := history.Read(bytes.NewReader(failed), ignore); err == nil || err.Error() != "card: \"input/output error\"" {
		t.Errorf("failed: %v", err)
	}
	stop := errors.New("full")
	if err := history.Read(bytes.NewReader(whole), func(history.Line) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visitor: %v", err)
	}
}

// A walk ends where its reader leaves: at once, not at the end of the card.
func TestAnswerEndsWithItsReader(t *testing.T) {
	c := home(t)
	defer c.end()
	s := c.source()
	s.Gentle = true
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Answer(ctx, history.Query{}, func(l history.Line) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	gone := fmt.Errorf("reader has left")
	if err := s.Answer(t.Context(), history.Query{}, func(history.Line) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("visitor: %v", err)
	}
}
