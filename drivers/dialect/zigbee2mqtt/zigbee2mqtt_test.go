package zigbee2mqtt_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/zigbee2mqtt"
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

func decode(t *testing.T, d *zigbee2mqtt.Decoder, topic, payload string) dialect.Result {
	t.Helper()
	got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	if !mine {
		t.Fatalf("%s is not taken for Zigbee2MQTT's", topic)
	}
	return got
}

// variants are messages in forms that the bridge's source, its documentation and
// its issues give, beyond those that were captured.
var variants = []struct{ name, topic, payload, want string }{
	{"several sockets", "zigbee2mqtt/strip", `{"power_l1":5,"power_l2":0.5,"energy_l1":1.2,"voltage":231,"state_l1":"ON"}`,
		"strip/l1 power_w=5 energy_kwh=1.2; strip/l2 power_w=0.5; strip/ voltage_v=231"},
	{"three phases", "zigbee2mqtt/meter", `{"power":300,"power_phase_a":100,"current_phase_b":0.4,"voltage_phase_c":229,"energy_produced_phase_a":3}`,
		"meter/ power_w=300; meter/phase_a power_w=100 energy_returned_kwh=3; meter/phase_b current_a=0.4; meter/phase_c voltage_v=229"},
	{"two clamps", "zigbee2mqtt/pj", `{"power_a":10,"energy_produced_b":2,"power_factor_a":98,"ac_frequency":50.01}`,
		"pj/a power_w=10 power_factor=0.98; pj/b energy_returned_kwh=2; pj/ frequency_hz=50.01"},
	{"counts are no powers", "zigbee2mqtt/x", `{"power_outage_count":3,"power_on_behavior":1,"voltage_breaker":0,"temperature_f":70,"current_heating_setpoint":21}`, ""},
	{"a thermostat", "zigbee2mqtt/x", `{"local_temperature":20.5,"occupied_heating_setpoint":21,"local_temperature_calibration":-1}`, "x/ temperature_c=20.5"},
	{"the old name of energy", "zigbee2mqtt/x", `{"consumption":1.15,"power":3}`, "x/ energy_kwh=1.15 power_w=3"},
	{"both names of energy", "zigbee2mqtt/x", `{"consumption":1.1,"energy":1.15}`, "x/ energy_kwh=1.15"},
	{"lux beside a raw number", "zigbee2mqtt/x", `{"illuminance":23521,"illuminance_lux":225}`, "x/ illuminance_lx=225"},
	{"lux before a raw number", "zigbee2mqtt/x", `{"illuminance_lux":225,"illuminance":23521}`, "x/ illuminance_lx=225"},
	{"lux alone", "zigbee2mqtt/x", `{"illuminance":225}`, "x/ illuminance_lx=225"},
	{"light in words", "zigbee2mqtt/x", `{"illuminance":"bright"}`, ""},
	{"millivolts of a door contact", "zigbee2mqtt/door", `{"contact":true,"voltage":3005,"device_temperature":24}`, "door/ battery_v=3.005 device_temperature_c=24"},
	{"volts of a battery", "zigbee2mqtt/x", `{"voltage":2.9,"battery":60}`, "x/ battery_v=2.9 battery_pct=60"},
	{"a power bank's plug", "zigbee2mqtt/x", `{"voltage":5.1,"power":2,"current":0.4}`, "x/ voltage_v=5.1 power_w=2 current_a=0.4"},
	{"tenths of a volt beside a power", "zigbee2mqtt/x", `{"voltage":2300,"power":2}`, "x/ battery_v=2.3? power_w=2"},
	{"millivolts of the mains", "zigbee2mqtt/x", `{"voltage":230000,"power":2}`, "x/ power_w=2"},
	{"soil that reads dry", "zigbee2mqtt/soil", `{"soil_moisture":0,"temperature":21}`, "soil/ soil_moisture_pct=0 temperature_c=21"},
	{"soil that is stuck at 100", "zigbee2mqtt/soil", `{"battery":86,"max_temperature_alarm":40,"soil_moisture":100,"temperature":100,"temperature_f":212}`,
		"soil/ battery_pct=86 soil_moisture_pct=100? temperature_c=100?"},
	{"soil that is wet", "zigbee2mqtt/soil", `{"soil_moisture":100,"temperature":19}`, "soil/ soil_moisture_pct=100 temperature_c=19"},
	{"frost in the air", "zigbee2mqtt/x", `{"temperature":0,"humidity":80}`, "x/ temperature_c=0 humidity_pct=80"},
	{"the first soil converters", "zigbee2mqtt/GARDEN_SOIL_01", `{"battery":90,"humidity":41,"temperature_unit":"celsius","device":{"model":"TS0601_soil","networkAddress":23478},"temperature":11}`,
		"GARDEN_SOIL_01/ battery_pct=90 soil_moisture_pct=41 temperature_c=11"},
	{"soil and air", "zigbee2mqtt/x", `{"device":{"model":"ZG-303Z soil"},"humidity":41,"soil_moisture":20}`, "x/ humidity_pct=41 soil_moisture_pct=20"},
	{"fertility", "zigbee2mqtt/x", `{"soil_moisture":40,"soil_fertility":350,"soil_temperature":18.5}`, "x/ soil_moisture_pct=40 conductivity_us_cm=350 soil_temperature_c=18.5"},
	{"Fahrenheit", "zigbee2mqtt/x", `{"temperature":68,"temperature_unit":"fahrenheit","soil_moisture":3}`, "x/ temperature_c=20 soil_moisture_pct=3"},
	{"a display in Fahrenheit", "zigbee2mqtt/x", `{"temperature":21.5,"temperature_unit":"fahrenheit"}`, "x/ temperature_c=21.5?"},
	{"a lost sign", "zigbee2mqtt/x", `{"temperature":6552.6,"soil_moisture":3}`, "x/ soil_moisture_pct=3"},
	{"words of the cluster library for none", "zigbee2mqtt/x", `{"temperature":-327.68,"humidity":655.35,"battery":127.5,"voltage":6553.5,"power":-3276.8,"current":65.535,"pressure":1013}`, "x/ pressure_hpa=1013"},
	{"a counter below zero", "zigbee2mqtt/x", `{"energy":42949672.95}`, "x/ energy_kwh=42949672.95?"},
	{"a counter that went back", "zigbee2mqtt/x", `{"energy":0}`, "x/ energy_kwh=0"},
	{"feed-in", "zigbee2mqtt/x", `{"power":-420,"produced_energy":12.5}`, "x/ power_w=-420 energy_returned_kwh=12.5"},
	{"text and quoted numbers", "zigbee2mqtt/x", `{"power":"12","energy":"n/a","voltage":[230],"current":{"a":1},"battery":90}`, "x/ battery_pct=90"},
	{"infinity", "zigbee2mqtt/x", `{"power":1e400,"battery":90}`, "x/ battery_pct=90"},
	{"the same key twice", "zigbee2mqtt/x", `{"power":1,"power":2}`, "x/ power_w=2"},
	{"a settings object", "zigbee2mqtt/x", `{"level_config":{"power":5},"action":"single"}`, ""},
	{"a base in a tree", "home/zigbee2mqtt/kitchen/plug", `{"power":1}`, "kitchen/plug/ power_w=1"},
	{"attribute", "zigbee2mqtt/kitchen/plug left/power", "12.5", "kitchen/plug left/ power_w=12.5"},
	{"attribute of an endpoint", "zigbee2mqtt/strip/power_l2", "0.5", "strip/l2 power_w=0.5"},
	{"attribute in millivolts", "zigbee2mqtt/door/voltage", "3005", "door/ battery_v=3.005"},
	{"attribute that is no measurement", "zigbee2mqtt/z1/linkquality", "43", ""},
	{"attribute within an object", "zigbee2mqtt/z1/update-installed_version", "192", ""},
	{"attribute of a switch", "zigbee2mqtt/z1/state", "ON", ""},
	{"attribute without a value", "zigbee2mqtt/z1/power", "", ""},
	{"attribute that is not known", "zigbee2mqtt/z1/power", "null", ""},
	{"attribute that is a boolean", "zigbee2mqtt/z1/power", "true", ""},
	{"attribute that is nan", "zigbee2mqtt/z1/power", "NaN", ""},
	{"attribute with a mark and a newline", "zigbee2mqtt/z1/power", "\ufeff12.5\n", "z1/ power_w=12.5"},
	{"an array of attributes", "zigbee2mqtt/z1/color", "255,0,0", ""},
	{"a renamed device", "zigbee2mqtt/old", "", ""},
	{"an action", "zigbee2mqtt/remote/action", "single", ""},
	{"a command to one attribute", "zigbee2mqtt/plug/set/power", "5", ""},
	{"a command to an endpoint", "zigbee2mqtt/plug/l1/set", `{"power":5}`, ""},
	{"a question for one attribute", "zigbee2mqtt/plug/get/power", "", ""},
	{"a request to the bridge", "zigbee2mqtt/bridge/request/device/rename", `{"power":5}`, ""},
	{"the bridge's health", "zigbee2mqtt/bridge/health", `{"devices":{"0x1":{"messages":3}},"power":5}`, ""},
	{"the old list of devices", "zigbee2mqtt/bridge/config/devices", `[{"friendly_name":"x","power":5}]`, ""},
	{"a device called bridge", "zigbee2mqtt/kitchen/bridge/lamp", `{"power":5}`, "kitchen/bridge/lamp/ power_w=5"},
}

