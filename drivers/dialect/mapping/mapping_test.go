package mapping_test

import (
	"slices"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
)

const vectors = "testdata/payloads.jsonl"

// What real devices have sent is read by the presets, and nothing is read that
// they did not say.
func TestCapturedMessagesAreRead(t *testing.T) {
	presets := mapping.Presets()
	corpus.Hold(t, vectors, func() corpus.Decoder { return presets })
}

func BenchmarkGrott(b *testing.B)   { benchmark(b, "grott-001") }
func BenchmarkWH51(b *testing.B)    { benchmark(b, "rtl_433-002") }
func BenchmarkNumber(b *testing.B)  { benchmark(b, "deye-002") }
func BenchmarkEcowitt(b *testing.B) { benchmark(b, "ecowitt2mqtt-001") }
func BenchmarkForeign(b *testing.B) {
	d := mapping.Presets()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("taken")
		}
	}
}

func benchmark(b *testing.B, id string) {
	d := mapping.Presets()
	for _, v := range corpus.Load(b, vectors) {
		if v.ID != id {
			continue
		}
		m := v.Message()
		b.ReportAllocs()
		for b.Loop() {
			if got, _ := d.Decode(m); len(got.Readings) == 0 {
				b.Fatal(got)
			}
		}
	}
}

// Of a lenient message less may be read; which ones give nothing is known.
func TestOnlyTheListedMessagesAreNotRead(t *testing.T) {
	presets := mapping.Presets()
	var unread []string
	for _, v := range corpus.Load(t, vectors) {
		if got, _ := presets.Decode(v.Message()); len(got.Readings) == 0 && !v.Error {
			unread = append(unread, v.ID)
		}
	}
	if want := []string{"domoticz-001", "generic-001", "generic-json-003"}; !slices.Equal(unread, want) {
		t.Errorf("got %v, want %v", unread, want)
	}
}

// A broker relays all messages of a house past the mappings.
func TestTheMedianMessageTakesThreeAllocations(t *testing.T) {
	presets := mapping.Presets()
	var counts []float64
	for _, v := range corpus.Load(t, vectors) {
		m := v.Message()
		counts = append(counts, testing.AllocsPerRun(20, func() { presets.Decode(m) }))
	}
	slices.Sort(counts)
	if median := counts[len(counts)/2]; median > 3 {
		t.Errorf("got %v allocations, want at most 3", median)
	}
}

// A preset that fails its own test is not loaded, and nobody would see it.
func TestPresetsAreSound(t *testing.T) {
	for _, err := range mapping.PresetProblems() {
		t.Error(err)
	}
}
