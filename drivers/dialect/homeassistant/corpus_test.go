package homeassistant_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/homeassistant"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return homeassistant.New() }

// What was captured and documented is read completely, and nothing is read that
// was not announced.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// An announcement or a state of any shape neither stops the program nor becomes
// a number. The announcement comes first, as its broker retains it.
func FuzzDecode(f *testing.F) {
	for _, v := range corpus.Load(f, vectors) {
		for _, before := range v.Setup {
			f.Add(before.Topic, before.Message().Payload, v.Topic, v.Message().Payload)
		}
	}
	for _, source := range append(read, declined...) {
		f.Add("homeassistant/sensor/x/config", announced(source.template), "x", []byte(source.payload))
	}
	f.Fuzz(func(t *testing.T, configTopic string, config []byte, topic string, payload []byte) {
		d := fresh()
		corpus.Check(t, d, dialect.Message{Topic: configTopic, Payload: config, Retained: true})
		corpus.Check(t, d, dialect.Message{Topic: topic, Payload: payload})
		corpus.Check(t, d, dialect.Message{Topic: "x", Payload: payload})
		corpus.Check(t, d, dialect.Message{Topic: configTopic})
	})
}

func benchmark(b *testing.B, id string, count int) {
	d := homeassistant.New()
	for _, v := range corpus.Load(b, vectors) {
		if v.ID != id {
			continue
		}
		for _, before := range v.Setup {
			d.Decode(before.Message())
		}
		m := v.Message()
		b.ReportAllocs()
		for b.Loop() {
			if got, _ := d.Decode(m); len(got.Readings) != count {
				b.Fatal(got)
			}
		}
	}
}

func BenchmarkPlainNumber(b *testing.B)  { benchmark(b, "ha-discovery-010", 1) }
func BenchmarkFourEntities(b *testing.B) { benchmark(b, "ha-discovery-006", 4) }

func BenchmarkOthersTopic(b *testing.B) {
	d := homeassistant.New()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
