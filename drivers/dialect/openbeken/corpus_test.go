package openbeken_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/openbeken"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return openbeken.New() }

// What real devices have sent is read completely, and nothing is read that they
// did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// Whatever comes under such topics neither stops the program nor becomes a number
// that no record may hold, from a device that is known and from one that is not.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Add("homeassistant/sensor/plug/config", []byte(announcement), true)
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		m := dialect.Message{Topic: topic, Payload: payload, Retained: retained}
		corpus.Check(t, fresh(), m)
		d := openbeken.New()
		for _, device := range []string{"plug", "cozinha", "OBK_DEV_NAME"} {
			d.Decode(dialect.Message{Topic: device + "/connected", Payload: []byte("online")})
		}
		corpus.Check(t, d, m)
		corpus.Check(t, d, m)
	})
}

func BenchmarkPlainValue(b *testing.B) {
	d := openbeken.New()
	m := dialect.Message{Topic: "HoWaSmPlugB/power/get", Payload: []byte("12.86")}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkSensor(b *testing.B) {
	d := openbeken.New()
	m := dialect.Message{Topic: "tele/plug/SENSOR", Payload: []byte(variants[0].payload)}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 2 {
			b.Fatal(got)
		}
	}
}

func BenchmarkTopicOfOthers(b *testing.B) {
	d := openbeken.New()
	d.Decode(dialect.Message{Topic: "plug/connected", Payload: []byte("online")})
	m := dialect.Message{Topic: "zigbee2mqtt/kitchen/lamp", Payload: []byte("{}")}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("taken")
		}
	}
}
