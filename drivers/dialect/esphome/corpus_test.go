package esphome_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/esphome"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return esphome.New() }

// What real nodes have sent is read completely, and nothing is read that they
// did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// An announcement or a state of any shape neither stops the program nor becomes
// a number.
func FuzzDecode(f *testing.F) {
	for _, v := range corpus.Load(f, vectors) {
		m := v.Message()
		f.Add("", []byte(nil), m.Topic, m.Payload)
		for _, before := range v.Setup {
			f.Add(before.Topic, before.Message().Payload, m.Topic, m.Payload)
		}
	}
	f.Fuzz(func(t *testing.T, configTopic string, config []byte, topic string, payload []byte) {
		d := fresh()
		corpus.Check(t, d, dialect.Message{Topic: configTopic, Payload: config, Retained: true})
		corpus.Check(t, d, dialect.Message{Topic: topic, Payload: payload, Retained: true})
		corpus.Check(t, d, dialect.Message{Topic: configTopic})
		corpus.Check(t, d, dialect.Message{Topic: topic, Payload: payload})
	})
}

func BenchmarkState(b *testing.B) {
	d := esphome.New()
	for _, v := range corpus.Load(b, vectors) {
		for _, before := range v.Setup {
			d.Decode(before.Message())
		}
	}
	m := dialect.Message{Topic: "plant-station/sensor/soil_moisture/state", Payload: []byte("37.25")}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkOthersTopic(b *testing.B) {
	d := esphome.New()
	for _, v := range corpus.Load(b, vectors) {
		for _, before := range v.Setup {
			d.Decode(before.Message())
		}
	}
	m := dialect.Message{Topic: "home/garden/tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
