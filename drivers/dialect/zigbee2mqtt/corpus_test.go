package zigbee2mqtt_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/zigbee2mqtt"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return zigbee2mqtt.New() }

// What real devices have sent is read completely, and nothing is read that they
// did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// Whatever comes under the bridge's topics neither stops the program nor becomes
// a number that no record may hold, with a dictionary and without one.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Add("zigbee2mqtt/bridge/devices", []byte(dictionary), true)
	f.Add("home/zb/bridge/info", []byte(`{"version":"2.13.0","coordinator":{},"config":{"advanced":{"output":"attribute"}}}`), true)
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		m := dialect.Message{Topic: topic, Payload: payload, Retained: retained}
		corpus.Check(t, fresh(), m)
		d := zigbee2mqtt.New()
		d.Decode(dialect.Message{Topic: "zigbee2mqtt/bridge/devices", Payload: []byte(dictionary)})
		corpus.Check(t, d, m)
		corpus.Check(t, d, m)
	})
}

// A dictionary comes from the network as everything else does: whatever it says,
// what is read afterwards is valid.
func FuzzDictionary(f *testing.F) {
	f.Add([]byte(dictionary), "zigbee2mqtt/strip", []byte(`{"power_l1":5,"voltage":3005}`))
	f.Add([]byte(`[{"ieee_address":"0x1","friendly_name":"a/b","definition":{"exposes":[{"type":"numeric","name":"ph","property":"ph","endpoint":"\u0000"}]}}]`), "zigbee2mqtt/a/b", []byte(`{"ph":7}`))
	f.Fuzz(func(t *testing.T, list []byte, topic string, payload []byte) {
		d := zigbee2mqtt.New()
		corpus.Check(t, d, dialect.Message{Topic: "zigbee2mqtt/bridge/devices", Payload: list})
		corpus.Check(t, d, dialect.Message{Topic: topic, Payload: payload})
	})
}

const plugTopic = "zigbee2mqtt/Waschmaschine"

var plug = []byte(`{"child_lock":"UNLOCK","countdown":0,"current":0.14,"energy":857.83,"indicator_mode":"off/on","last_seen":"2025-05-01T14:52:56+02:00","linkquality":135,"power":12,"power_outage_memory":"on","state":"ON","update":{"installed_version":192,"latest_version":192,"state":"idle"},"voltage":240}`)

func BenchmarkPlug(b *testing.B) {
	d := zigbee2mqtt.New()
	b.ReportAllocs()
	b.SetBytes(int64(len(plug)))
	for b.Loop() {
		if got, _ := d.Decode(dialect.Message{Topic: plugTopic, Payload: plug}); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkEveryVector(b *testing.B) {
	d := zigbee2mqtt.New()
	all := corpus.Load(b, vectors)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d.Decode(all[n%len(all)].Message())
		n++
	}
}

func BenchmarkTopicOfOthers(b *testing.B) {
	d := zigbee2mqtt.New()
	d.Decode(dialect.Message{Topic: "zigbee2mqtt/bridge/devices", Payload: []byte(dictionary)})
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(dialect.Message{Topic: "tele/washer/SENSOR", Payload: plug}); mine {
			b.Fatal("taken")
		}
	}
}
