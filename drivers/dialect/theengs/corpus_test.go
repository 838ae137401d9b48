package theengs_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/theengs"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return theengs.New() }

// What gateways have sent is read completely, and nothing is read that no
// sensor said.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// Whatever a radio picks up and a gateway makes of it, the program goes on and
// no number comes of nothing.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Add("home/BTtoMQTT/474807025FF6/moi", []byte("12"), true)
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		corpus.Check(t, fresh(), dialect.Message{Topic: topic, Payload: payload, Retained: retained})
	})
}

func BenchmarkMedian(b *testing.B) {
	d := theengs.New()
	m := dialect.Message{
		Topic:   "home/TheengsGateway/BTtoMQTT/D2C0F3D3E035",
		Payload: []byte(`{"brand":"Xiaomi","model":"TH Sensor","model_id":"LYWSD03MMC/MJWSD05MMC_ATC","type":"THB","tempc":-4.5,"tempf":23.9,"hum":62,"batt":81,"volt":2.939,"mac":"D2:C0:F3:D3:E0:35"}`),
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	d := theengs.New()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
