package homie_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/homie"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return homie.New() }

// What the convention and real devices have is read completely, and nothing is
// read that they did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// Whoever may publish can describe anything as a device, and send anything for
// its properties.
func FuzzDecode(f *testing.F) {
	for _, v := range corpus.Load(f, vectors) {
		m, about := v.Message(), v.Message()
		for _, before := range v.Setup {
			about = before.Message()
		}
		f.Add(about.Topic, about.Payload, m.Topic, m.Payload)
	}
	for _, v := range variants {
		f.Add("homie/x/n/p/$unit", []byte(v.unit), "homie/x/n/p", []byte(v.payload))
	}
	f.Fuzz(func(t *testing.T, topic1 string, payload1 []byte, topic2 string, payload2 []byte) {
		d := homie.New()
		for _, m := range []dialect.Message{{Topic: topic1, Payload: payload1}, {Topic: topic2, Payload: payload2}} {
			corpus.Check(t, d, m)
			corpus.Check(t, d, m)
		}
	})
}

func BenchmarkTemperature(b *testing.B) {
	d := homie.New()
	d.Decode(dialect.Message{Topic: "homie/5/super-car/$description", Payload: []byte(description)})
	m := dialect.Message{Topic: "homie/5/super-car/engine/temperature", Payload: []byte("21.5")}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	d := homie.New()
	d.Decode(dialect.Message{Topic: "homie/5/super-car/$description", Payload: []byte(description)})
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
