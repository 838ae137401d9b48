package reading_test

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/reading"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	home  = reading.Place{Gateway: "pi1", Site: "home"}
	taken = time.Date(2026, 11, 24, 8, 12, 31, 123_000_000, time.UTC)
)

func record(t testing.TB, h reading.Head, r reading.Reading) []byte {
	t.Helper()
	out, err := reading.AppendBody(h.Append(nil), home, r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The wire format is what a hundred dashboards are built on: any change of it
// must show in a diff.
func TestRecordIsWrittenExactlySo(t *testing.T) {
	head := reading.Head{Gateway: "pi1", Stream: "6f2c9a1e", Seq: 12345, Time: taken}
	plug := reading.Reading{Device: "washer", Source: "tasmota", Values: []reading.Value{
		{Metric: reading.Power, Number: 123}, {Metric: reading.Energy, Number: 4.213},
		{Metric: reading.Voltage, Number: 231}, {Metric: reading.Current, Number: 0.545},
	}}
	probe := reading.Reading{Device: "Grüne \"Minze\"\n", Channel: "2", Source: "ads1115", Calibration: "basil-1", Dup: true, Values: []reading.Value{
		{Metric: reading.SoilMoisture, Number: 41, Suspect: true},
		{Metric: reading.SoilMoistureRaw, Number: 12800},
		{Metric: reading.SoilVoltage, Number: math.Copysign(0, -1), Suspect: true},
		{Metric: reading.Energy, Number: 1e-9}, {Metric: reading.Power, Number: 1e30},
	}}
	uncertain := head
	uncertain.Quality, uncertain.Replayed = reading.Uncertain, true
	gap, err := reading.AppendEventBody(head.AppendGap(nil, 12399), home, reading.Event{
		Type: reading.Gap, Fields: []reading.Field{
			{Name: "from", Value: uint64(12345)}, {Name: "to", Value: uint64(12399)}, {Name: "count", Value: int64(55)},
			{Name: "reason", Value: "damaged"}, {Name: "since", Value: taken},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	lost, err := reading.AppendEventBody(head.Append(nil), home, reading.Event{
		Type: reading.SensorFound, Device: "basil", Fields: []reading.Field{
			{Name: "sensor", Value: "basil"}, {Name: "state", Value: "ok"}, {Name: "lost_s", Value: 42.0},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	lines := [][]byte{record(t, head, plug), record(t, uncertain, probe), gap, lost}
	var got []byte
	for _, line := range lines {
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
		got = append(append(got, line...), '\n')
	}
	golden(t, "records.golden", got)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Schemaless consumers take a field's type from its first record: 42 makes an
// integer column that 42.5 then breaks.
func TestEveryNumberHasADecimalPoint(t *testing.T) {
	for _, n := range []float64{0, 1, -1, 42, 1e6, 1e20, 1e21, 1e22, -1e300, 5e-324, 1e-7, 1e-6, 0.1, math.MaxFloat64, math.Copysign(0, -1)} {
		r := washer(reading.Value{Metric: reading.Power, Number: n})
		line := string(record(t, reading.Head{Stream: "0", Time: taken}, r))
		_, number, _ := strings.Cut(line, `"power_w":`)
		number = strings.TrimSuffix(number, "}")
		var back float64
		if err := json.Unmarshal([]byte(number), &back); err != nil || back != n {
			t.Errorf("%g: written %s, read back %g, %v", n, number, back, err)
		}
		if !strings.Contains(number, ".") || strings.HasPrefix(number, "-0.0") && n == 0 {
			t.Errorf("%g: written %s", n, number)
		}
	}
}

// Whatever a hostile device is called, the record stays valid JSON and gives
// its reading back.
func FuzzRecordRoundTrip(f *testing.F) {
	f.Add("washer", "", "tasmota", 123.0, 4.2, uint64(1), int64(1795507951123), true)
	f.Add("\"\\\x01\u2028", "1", "s", -1e-300, 1e300, uint64(math.MaxUint64), int64(-1), false)
	f.Fuzz(func(t *testing.T, device, channel, source string, a, b float64, seq uint64, ms int64, suspect bool) {
		r := reading.Reading{Device: device, Channel: channel, Source: source, Dup: suspect, Values: []reading.Value{
			{Metric: reading.Power, Number: a, Suspect: suspect}, {Metric: "x_own", Number: b},
		}}
		const year9999 = 253402300799999
		if r.Validate() != nil || ms < 0 || ms > year9999 {
			return
		}
		h := reading.Head{Gateway: "pi1", Stream: "6f2c9a1e", Seq: seq, Time: time.UnixMilli(ms).UTC(), Quality: r.Quality()}
		line := record(t, h, r)
		if !utf8.Valid(line) || !json.Valid(line) {
			t.Fatalf("not JSON: %q", line)
		}
		got, err := reading.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Values {
			r.Values[i].Number += 0 // the record knows no negative zero
		}
		want := reading.Record{ID: h.ID(), Head: h, Place: home, Reading: r}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	})
}

func TestDamagedRecordIsAnError(t *testing.T) {
	for _, text := range []string{"", "null", "{}", "[]", `{"v":2,"id":"a-b-1"}`, `{"v":1,"id":"nonsense"}`, `{"v":1,"id":"a--1"}`, `{"v":1,"id":"a-b-x"}`} {
		if r, err := reading.Parse([]byte(text)); err == nil {
			t.Errorf("%q: got %+v, want an error", text, r)
		}
	}
}

func TestIdentityIsTakenApart(t *testing.T) {
	h := reading.Head{Gateway: "my-pi-1", Stream: "6f2c9a1e", Seq: 77}
	stream, seq, err := reading.SplitID(h.ID())
	if err != nil || stream != h.Stream || seq != h.Seq {
		t.Errorf("%s: got %q %d %v", h.ID(), stream, seq, err)
	}
}

func BenchmarkRecord(b *testing.B) {
	h := reading.Head{Gateway: "pi1", Stream: "6f2c9a1e", Seq: 12345, Time: taken}
	r := washer(reading.Value{Metric: reading.Power, Number: 123}, reading.Value{Metric: reading.Energy, Number: 4.213},
		reading.Value{Metric: reading.Voltage, Number: 231}, reading.Value{Metric: reading.Current, Number: 0.545})
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = h.Append(dst[:0])
		dst, _ = reading.AppendBody(dst, home, r)
	}
}
