package openbeken_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/openbeken"
	"github.com/plantgate/plantgate/reading"
)

// render writes readings as a person would note them down: one word per value,
// a question mark behind a suspect one.
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

func decode(t *testing.T, d *openbeken.Decoder, topic, payload string) dialect.Result {
	t.Helper()
	got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	if !mine {
		t.Fatalf("%s is not taken for OpenBeken's", topic)
	}
	return got
}

// variants are messages in forms that the firmware's source and documentation
// give, beyond those that were captured.
var variants = []struct{ name, topic, payload, want string }{
	{"the whole sensor message", "tele/plug/SENSOR",
		`{"Time":"1970-01-01T00:00:31","ENERGY":{"Power": 12.500000,"ApparentPower": 13.000000,"ReactivePower": 3.570000,"Factor":0.961538,"Voltage":230.100000,"Current":0.056500,"Frequency":49.980000,"ConsumptionTotal":5631.610000,"Yesterday": 250.000000,"ConsumptionLastHour":12.000000},"ESP32":{"Temperature": 41.5},"TempUnit":"C"}`,
		"plug/ power_w=12.5 apparent_power_va=13 reactive_power_var=3.57 power_factor=0.961538 voltage_v=230.1 current_a=0.0565 frequency_hz=49.98 energy_kwh=5.63161 energy_yesterday_kwh=0.25; plug/ESP32 device_temperature_c=41.5"},
	{"a frequency that is not measured", "tele/plug/SENSOR", `{"ENERGY":{"Voltage":230,"Frequency":0,"ConsumptionTotal":0}}`, "plug/ voltage_v=230 energy_kwh=0"},
	{"the answer to a question", "stat/plug/STATUS8", `{"StatusSNS":{"Time":"2025-01-01T00:00:00","ENERGY":{"Power":5,"ConsumptionTotal":1000}}}`, "plug/ power_w=5 energy_kwh=1"},
	{"a battery", "tele/door/SENSOR", `{"ENERGY":{"Voltage":2.9870,"Batterypercentage":87}}`, "door/ battery_v=2.987 battery_pct=87"},
	{"a battery without a voltage", "tele/door/SENSOR", `{"ENERGY":{"Voltage":0.0000,"Batterypercentage":87}}`, "door/ battery_pct=87"},
	{"climate beside energy", "tele/x/SENSOR", `{"ENERGY":{"Power":1,"ConsumptionTotal":2},"SHT3X":{"Temperature": 21.5,"Humidity": 40},"DS18B20":{"Temperature": 85.0},"DS18B20-2":{"Id":"a","Temperature": -127.0},"SGP":{"CO2": 450,"Tvoc": 3}}`,
		"x/ power_w=1 energy_kwh=0.002; x/SHT3X temperature_c=21.5 humidity_pct=40; x/DS18B20 temperature_c=85?; x/SGP eco2_ppm=450"},
	{"text, null and booleans", "tele/x/SENSOR", `{"ENERGY":{"Power":"5","Voltage":null,"Current":true,"ConsumptionTotal":{"a":1},"Factor":0.5}}`, "x/ power_factor=0.5"},
	{"energy of today", "plug/energycounter_today/get", "1250.5", "plug/ energy_today_kwh=1.2505"},
	{"energy of yesterday", "plug/energycounter_yesterday/get", "900", "plug/ energy_yesterday_kwh=0.9"},
	{"energy of windows", "plug/energycounter_last_hour/get", "12", ""},
	{"energy of other days", "plug/energycounter_2_days_ago/get", "12", ""},
	{"a date", "plug/energycounter_clear_date/get", "2019-09-07T15:50-04:00", ""},
	{"statistics", "plug/consumption_stats/get", `{"consumption_total":5,"consumption_samples":[1,2]}`, ""},
	{"power factor", "plug/power_factor/get", "0.29", "plug/ power_factor=0.29"},
	{"frequency", "plug/138/get", "50.02", "plug/ frequency_hz=50.02"},
	{"the second channel of a meter", "plug/energycounter_b/get", "1000", "plug/b energy_kwh=1"},
	{"BL0939 counts in kWh", "plug/bl0939_import_a/get", "1.2345", "plug/a energy_kwh=1.2345"},
	{"BL0939 feeds in", "plug/bl0939_export_total/get", "3", "plug/ energy_returned_kwh=3"},
	{"a battery's millivolts", "door/voltage/get", "2987", "door/ battery_v=2.987"},
	{"a battery's charge", "door/battery/get", "87", "door/ battery_pct=87"},
	{"a voltage that is none", "plug/voltage/get", "22603", "plug/ voltage_v=22603?"},
	{"a topic with slashes", "attic/plug/power/get", "5", "attic/plug/ power_w=5"},
	{"blanks and a newline", "plug/power/get", " 5.10\r\n", "plug/ power_w=5.1"},
	{"minus zero", "plug/power/get", "-0.00", "plug/ power_w=0"},
	{"feed-in", "plug/power/get", "-12.00", "plug/ power_w=-12"},
	{"nothing measured yet", "plug/power/get", "nan", ""},
	{"nothing measured yet, with a sign", "plug/power/get", "-nan", ""},
	{"a question", "plug/power/get", "", ""},
	{"a channel", "plug/1/get", "1", ""},
	{"a lamp", "plug/led_dimmer/get", "100", ""},
	{"a colour", "plug/led_basecolor_rgb/get", "FFAABB", ""},
}

