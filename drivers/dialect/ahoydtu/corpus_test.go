package ahoydtu_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/ahoydtu"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return ahoydtu.New() }

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
		told := ahoydtu.New()
		for _, before := range [...]string{"inverter/HM1500/available", "roof/HM1500/ch0/U_AC"} {
			told.Decode(dialect.Message{Topic: before, Payload: []byte("0")})
		}
		corpus.Check(t, told, m)
		corpus.Check(t, told, m)
	})
}

func BenchmarkPower(b *testing.B) {
	decodeAll(b, dialect.Message{Topic: "inverter/HM1500/ch0/P_AC", Payload: []byte("285.7")})
}

func BenchmarkObject(b *testing.B) {
	decodeAll(b, dialect.Message{Topic: "inverter/HM1500/ch0", Payload: []byte(`{"U_AC":233.3,"I_AC":0.3,"P_AC":71,"Q_AC":21.2,"F_AC":49.99,"PF_AC":0.958,"Temp":19.8,"YieldTotal":465.294,"YieldDay":51,"P_DC":74.6,"Efficiency":95.174,"ts":1693566000}`)})
}

func decodeAll(b *testing.B, m dialect.Message) {
	d := ahoydtu.New()
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	d := ahoydtu.New()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
