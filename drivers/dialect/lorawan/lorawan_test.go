package lorawan_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/lorawan"
	"github.com/plantgate/plantgate/reading"
)

// render writes readings as a person would note them down, a question mark
// behind a suspect value.
func render(readings []reading.Reading) string {
	var b strings.Builder
	for i, r := range readings {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s/%s", r.Device, r.Channel)
		for _, v := range r.Values {
			fmt.Fprintf(&b, " %s=%s", v.Metric, strconv.FormatFloat(v.Number, 'f', -1, 64))
			if v.Suspect {
				b.WriteByte('?')
			}
		}
	}
	return b.String()
}

func decode(t *testing.T, topic, payload string) dialect.Result {
	t.Helper()
	got, mine := lorawan.New().Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	if !mine {
		t.Fatalf("%s is not taken for a network server's", topic)
	}
	return got
}

const (
	up     = "v3/app@ttn/devices/n/up"
	up4    = "application/2f1f5f5c-1111-4c44-9d5e-45325fc719a5/device/a8/event/up"
	status = "application/2f1f5f5c-1111-4c44-9d5e-45325fc719a5/device/a8/event/status"
)

func decoded(object string) string { return `{"uplink_message":{"decoded_payload":` + object + `}}` }

// variants are messages in forms that the servers' documents and the codecs give,
// beyond those of the vectors.
var variants = []struct {
	name, topic, payload, want string
	dropped                    int
}{
	{"an uplink with everything around", up, uplink, "n/ battery_v=3.352 conductivity_us_cm=57 temperature_c=7.76 soil_moisture_pct=13.49", 1},
	{"the oldest codec", up, decoded(`{"Bat":"3.281 V","TempC_DS18B20":"0.00 °C","conduct_SOIL":"57 uS/cm","temp_SOIL":"-7.87 °C","water_SOIL":"23.42 %"}`),
		"n/ battery_v=3.281 conductivity_us_cm=57 temperature_c=-7.87 soil_moisture_pct=23.42", 1},
	{"other spellings of units", up, decoded(`{"Bat":"3281mV","temp_SOIL":"20.5℃","conduct_SOIL":"57 µS/cm"}`), "n/ battery_v=3.281 temperature_c=20.5 conductivity_us_cm=57", 0},
	{"a unit of another quantity", up, decoded(`{"temp_SOIL":"20.5 V","water_SOIL":"1 bananas"}`), "", 2},
	{"text that is no number", up, decoded(`{"temp_SOIL":"NaN","water_SOIL":"","conduct_SOIL":"0x1F","Bat":"3,3 V"}`), "", 4},
	{"null, booleans and arrays", up, decoded(`{"temp_SOIL":null,"water_SOIL":true,"conduct_SOIL":[1]}`), "", 0},
	{"no external probe", up, decoded(`{"TempC_DS18B20":"327.60","water_SOIL":"23.42","temp_SOIL":"7.87","BatV":3.3}`), "n/ soil_moisture_pct=23.42 temperature_c=7.87 battery_v=3.3", 1},
	{"an external probe", up, decoded(`{"temp_DS18B20":"21.40","temp_SOIL":"7.87","water_SOIL":"20.00"}`), "n/DS18B20 temperature_c=21.4; n/ temperature_c=7.87 soil_moisture_pct=20", 0},
	{"an external probe that just started", up, decoded(`{"temp_DS18B20":85}`), "n/DS18B20 temperature_c=85?", 0},
	{"an external probe in ice", up, decoded(`{"TempC_DS":0,"TempC_SHT":21.5,"Hum_SHT":40,"BatV":3}`), "n/DS18B20 temperature_c=0; n/ temperature_c=21.5 humidity_pct=40 battery_v=3", 0},
	{"climate node without its probe", up, decoded(`{"TempC_DS":327.67,"TempC_SHT":21.5,"Hum_SHT":40}`), "n/ temperature_c=21.5 humidity_pct=40", 1},
	{"a node that found no soil probe", up, decoded(`{"s_flag":0,"water_SOIL":"0.00","temp_SOIL":"0.00","conduct_SOIL":0,"BatV":3.3}`), "n/ battery_v=3.3", 3},
	{"a node of old firmware, whose flag is always zero", up, decoded(`{"s_flag":0,"water_SOIL":"12.00","temp_SOIL":"0.00","conduct_SOIL":0}`), "n/ soil_moisture_pct=12 temperature_c=0 conductivity_us_cm=0", 0},
	{"frozen and dry", up, decoded(`{"s_flag":1,"water_SOIL":"0.00","temp_SOIL":"0.00","conduct_SOIL":0}`), "n/ soil_moisture_pct=0 temperature_c=0 conductivity_us_cm=0", 0},
	{"all bits set", up, decoded(`{"water_SOIL":"655.35","temp_SOIL":"327.67","conduct_SOIL":65535,"BatV":0}`), "", 4},
	{"raw counts of a soil node", up, decoded(`{"Mod":1,"Soil_dielectric_constant":"12.1","Raw_water_SOIL":1210,"Raw_conduct_SOIL":57,"BatV":3.3}`), "n/ battery_v=3.3", 0},
	{"acidity", up, decoded(`{"PH1_SOIL":"6.52","TEMP_SOIL":"19.9","Bat":"3.3"}`), "n/ ph=6.52 temperature_c=19.9 battery_v=3.3", 0},
	{"infinite and minus zero", up, decoded(`{"water_SOIL":1e400,"temp_SOIL":"-0.00"}`), "n/ temperature_c=0", 1},
	{"a member twice", up, decoded(`{"temp_SOIL":1,"temp_SOIL":2,"temperature":3}`), "n/ temperature_c=1", 0},
	{"volts here, percent there", up, decoded(`{"battery":3.98,"soil_ec":1.2,"altitude":29}`), "", 0},
	{"air", up4, `{"object":{"ILL_lx":120,"co2":415,"barometric_pressure":1001.5,"soil_temperature":17,"humidity":"55.0"}}`, "a8/ illuminance_lx=120 co2_ppm=415 pressure_hpa=1001.5 soil_temperature_c=17 humidity_pct=55", 0},
	{"an unknown object, an empty one, a normalized payload that is none", up, `{"uplink_message":{"decoded_payload":{"a":{"1":5}},"normalized_payload":{"soil":5}}}`, "", 0},
	{"millivolts", up, decoded(`{"battery_mv":3012}`), "n/ battery_v=3.012", 0},
	{"Cayenne LPP", up, decoded(`{"temperature_1":22.5,"relative_humidity_2":61,"barometric_pressure_3":1013.2,"luminosity_4":120,"analog_in_5":3.1,"temperature_99":1,"temperature_x":1,"temperature_01":1,"analog_1":1}`),
		"n/1 temperature_c=22.5; n/2 humidity_pct=61; n/3 pressure_hpa=1013.2; n/4 illuminance_lx=120", 0},
	{"Cayenne LPP of the other server", up4, `{"object":{"temperatureSensor":{"1":25,"2":26},"humiditySensor":{"1":32},"barometer":{"3":1000},"illuminanceSensor":{"0":5,"4":7},"gpsLocation":{"1":{"latitude":1}}}}`,
		"a8/1 temperature_c=25 humidity_pct=32; a8/2 temperature_c=26; a8/3 pressure_hpa=1000; a8/0 illuminance_lx=5; a8/4 illuminance_lx=7", 0},
	{"normalized", up, `{"uplink_message":{"decoded_payload":{"a":1},"normalized_payload":[{"soil":{"moisture":31.5,"temperature":18,"ec":0.57,"pH":6.8},"air":{"temperature":21,"relativeHumidity":55,"pressure":1001,"co2":420,"lightIntensity":300},"wind":{"speed":2.5},"battery":3.6}]}}`,
		"n/ soil_moisture_pct=31.5 soil_temperature_c=18 conductivity_us_cm=570 ph=6.8 temperature_c=21 humidity_pct=55 pressure_hpa=1001 co2_ppm=420 illuminance_lx=300 wind_speed_m_s=2.5 battery_v=3.6", 0},
	{"normalized, two depths", up, `{"uplink_message":{"normalized_payload":[{"soil":{"moisture":31,"depth":10}},{"soil":{"moisture":40,"depth":30}}]}}`, "n/1 soil_moisture_pct=31; n/2 soil_moisture_pct=40", 0},
	{"the codec's own words first", up, `{"uplink_message":{"decoded_payload":{"temp_SOIL":7},"normalized_payload":[{"soil":{"temperature":7}}]}}`, "n/ temperature_c=7", 0},
	{"no codec", up, `{"uplink_message":{"f_port":2,"frm_payload":"DRgAAAVFAwgAORA="}}`, "", 0},
	{"no codec on the other server", up4, `{"fPort":2,"data":"DRgAAAVFAwgAORA="}`, "", 0},
	{"simulated", up, `{"simulated":true,"uplink_message":{"decoded_payload":{"temp_SOIL":7}}}`, "", 0},
	{"no tenant", "v3/app/devices/n/up", decoded(`{"temp_SOIL":7}`), "n/ temperature_c=7", 0},
	{"behind a bridge", "ttn/eu1/v3/app@ttn/devices/n/up", decoded(`{"temp_SOIL":7}`), "n/ temperature_c=7", 0},
	{"the other server behind a bridge", "cs/application/1/device/a8/event/up", `{"object":{"water_SOIL":"20.10","temp_SOIL":"18.20","conduct_SOIL":66,"TempC_DS18B20":"327.60","BatV":3.6}}`,
		"a8/ soil_moisture_pct=20.1 temperature_c=18.2 conductivity_us_cm=66 battery_v=3.6", 1},
	{"said once more", "v3/app@ttn/devices/n/up/normalized", `{"uplink_normalized":{"normalized_payload":{"soil":{"moisture":31}}}}`, "", 0},
	{"downlink", "v3/app@ttn/devices/n/down/push", `{"downlinks":[{"decoded_payload":{"temp_SOIL":7}}]}`, "", 0},
	{"location", "v3/app@ttn/devices/n/location/solved", `{}`, "", 0},
	{"join on the other server", "application/1/device/a8/event/join", `{"devAddr":"00189440"}`, "", 0},
	{"log", "application/1/device/a8/event/log", `{"level":"ERROR","description":"x"}`, "", 0},
	{"command", "application/1/device/a8/command/down", `{"object":{"temperature":7}}`, "", 0},
	{"a radio gateway's binary", "eu868/gateway/0016c001f153a14c/event/stats", "\x0a\x10\xff", "", 0},
	{"battery", status, `{"margin":10,"batteryLevel":88.3}`, "a8/ battery_pct=88.3", 0},
	{"battery, empty", status, `{"externalPowerSource":false,"batteryLevelUnavailable":false,"batteryLevel":0}`, "a8/ battery_pct=0", 0},
	{"external power", status, `{"externalPowerSource":true,"batteryLevel":0}`, "", 0},
	{"no level", status, `{"margin":10}`, "", 0},
	{"a level that is none", status, `{"batteryLevel":255}`, "", 1},
	{"a level in quotes", status, `{"batteryLevel":"88"}`, "", 0},
}