func TestEveryFormOfTheFirmwareIsRead(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			got := decode(t, openbeken.New(), v.topic, v.payload)
			if text := render(got.Readings); got.Err != nil || text != v.want {
				t.Errorf("got %q, %v, want %q", text, got.Err, v.want)
			}
			for _, r := range got.Readings {
				if err := r.Validate(); err != nil || r.Source != "openbeken" || !r.Time.IsZero() {
					t.Errorf("source %q, time %v: %v", r.Source, r.Time, err)
				}
			}
		})
	}
}

func TestBrokenMessagesAreRefusedWhole(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"DHT%d":{"Temperature":20}`, i)
	}
	for _, c := range []struct{ topic, payload, want string }{
		{"plug/power/get", "12 W", "not a decimal number"},
		{"plug/power/get", "1,5", "not a decimal number"},
		{"plug/power/get", "inf", "not a decimal number"},
		{"plug/power/get", "0x1F", "not a decimal number"},
		{"plug/power/get", "1e400", "out of range"},
		{"plug/voltage/get", `{"a":1}`, "not a decimal number"},
		{"plug/voltage/get", "ON", "not a decimal number"},
		{strings.Repeat("x", 300) + "/power/get", "5", "longer than"},
		{"a\x00b/power/get", "5", "NUL"},
		{"\xff/power/get", "5", "not UTF-8"},
		{"tele/plug/SENSOR", `{"ENERGY":{"ConsumptionTotal":1.2`, "not JSON"},
		{"tele/plug/SENSOR", `{"ENERGY":{"ConsumptionTotal":nan}}`, "not JSON"},
		{"tele/plug/SENSOR", `{"ConsumptionTotal":1},`, "not JSON"},
		{"tele/plug/SENSOR", "{\"\xf1\":1,\"ConsumptionTotal\":1}", "not UTF-8"},
		{"tele/plug/SENSOR", `{"ENERGY":{"ConsumptionTotal":1},` + strings.Join(many, ",") + `}`, "more than 256"},
		{"tele/" + strings.Repeat("x", 300) + "/SENSOR", `{"ENERGY":{"ConsumptionTotal":1}}`, "longer than"},
		{strings.Repeat("x", 300) + "/connected", "online", "longer than"},
	} {
		got := decode(t, openbeken.New(), c.topic, c.payload)
		if got.Err == nil || !strings.Contains(got.Err.Error(), c.want) || len(got.Readings) > 0 {
			t.Errorf("%.40s %.40s: got error %v and %d readings, want error %q", c.topic, c.payload, got.Err, len(got.Readings), c.want)
		}
	}
}

// What a device has no value for leaves a count behind.
func TestSentinelsAreCounted(t *testing.T) {
	got := decode(t, openbeken.New(), "tele/x/SENSOR", `{"ENERGY":{"Frequency":0,"Power":1e400,"ConsumptionTotal":"n"},"DS18B20":{"Temperature":-127},"DHT":{"Humidity":655.35}}`)
	if got.Dropped != 4 || len(got.Readings) != 0 || got.Err != nil {
		t.Errorf("got %+v, want 4 dropped and nothing else", got)
	}
}

// Topics like these are anybody's.
func TestMessagesOfOthersAreLeftAlone(t *testing.T) {
	for _, c := range []struct{ topic, payload string }{
		{"", ""}, {"get", "1"}, {"power/get", "1"}, {"/power/get", "1"}, {"connected", "online"}, {"a/b/connected", "online"}, {"hue/connected", "2"},
		{"plug/power", "5"}, {"plug/rssi", "-70"}, {"zigbee2mqtt/plug/get", `{"power":""}`}, {"plug/my_topic/get", "5"}, {"plug/1000/get", "5"},
		{"tele/x/SENSOR", `{"Time":"2019-09-04T13:08:48","ENERGY":{"Total":1,"Power":5}}`}, {"tele/x/STATE", "{}"}, {"kitchen/SENSOR", `{"ConsumptionTotal":1}`},
		{"homeassistant/sensor/plug/config", announcement}, {"homeassistant/sensor/plug/config", `{"energycounter`}, {"shellies/x/relay/0/power", "5"},
	} {
		if got, mine := openbeken.New().Decode(dialect.Message{Topic: c.topic, Payload: []byte(c.payload)}); mine || len(got.Readings) > 0 {
			t.Errorf("%s is taken: %+v", c.topic, got)
		}
	}
}

// Flag 50 takes the ending away; then only a device that made itself known can be
// told from others.
func TestKnownDevicesAreReadWithoutGet(t *testing.T) {
	for name, first := range map[string][2]string{
		"birth":        {"cozinha/connected", "online"},
		"plain value":  {"cozinha/voltage/get", "230"},
		"sensor":       {"tele/cozinha/SENSOR", `{"ENERGY":{"ConsumptionTotal":1}}`},
		"announcement": {"homeassistant/sensor/x/config", strings.ReplaceAll(announcement, "plug", "cozinha")},
	} {
		d := openbeken.New()
		d.Decode(dialect.Message{Topic: first[0], Payload: []byte(first[1])})
		if got := render(decode(t, d, "cozinha/power", "123.4").Readings); got != "cozinha/ power_w=123.4" {
			t.Errorf("%s: got %q", name, got)
		}
		for _, topic := range []string{"cozinha/rssi", "cozinha/1", "cozinha/led_dimmer", "cozinha/connected"} {
			if got := decode(t, d, topic, "1"); len(got.Readings)+len(got.Events) > 0 || got.Err != nil {
				t.Errorf("%s: %s: got %+v", name, topic, got)
			}
		}
		for _, topic := range []string{"cozinha/my_topic", "other/power", "cozinha/x/power"} {
			if _, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte("1")}); mine {
				t.Errorf("%s: %s is taken", name, topic)
			}
		}
		if got := render(decode(t, d, "tele/cozinha/SENSOR", `{"DHT":{"Temperature":20.5}}`).Readings); got != "cozinha/DHT temperature_c=20.5" {
			t.Errorf("%s: a sensor of a known device: got %q", name, got)
		}
	}
}

