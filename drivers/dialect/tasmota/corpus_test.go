package tasmota_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return tasmota.New() }

// What real devices have sent, in whatever shape, is read completely, and
// nothing is read that they did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// A cut or altered payload of a real device neither stops the program nor
// becomes a number: small buffers truncate messages with many probes.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		corpus.Check(t, fresh(), dialect.Message{Topic: topic, Payload: payload, Retained: retained})
	})
}

var plug = []byte(`{"Time":"2026-11-02T08:00:31","ENERGY":{"TotalStartTime":"2026-01-29T20:23:40","Total":81.701,"Yesterday":0.140,"Today":0.027,"Period":2,"Power":31,"ApparentPower":40,"ReactivePower":25,"Factor":0.78,"Voltage":236,"Current":0.170}}`)

func BenchmarkPlug(b *testing.B) {
	d := tasmota.New()
	b.ReportAllocs()
	b.SetBytes(int64(len(plug)))
	for b.Loop() {
		if got, _ := d.Decode(dialect.Message{Topic: "tele/washer/SENSOR", Payload: plug}); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkEverySensor(b *testing.B) {
	d := tasmota.New()
	all := corpus.Load(b, vectors)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d.Decode(all[n%len(all)].Message())
		n++
	}
}
