package miflora_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/miflora"
	"github.com/plantgate/plantgate/reading"
)

// render writes readings as a person would note them down.
func render(readings []reading.Reading) string {
	var b strings.Builder
	for i, r := range readings {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s/%s", r.Device, r.Channel)
		for _, v := range r.Values {
			fmt.Fprintf(&b, " %s=%s", v.Metric, strconv.FormatFloat(v.Number, 'f', -1, 64))
		}
		if !r.Time.IsZero() {
			b.WriteString(" at " + r.Time.Format(time.RFC3339Nano))
		}
	}
	return b.String()
}

func decode(t *testing.T, d *miflora.Decoder, topic, payload string) dialect.Result {
	t.Helper()
	got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	if !mine {
		t.Fatalf("%s is not taken for the daemon's", topic)
	}
	return got
}

const plant = `{"light": 5424, "temperature": 21.4, "moisture": 30, "conductivity": 1020, "battery": 100}`

const said = " illuminance_lx=5424 temperature_c=21.4 soil_moisture_pct=30 conductivity_us_cm=1020 battery_pct=100"

// variants are messages in forms that the daemon's source gives, beyond those of
// the vectors.
var variants = []struct {
	name, topic, payload, want string
	dropped                    int
}{
	{"the default topic", "miflora/petunia", plant, "petunia/" + said, 0},
	{"a base of two levels", "garden/flora/petunia", plant, "petunia/" + said, 0},
	{"for Home Assistant", "homeassistant/sensor/petunia/state", plant, "petunia/" + said, 0},
	{"for Home Assistant, another base", "sensor/petunia/state", plant, "petunia/" + said, 0},
	{"a fork that adds name and time", "plants/petunia", plant[:len(plant)-1] + `, "timestamp": "2021-05-01 12:00:00", "name": "petunia", "mac": "C4:7C:8D:6A:B5:77", "firmware": "3.2.1"}`, "petunia/" + said, 0},
	{"less than all, below a known base", "miflora/petunia", `{"moisture": 30}`, "petunia/ soil_moisture_pct=30", 0},
	{"null, text and booleans", "miflora/petunia", `{"light": null, "temperature": "21.4", "moisture": true, "conductivity": {"a":1}, "battery": 99}`, "petunia/ battery_pct=99", 0},
	{"lost bits", "miflora/petunia", `{"light": 429496729, "temperature": 6553.1, "moisture": 255, "conductivity": 65535, "battery": 101}`, "", 5},
	{"infinite and minus zero", "miflora/petunia", `{"light": 1e400, "temperature": -0.0}`, "petunia/ temperature_c=0", 1},
	{"a member twice", "miflora/petunia", `{"moisture": 30, "moisture": 31}`, "petunia/ soil_moisture_pct=30", 0},
	{"blanks and a mark around", "miflora/petunia", "\ufeff" + plant + "\n", "petunia/" + said, 0},
	{"a value of its own", "miflora/status/petunia/temperature", `{"val": 21.4, "ts": 1650000000123}`, "petunia/ temperature_c=21.4 at 2022-04-15T05:20:00.123Z", 0},
	{"a value from a board without a clock", "miflora/status/petunia/moisture", `{"val": 30, "ts": 12000}`, "petunia/ soil_moisture_pct=30", 0},
	{"a value without a time", "miflora/status/petunia/moisture", `{"val": 30}`, "petunia/ soil_moisture_pct=30", 0},
	{"a value of another thing", "miflora/status/petunia/rssi", `{"val": -70}`, "", 0},
	{"connected", "miflora/connected", "1", "", 0},
}

func TestEveryModeIsRead(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			got := decode(t, miflora.New(), v.topic, v.payload)
			if got.Err != nil || render(got.Readings) != v.want || got.Dropped != v.dropped {
				t.Errorf("got %q, %d dropped, error %v, want %q, %d dropped", render(got.Readings), got.Dropped, got.Err, v.want, v.dropped)
			}
			for _, r := range got.Readings {
				if r.Source != miflora.New().Name() {
					t.Errorf("got source %q", r.Source)
				}
			}
		})
	}
}

const announcement = `{"petunia": {"name_pretty": "Petunia", "mac": "E6:9B:A8:8B:02:E5", "topic": "beds/petunia", "refresh": 300}, "rose": {"topic": "beds/rose"}}`

// After an announcement a message is the daemon's for its topic, even with one
// value in it.
func TestAnnouncedTopicsAreTheDaemons(t *testing.T) {
	d := miflora.New()
	single := dialect.Message{Topic: "beds/petunia", Payload: []byte(`{"moisture": 30}`)}
	if _, mine := d.Decode(single); mine {
		t.Error("one value below an unknown base is taken for the daemon's")
	}
	decode(t, d, "beds/$announce", announcement)
	for topic, payload := range map[string]string{"beds/petunia": `{"moisture": 30}`, "beds/status/petunia/moisture": `{"val": 30}`} {
		if got := decode(t, d, topic, payload); render(got.Readings) != "petunia/ soil_moisture_pct=30" {
			t.Errorf("%s: got %q, %v", topic, render(got.Readings), got.Err)
		}
	}
	if got := decode(t, d, "beds/petunia", `{"moisture": nan}`); got.Err == nil {
		t.Error("a broken message below an announced base is no error")
	}
}