const announcement = `{"dev":{"ids":["plug"]},"name":"Energy","~":"plug","avty_t":"~/connected","uniq_id":"plug_sensor_3","dev_cla":"energy","stat_t":"~/energycounter/get","stat_cla":"total_increasing","unit_of_meas":"kWh"}`

// Flag 40 makes plain counters kWh, a thousand times what they look like.
func TestTheAnnouncementTellsTheUnit(t *testing.T) {
	d := openbeken.New()
	for _, c := range []struct{ config, counter, want string }{
		{announcement, "energycounter", "plug/ energy_kwh=25.5"},
		{announcement, "energycounter_today", "plug/ energy_today_kwh=25.5"},
		{strings.Replace(announcement, "kWh", "Wh", 1), "energycounter", "plug/ energy_kwh=0.0255"},
		{strings.NewReplacer("stat_t", "state_topic", "unit_of_meas", "unit_of_measurement").Replace(announcement), "energycounter", "plug/ energy_kwh=25.5"},
		{strings.Replace(announcement, "kWh", "J", 1), "energycounter", "plug/ energy_kwh=25.5"}, // not the firmware's: nothing changes
	} {
		d.Decode(dialect.Message{Topic: "homeassistant/sensor/x/config", Payload: []byte(c.config)})
		if got := render(decode(t, d, "plug/"+c.counter+"/get", "25.5").Readings); got != c.want {
			t.Errorf("%s: got %q, want %q", c.config, got, c.want)
		}
	}
	d = openbeken.New()
	d.Decode(dialect.Message{Topic: "homeassistant/sensor/x/config", Payload: []byte(announcement)})
	if got := render(decode(t, d, "plug/energycounter/get", "1.5").Readings); got != "plug/ energy_kwh=1.5" {
		t.Errorf("the first value behind the announcement: got %q", got)
	}
	d = openbeken.New()
	d.Decode(dialect.Message{Topic: "homeassistant/sensor/x/config", Payload: []byte(announcement)})
	if got := render(decode(t, d, "tele/plug/SENSOR", `{"ENERGY":{"ConsumptionTotal":1500}}`).Readings); got != "plug/ energy_kwh=1.5" {
		t.Errorf("the sensor message is in Wh whatever the flag: got %q", got)
	}
}