func TestEveryFormOfTheBridgeIsRead(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			got := decode(t, zigbee2mqtt.New(), v.topic, v.payload)
			if got.Err != nil || got.Cached {
				t.Fatalf("got %+v", got)
			}
			if diff := cmp.Diff(v.want, render(got.Readings)); diff != "" {
				t.Errorf("readings differ (-want +got):\n%s", diff)
			}
			for _, r := range got.Readings {
				if err := r.Validate(); err != nil || r.Source != "zigbee2mqtt" {
					t.Errorf("source %q: %v", r.Source, err)
				}
			}
		})
	}
}

// A device's word for "no value" leaves a count behind.
func TestSentinelsAreCounted(t *testing.T) {
	got := decode(t, zigbee2mqtt.New(), "zigbee2mqtt/x", `{"temperature":-327.68,"humidity":655.35,"power":1e400,"voltage":230000}`)
	if got.Dropped != 4 || len(got.Readings) != 0 || got.Err != nil {
		t.Errorf("got %+v, want 4 dropped and nothing else", got)
	}
}

// Half of a broken message is worse than none.
func TestBrokenMessagesAreRefusedWhole(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"power":%d`, i)
	}
	for _, c := range []struct{ name, topic, payload, want string }{
		{"bare nan", "zigbee2mqtt/x", `{"power":nan}`, "not JSON"},
		{"one brace too many", "zigbee2mqtt/x", `{"power":1}}`, "not JSON"},
		{"trailing comma", "zigbee2mqtt/x", `{"power":1,}`, "not JSON"},
		{"not UTF-8", "zigbee2mqtt/x", "{\"power\":1,\"a\":\"\xf1\"}", "not UTF-8"},
		{"a number", "zigbee2mqtt/x", `12`, "an object is wanted"},
		{"text", "zigbee2mqtt/x", `online`, "not JSON"},
		{"a bomb", "zigbee2mqtt/x", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "nested deeper"},
		{"a unit behind the number", "zigbee2mqtt/z1/power", "12.5 W", "not a decimal number"},
		{"a decimal comma", "zigbee2mqtt/z1/power", "12,5", "not a decimal number"},
		{"hexadecimal", "zigbee2mqtt/z1/energy", "0x1F", "not a decimal number"},
		{"a name that is too long", "zigbee2mqtt/" + strings.Repeat("x", 300), `{"power":1}`, "longer than"},
		{"a name that is not UTF-8", "zigbee2mqtt/a/\x80b", `{"power":1}`, "not UTF-8"},
		{"a name with NUL", "zigbee2mqtt/a\x00b", `{"power":1}`, "NUL"},
		{"a cut dictionary", "zigbee2mqtt/bridge/devices", `[{"ieee_address":"0x1"`, "dictionary"},
		{"a dictionary that is none", "zigbee2mqtt/bridge/devices", `{"a":1}`, "dictionary"},
		{"broken availability", "zigbee2mqtt/x/availability", `{"state":"online"`, "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decode(t, zigbee2mqtt.New(), c.topic, c.payload)
			if got.Err == nil || !strings.Contains(got.Err.Error(), c.want) || len(got.Readings) > 0 {
				t.Errorf("got error %v and %d readings, want error %q", got.Err, len(got.Readings), c.want)
			}
		})
	}
}

// Which messages are the bridge's decides whether another dialect sees them.
func TestMessagesOfOthersAreLeftAlone(t *testing.T) {
	for _, topic := range []string{
		"", "zigbee2mqtt", "zigbee2mqtt/", "tele/x/SENSOR", "shellies/plug/relay/0/power", "home/plug", "homeassistant/sensor/zigbee2mqtt/x/config",
		"homeassistant/device/zigbee2mqtt_bridge/config", "home/bridge/state", "home/bridge/logging", "home/bridge/devices", "home/bridge/info", "my/zigbee2mqtt",
	} {
		if got, mine := zigbee2mqtt.New().Decode(dialect.Message{Topic: topic, Payload: []byte(`{"power":5,"state":"online"}`)}); mine {
			t.Errorf("%q is taken: %+v", topic, got)
		}
	}
}

func TestAvailabilityBecomesEvents(t *testing.T) {
	for _, c := range []struct {
		topic, payload string
		want           reading.EventType
		device         string
	}{
		{"zigbee2mqtt/lamp/availability", `{"state":"online"}`, reading.DeviceOnline, "lamp"},
		{"zigbee2mqtt/hall/lamp/availability", `{"state":"offline"}`, reading.DeviceOffline, "hall/lamp"},
		{"zigbee2mqtt/lamp/availability", "offline\n", reading.DeviceOffline, "lamp"},
		{"zigbee2mqtt/lamp/availability", "", "", ""},
		{"zigbee2mqtt/lamp/availability", `{"state":null}`, "", ""},
		{"zigbee2mqtt/bridge/state", `{"state":"offline"}`, reading.DeviceOffline, "zigbee2mqtt"},
		{"zigbee2mqtt/bridge/state", "online", reading.DeviceOnline, "zigbee2mqtt"},
	} {
		got := decode(t, zigbee2mqtt.New(), c.topic, c.payload)
		switch {
		case got.Err != nil || len(got.Readings) > 0 || len(got.Events) > 1:
			t.Errorf("%s %q: got %+v", c.topic, c.payload, got)
		case len(got.Events) == 0 && c.want != "" || len(got.Events) == 1 && (got.Events[0].Type != c.want || got.Events[0].Device != c.device):
			t.Errorf("%s %q: got %+v, want %s of %s", c.topic, c.payload, got.Events, c.want, c.device)
		}
		for _, e := range got.Events {
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
		}
	}
}

// last_seen says when the device spoke; a clock that was never set must not.
func TestLastSeenIsTheTime(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`"2024-03-13T13:06:51.665Z"`, "2024-03-13T13:06:51.665Z"},
		{`"2025-05-01T14:52:56+02:00"`, "2025-05-01T12:52:56Z"},
		{`1710335211665`, "2024-03-13T13:06:51.665Z"},
		{`"2025-05-01T14:52:56"`, ""},
		{`"1970-01-01T00:00:07+00:00"`, ""},
		{`12`, ""}, {`-5`, ""}, {`1e300`, ""}, {`null`, ""}, {`"N/A"`, ""}, {`true`, ""},
	} {
		got := decode(t, zigbee2mqtt.New(), "zigbee2mqtt/x", `{"last_seen":`+c.text+`,"power":1}`)
		if len(got.Readings) != 1 {
			t.Errorf("%s costs the reading: %+v", c.text, got)
			continue
		}
		var want time.Time
		if c.want != "" {
			want, _ = time.Parse(time.RFC3339Nano, c.want)
		}
		if !got.Readings[0].Time.Equal(want) {
			t.Errorf("%s: got %v, want %v", c.text, got.Readings[0].Time, want)
		}
	}
}