func TestEveryFormIsRead(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			got := decode(t, v.topic, v.payload)
			if got.Err != nil || render(got.Readings) != v.want || got.Dropped != v.dropped {
				t.Errorf("got %q, %d dropped, error %v, want %q, %d dropped", render(got.Readings), got.Dropped, got.Err, v.want, v.dropped)
			}
			for _, r := range got.Readings {
				if r.Source != lorawan.New().Name() {
					t.Errorf("got source %q", r.Source)
				}
			}
		})
	}
}

// A node sends every twenty minutes and a bridge may be late: the time at which
// the server heard it is worth having.
func TestTheServersTimeIsTheReadings(t *testing.T) {
	for _, c := range []struct{ topic, payload, want string }{
		{up, `{"received_at":"2022-03-01T10:00:00.123456789Z","uplink_message":{"received_at":"2022-03-01T09:59:59Z","decoded_payload":{"temp_SOIL":7}}}`, "2022-03-01T10:00:00.123456789Z"},
		{up, `{"uplink_message":{"received_at":"2022-03-01T09:59:59Z","decoded_payload":{"temp_SOIL":7}}}`, "2022-03-01T09:59:59Z"},
		{up, `{"received_at":5,"uplink_message":{"decoded_payload":{"temp_SOIL":7}}}`, ""},
		{up, `{"received_at":"2022-03-01T10:00:00Z","uplink_message":{"normalized_payload":[{"time":"2022-03-01T08:00:00Z","soil":{"moisture":7}}]}}`, "2022-03-01T08:00:00Z"},
		{up4, `{"time":"2024-07-23T05:15:37.161+02:00","object":{"temp_SOIL":7}}`, "2024-07-23T03:15:37.161Z"},
		{up4, `{"time":"2024-07-23T05:15:37","object":{"temp_SOIL":7}}`, ""},
		{up4, `{"time":"1970-01-01T00:00:12Z","object":{"temp_SOIL":7}}`, ""},
		{status, `{"time":"2024-08-10T10:00:00+00:00","batteryLevel":88}`, "2024-08-10T10:00:00Z"},
	} {
		var want time.Time
		if c.want != "" {
			want, _ = time.Parse(time.RFC3339Nano, c.want)
		}
		if got := decode(t, c.topic, c.payload); len(got.Readings) != 1 || !got.Readings[0].Time.Equal(want) {
			t.Errorf("%s: got %+v, want one at %v", c.payload, got.Readings, want)
		}
	}
}

