package opendtu_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/opendtu"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return opendtu.New() }

// What real boxes have sent is read completely, and nothing is read that they
// did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// Whoever may publish can publish anything under these topics.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		m := dialect.Message{Topic: topic, Payload: payload, Retained: retained}
		corpus.Check(t, fresh(), m)
		told := opendtu.New()
		for _, before := range [...]string{"solar/114172608275/status/reachable", "solar/114172608275/status/last_update", "solar/ac/is_valid"} {
			told.Decode(dialect.Message{Topic: before, Payload: []byte("0")})
		}
		corpus.Check(t, told, m)
		corpus.Check(t, told, m)
	})
}

func BenchmarkPower(b *testing.B) {
	d := opendtu.New()
	m := dialect.Message{Topic: "solar/114172608275/0/power", Payload: []byte("285.7")}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	d := opendtu.New()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
