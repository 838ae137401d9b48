package lorawan_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/lorawan"
)

const vectors = "testdata/payloads.jsonl"

func fresh() corpus.Decoder { return lorawan.New() }

// What servers have sent is read completely, and nothing is read that no device
// said.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// Whatever a codec makes of an uplink, the program goes on and no number comes of
// nothing.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		corpus.Check(t, fresh(), dialect.Message{Topic: topic, Payload: payload, Retained: retained})
	})
}

// uplink is one as The Things Stack writes it, with what it says of the radio.
const uplink = `{"end_device_ids":{"device_id":"lse01-1","application_ids":{"application_id":"soil-app"},"dev_eui":"A84041000181C061","join_eui":"A840410000000101","dev_addr":"260B1D2E"},"correlation_ids":["as:up:01FX2Z","gs:conn:01FWXK"],"received_at":"2022-03-01T10:00:00.123456789Z","uplink_message":{"session_key_id":"AX8","f_port":2,"f_cnt":1532,"frm_payload":"DRgAAAVFAwgAORA=","decoded_payload":{"BatV":3.352,"Mod":0,"conduct_SOIL":57,"i_flag":0,"s_flag":1,"temp_DS18B20":"0.00","temp_SOIL":"7.76","water_SOIL":"13.49"},"rx_metadata":[{"gateway_ids":{"gateway_id":"roof","eui":"58A0CBFFFE802A21"},"time":"2022-03-01T09:59:59.812Z","timestamp":2463457000,"rssi":-97,"channel_rssi":-97,"snr":8.5}],"settings":{"data_rate":{"lora":{"bandwidth":125000,"spreading_factor":7}},"frequency":"868300000"},"received_at":"2022-03-01T09:59:59.920Z","consumed_airtime":"0.061696s"}}`

func BenchmarkMedian(b *testing.B) {
	d := lorawan.New()
	m := dialect.Message{Topic: "v3/soil-app@ttn/devices/lse01-1/up", Payload: []byte(uplink)}
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	d := lorawan.New()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("mine")
		}
	}
}