// With flag 30 a device says everything twice; its plain values win.
func TestTheSameValueIsReadOnce(t *testing.T) {
	d := openbeken.New()
	sensor := `{"ENERGY":{"Power":5,"ConsumptionTotal":2},"SHT3X":{"Temperature":21.5}}`
	for _, c := range []struct{ topic, payload, want string }{
		{"tele/plug/SENSOR", sensor, "plug/ power_w=5 energy_kwh=0.002; plug/SHT3X temperature_c=21.5"},
		{"plug/power/get", "5", "plug/ power_w=5"},
		{"tele/plug/SENSOR", sensor, "plug/SHT3X temperature_c=21.5"},
		{"tele/other/SENSOR", sensor, "other/ power_w=5 energy_kwh=0.002; other/SHT3X temperature_c=21.5"},
	} {
		if got := render(decode(t, d, c.topic, c.payload).Readings); got != c.want {
			t.Errorf("%s: got %q, want %q", c.topic, got, c.want)
		}
	}
}

func TestLastWillsBecomeEvents(t *testing.T) {
	d := openbeken.New()
	for _, c := range []struct {
		payload string
		want    reading.EventType
	}{{"online", reading.DeviceOnline}, {"offline\n", reading.DeviceOffline}, {"", ""}, {"Online", ""}} {
		got := decode(t, d, "plug/connected", c.payload)
		switch {
		case got.Err != nil || len(got.Readings) > 0 || len(got.Events) > 1:
			t.Errorf("%q: got %+v", c.payload, got)
		case len(got.Events) == 0 && c.want != "" || len(got.Events) == 1 && (got.Events[0].Type != c.want || got.Events[0].Device != "plug"):
			t.Errorf("%q: got %+v, want %s", c.payload, got.Events, c.want)
		}
		for _, e := range got.Events {
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A flood of names fills a table of fixed size, and messages are read all the
// same.
func TestFloodsAreBounded(t *testing.T) {
	d := openbeken.New()
	for n := range 1100 {
		decode(t, d, fmt.Sprintf("d%d/connected", n), "online")
	}
	if got := render(decode(t, d, "d0/power", "5").Readings); got != "d0/ power_w=5" {
		t.Errorf("got %q", got)
	}
	if got := render(decode(t, d, "d1099/power/get", "5").Readings); got != "d1099/ power_w=5" {
		t.Errorf("got %q", got)
	}
	if _, mine := d.Decode(dialect.Message{Topic: "d1099/power", Payload: []byte("5")}); mine {
		t.Error("the table has no bound")
	}
}

// Clients are read at the same time as they make themselves known.
func TestDecodersAreSharedByClients(t *testing.T) {
	d := openbeken.New()
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			name := fmt.Sprintf("plug%d", n)
			for i := range 50 {
				d.Decode(dialect.Message{Topic: name + "/connected", Payload: []byte("online")})
				d.Decode(dialect.Message{Topic: "homeassistant/sensor/x/config", Payload: []byte(strings.ReplaceAll(announcement, "plug", name))})
				got, _ := d.Decode(dialect.Message{Topic: name + "/energycounter", Payload: fmt.Append(nil, i)})
				if len(got.Readings) != 1 || got.Readings[0].Device != name || got.Readings[0].Values[0].Number != float64(i) {
					t.Errorf("got %q", render(got.Readings))
				}
			}
		})
	}
	clients.Wait()
}
