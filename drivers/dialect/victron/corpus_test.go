package victron_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/victron"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return victron.New() }

// What real devices have sent is read completely, and nothing is read that they
// did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// Whoever may publish can publish anything under these topics.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		corpus.Check(t, fresh(), dialect.Message{Topic: topic, Payload: payload, Retained: retained})
	})
}

func BenchmarkCurrent(b *testing.B) {
	d := victron.New()
	m := dialect.Message{Topic: "N/a4a7696d6350/solarcharger/279/Dc/0/Current", Payload: []byte(`{"value":12.300000190734863}`)}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	d := victron.New()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