// The daemon's last will is an empty announcement.
func TestSensorsComeAndGoWithTheirAnnouncement(t *testing.T) {
	d := miflora.New()
	for _, c := range []struct{ payload, want string }{
		{announcement, "device_online petunia, device_online rose"},
		{announcement, ""},
		{`{}`, "device_offline petunia, device_offline rose"},
		{`{"rose": {"topic": "beds/rose"}}`, "device_online rose"},
		{``, "device_offline rose"},
		{`{"odd": {"topic": "elsewhere/odd"}, "other": {"topic": "beds/another"}, "x": 5, "": {"topic": "beds/"}}`, ""},
	} {
		var words []string
		for _, e := range decode(t, d, "beds/$announce", c.payload).Events {
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
			words = append(words, string(e.Type)+" "+e.Device)
		}
		if got := strings.Join(words, ", "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.payload, got, c.want)
		}
	}
}

// A flood of announcements fills a table of fixed size and pushes nobody out.
func TestAFloodOfAnnouncementsIsBounded(t *testing.T) {
	d := miflora.New()
	decode(t, d, "beds/$announce", announcement)
	for n := range 100 {
		decode(t, d, fmt.Sprintf("b%d/$announce", n), fmt.Sprintf(`{"s": {"topic": "b%d/s"}}`, n))
	}
	one := []byte(`{"moisture": 30}`)
	if _, mine := d.Decode(dialect.Message{Topic: "beds/rose", Payload: one}); !mine {
		t.Error("the first announcement is forgotten")
	}
	if _, mine := d.Decode(dialect.Message{Topic: "b99/s", Payload: one}); mine {
		t.Error("a hundred bases are kept")
	}
	var many []string
	for n := range 500 {
		many = append(many, fmt.Sprintf(`"s%d": {"topic": "beds/s%d"}`, n, n))
	}
	if got := decode(t, d, "beds/$announce", "{"+strings.Join(many, ",")+"}"); len(got.Events) > 200 {
		t.Errorf("one announcement gives %d events", len(got.Events))
	}
}

func TestBrokenMessagesAreRefusedWhole(t *testing.T) {
	for _, c := range []struct{ topic, payload string }{
		{"miflora/petunia", `{"moisture": 30`},
		{"miflora/petunia", `{"moisture": 30}}`},
		{"miflora/petunia", `{"moisture": nan}`},
		{"miflora/petunia", `30`},
		{"miflora/petunia", ``},
		{"miflora/petunia", "{\"moisture\":1,\"name\":\"\xf1\"}"},
		{"miflora/" + strings.Repeat("x", 300), plant},
		{"miflora/$announce", `{`},
		{"miflora/status/petunia/moisture", `30 %`},
	} {
		if got := decode(t, miflora.New(), c.topic, c.payload); got.Err == nil || len(got.Readings) > 0 {
			t.Errorf("%.60s %s: got %+v, want an error", c.topic, c.payload, got)
		}
	}
}

// The topic says nothing where the base is free, so content must be beyond doubt.
func TestMessagesOfOthersAreLeftAlone(t *testing.T) {
	for _, c := range []struct{ topic, payload string }{
		{"", ""}, {"petunia", plant}, {"/petunia", plant}, {"miflora/", plant},
		{"zigbee2mqtt/petunia", plant[:len(plant)-1] + `,"linkquality":80}`},
		{"beds/petunia", `{"light":5424,"temperature":21.4,"moisture":30,"conductivity":1020}`},
		{"beds/petunia", plant[:len(plant)-1]},
		{"beds/petunia", plant[:len(plant)-1] + strings.Repeat(" ", 600) + "}"},
		{"home/TheengsGateway/BTtoMQTT/AA", `{"moi":30}`},
		{"v1/devices/me/telemetry", plant},
		{"beds/petunia/state", plant},
		{"homie/$announce", `{"a":{"topic":"b"}}`}, {"homie/$announce", `nonsense`}, {"homie/$announce", ``},
		{"miflora/petunia/moisture", "30"},
	} {
		got, mine := miflora.New().Decode(dialect.Message{Topic: c.topic, Payload: []byte(c.payload)})
		if mine || len(got.Readings)+len(got.Events) > 0 || got.Err != nil {
			t.Errorf("%s %.40s: got mine %v, %+v", c.topic, c.payload, mine, got)
		}
	}
}

// Announcements and readings of several daemons come at the same time.
func TestDecodersAreSharedByClients(t *testing.T) {
	d := miflora.New()
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			base := fmt.Sprintf("b%d", n)
			for i := range 100 {
				d.Decode(dialect.Message{Topic: base + "/$announce", Payload: fmt.Appendf(nil, `{"s%d": {"topic": "%s/s%d"}}`, i, base, i)})
				got, _ := d.Decode(dialect.Message{Topic: base + "/s", Payload: []byte(`{"moisture": 30}`)})
				if len(got.Readings) != 1 {
					t.Errorf("got %+v, want a reading", got)
				}
			}
		})
	}
	clients.Wait()
}