func TestBrokenMessagesAreRefusedWhole(t *testing.T) {
	for _, c := range []struct{ topic, payload string }{
		{up, `{"uplink_message":{"decoded_payload":{"temp_SOIL":1.2`},
		{up, `{"uplink_message":{"decoded_payload":{"temp_SOIL":nan}}}`},
		{up, decoded(`{"temp_SOIL":1}`) + "}"},
		{up, `{"received_at":"2022-03-01T10:00:00Z"}`},
		{up, `[]`},
		{up, ``},
		{up4, "{\"object\":{\"temp_SOIL\":1,\"name\":\"\xf1\"}}"},
		{up4, "\x0a\x10\x12"},
		{status, `88.3`},
		{"v3/app@ttn/devices/" + strings.Repeat("x", 300) + "/up", decoded(`{"temp_SOIL":1}`)},
		{"v3/app@ttn/devices//up", decoded(`{"temp_SOIL":1}`)},
	} {
		if got := decode(t, c.topic, c.payload); got.Err == nil || len(got.Readings) > 0 {
			t.Errorf("%.60s %s: got %+v, want an error", c.topic, c.payload, got)
		}
	}
}

func TestMessagesOfOthersAreLeftAlone(t *testing.T) {
	for _, topic := range []string{
		"", "tele/x/SENSOR", "v1/devices/me/telemetry", "/devices/x/controls/battery", "v3/devices/n/up", "v3//devices/n/up", "xv3/app/devices/n/up",
		"v3/app/devices/n", "v3/app/devices/n/state", "v3/app/x/devices/n/up", "application/1/device/a8", "application/1/device/a8/rx", "myapplication/1/device/a8/event/up",
		"home/gateway/x/event/up", "eu868/gateway/0016c001f153a14c", "eu868/gateway/0016c001f153a14c/x", "eu868/gateway/0016C001F153A14C/event/up",
	} {
		got, mine := lorawan.New().Decode(dialect.Message{Topic: topic, Payload: []byte(decoded(`{"temp_SOIL":1}`))})
		if mine || len(got.Readings) > 0 || got.Err != nil {
			t.Errorf("%q is taken for a network server's", topic)
		}
	}
}

func TestDecodersAreSharedByClients(t *testing.T) {
	d := lorawan.New()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 100 {
				if got, _ := d.Decode(dialect.Message{Topic: up, Payload: []byte(uplink)}); len(got.Readings) != 1 {
					t.Errorf("got %+v, want a reading", got)
				}
			}
		})
	}
	clients.Wait()
}
