package miflora_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/miflora"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return miflora.New() }

// What the daemon has sent is read completely, below whatever topic, and nothing
// is read that it did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// A cut or altered message neither stops the program nor becomes a number.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		corpus.Check(t, fresh(), dialect.Message{Topic: topic, Payload: payload, Retained: retained})
	})
}

func BenchmarkMedian(b *testing.B) {
	d := miflora.New()
	m := dialect.Message{
		Topic:   "miflora/petunia",
		Payload: []byte(`{"light": 5424, "temperature": 21.4, "moisture": 30, "conductivity": 1020, "battery": 100}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkUnannounced(b *testing.B) {
	d := miflora.New()
	m := dialect.Message{
		Topic:   "misensor/petunia",
		Payload: []byte(`{"light": 5424, "temperature": 21.4, "moisture": 30, "conductivity": 1020, "battery": 100}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	d := miflora.New()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
