package homeassistant_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/homeassistant"
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
	}
	return b.String()
}

func announce(t *testing.T, d *homeassistant.Decoder, topic, config string) {
	t.Helper()
	got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(config), Retained: true})
	if !mine || got.Err != nil || len(got.Readings) > 0 {
		t.Fatalf("%s: got mine %v, %+v", topic, mine, got)
	}
}

func state(d *homeassistant.Decoder, topic, payload string) (dialect.Result, bool) {
	return d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
}

// Announcements come in two forms, each in long and short keys.
func TestEveryFormOfAnnouncementIsUnderstood(t *testing.T) {
	for _, c := range []struct{ name, topic, config, want string }{
		{"long keys", "homeassistant/sensor/n/o/config",
			`{"state_topic":"x","device_class":"power","unit_of_measurement":"kW","device":{"identifiers":["d","e"]}}`, "d/o power_w=1500"},
		{"short keys", "homeassistant/sensor/n/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W","dev":{"ids":"d"}}`, "d/o power_w=1.5"},
		{"a number as identifier", "homeassistant/sensor/n/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W","dev":{"ids":[1234]}}`, "1234/o power_w=1.5"},
		{"no identifiers", "homeassistant/sensor/n/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W","dev":{"cns":[["mac","aa:bb"]]}}`, "aa:bb/o power_w=1.5"},
		{"no device", "homeassistant/sensor/n/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W"}`, "n/o power_w=1.5"},
		{"no node either", "homeassistant/sensor/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W"}`, "o/o power_w=1.5"},
		{"base in front", "homeassistant/sensor/o/config", `{"~":"x","stat_t":"~","dev_cla":"power","unit_of_meas":"W"}`, "o/o power_w=1.5"},
		{"another prefix", "home/assistant/sensor/n/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W"}`, "n/o power_w=1.5"},
		{"another prefix, no node", "ha/sensor/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W"}`, "o/o power_w=1.5"},
		{"a node called sensor", "homeassistant/sensor/sensor/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W"}`, "sensor/o power_w=1.5"},
		{"null is nothing", "homeassistant/sensor/o/config", `{"stat_t":"x","dev_cla":null,"unit_of_meas":"W","val_tpl":null,"dev":null}`, "o/o power_w=1.5"},
		{"a device", "homeassistant/device/n/config",
			`{"dev":{"ids":"d"},"o":{"name":"x"},"cmps":{"a":{"p":"sensor","dev_cla":"power","unit_of_meas":"W"},"b":{"p":"switch","dev_cla":"power","unit_of_meas":"W"}},"stat_t":"x"}`,
			"d/a power_w=1.5"},
		{"a device below a node", "homeassistant/device/n/m/config",
			`{"device":{"identifiers":["d"]},"components":{"a":{"platform":"sensor","state_topic":"~/y","~":"x","device_class":"power","unit_of_measurement":"W"}}}`, ""},
		{"a device with a base", "homeassistant/device/n/config", `{"~":"x","dev":{"ids":"d"},"cmps":{"a":{"p":"sensor","stat_t":"~","unit_of_meas":"W"}}}`, "d/a power_w=1.5"},
		{"a component taken away", "homeassistant/device/n/config", `{"dev":{"ids":"d"},"cmps":{"a":{"p":"sensor"}},"stat_t":"x"}`, ""},
		{"moisture that is a leak", "homeassistant/device/n/config", `{"dev":{"ids":"d"},"cmps":{"a":{"p":"binary_sensor","dev_cla":"moisture"}},"stat_t":"x"}`, ""},
		{"moving into a device", "homeassistant/sensor/o/config", `{"migrate_discovery":true}`, ""},
		{"another component", "homeassistant/number/o/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W"}`, ""},
		{"deeper than Home Assistant looks", "homeassistant/sensor/a/b/c/config", `{"stat_t":"x","dev_cla":"power","unit_of_meas":"W"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := homeassistant.New()
			announce(t, d, c.topic, c.config)
			got, mine := state(d, "x", "1.5")
			if render(got.Readings) != c.want || mine != (c.want != "") || got.Err != nil {
				t.Errorf("got mine %v, %q, %v, want %q", mine, render(got.Readings), got.Err, c.want)
			}
		})
	}
}

// A number is read only where its unit is beyond doubt.
func TestClassAndUnitMakeTheMetric(t *testing.T) {
	for _, c := range []struct{ class, unit, object, payload, want string }{
		{"temperature", "\u00b0F", "t", "71.6", "temperature_c=22"},
		{"temperature", "\u00b0 C", "t", "22", "temperature_c=22"},
		{"temperature", "K", "t", "273.15", "temperature_c=0"},
		{"temperature", "", "t", "22", ""},
		{"temperature", "%", "t", "22", ""},
		{"moisture", "%", "o", "41.5", "soil_moisture_pct=41.5"},
		{"humidity", "%", "soil", "41.5", "humidity_pct=41.5"},
		{"battery", "%", "o", "90", "battery_pct=90"},
		{"voltage", "mV", "o", "3005", "voltage_v=3.005"},
		{"energy", "Wh", "o", "1500", "energy_kwh=1.5"},
		{"energy", "MJ", "o", "3.6", "energy_kwh=1"},
		{"energy", "W", "o", "5", ""},
		{"reactive_power", "VAr", "o", "5", "reactive_power_var=5"},
		{"apparent_power", "VA", "o", "5", "apparent_power_va=5"},
		{"power_factor", "%", "o", "97", "power_factor=0.97"},
		{"power_factor", "", "o", "0.97", "power_factor=0.97"},
		{"conductivity", "\u03bcS/cm", "o", "120", "conductivity_us_cm=120"},
		{"illuminance", "lx", "o", "120", "illuminance_lx=120"},
		{"irradiance", "W/m\u00b2", "o", "7", "irradiance_w_m2=7"},
		{"carbon_dioxide", "ppm", "o", "420", "co2_ppm=420"},
		{"atmospheric_pressure", "kPa", "o", "101.3", "pressure_hpa=1013"},
		{"pressure", "hPa", "o", "1013", "pressure_hpa=1013"},
		{"gas", "m\u00b3", "o", "3", "gas_m3=3"},
		{"signal_strength", "dBm", "o", "-70", ""},
		{"duration", "s", "o", "5", ""},
		{"enum", "W", "o", "5", ""},
		{"", "W", "o", "5", "power_w=5"},
		{"", "kWh", "o", "5", "energy_kwh=5"},
		{"", "Hz", "o", "50", "frequency_hz=50"},
		{"", "\u00b5S/cm", "o", "5", "conductivity_us_cm=5"},
		{"", "\u00b0C", "o", "5", "temperature_c=5"},
		{"", "K", "colour", "2700", ""},
		{"", "C", "o", "5", ""},
		{"", "ppm", "o", "5", ""},
		{"", "", "power", "5", ""},
		{"", "%", "Soil_Humidity", "5", "soil_moisture_pct=5"},
		{"", "%", "air_hum", "5", "humidity_pct=5"},
		{"", "%", "Batt", "5", "battery_pct=5"},
		{"", "%", "progress", "5", ""},
	} {
		d := homeassistant.New()
		announce(t, d, "homeassistant/sensor/"+c.object+"/config",
			fmt.Sprintf(`{"stat_t":"x","dev_cla":%q,"unit_of_meas":%q,"dev":{"ids":"d"}}`, c.class, c.unit))
		got, _ := state(d, "x", c.payload)
		want := c.want
		if want != "" {
			want = "d/" + c.object + " " + want
		}
		if render(got.Readings) != want {
			t.Errorf("%s in %q: got %q, want %q", c.class, c.unit, render(got.Readings), want)
		}
	}
}

// What no such sensor measures is a word for "none"; elsewhere the same number
// is a value.
func TestSentinelsAreDropped(t *testing.T) {
	d := homeassistant.New()
	for object, config := range map[string]string{
		"t": `"dev_cla":"temperature","unit_of_meas":"\u00b0C"`,
		"f": `"dev_cla":"temperature","unit_of_meas":"\u00b0F"`,
		"m": `"dev_cla":"moisture","unit_of_meas":"%"`,
		"p": `"dev_cla":"power","unit_of_meas":"W"`,
	} {
		announce(t, d, "homeassistant/sensor/"+object+"/config", fmt.Sprintf(`{"stat_t":%q,%s}`, object, config))
	}
	for _, c := range []struct {
		topic, payload string
		dropped        bool
	}{
		{"t", "-127", true}, {"t", "-273.15", true}, {"t", "-40", false}, {"t", "85", false},
		{"f", "-196.6", true}, {"m", "1078689792", true}, {"m", "-5", true}, {"m", "100.4", false}, {"p", "-127", false}, {"p", "999", false},
	} {
		got, _ := state(d, c.topic, c.payload)
		if got.Err != nil || len(got.Readings) == 1 == c.dropped || got.Dropped == 1 != c.dropped {
			t.Errorf("%s %s: got %+v, want dropped %v", c.topic, c.payload, got, c.dropped)
		}
	}
}

// A device's own thermometer is not that of the room.
func TestDiagnosticTemperatureIsTheDevices(t *testing.T) {
	d := homeassistant.New()
	announce(t, d, "homeassistant/sensor/o/config", `{"stat_t":"x","dev_cla":"temperature","unit_of_meas":"\u00b0C","ent_cat":"diagnostic"}`)
	if got, _ := state(d, "x", "50"); render(got.Readings) != "o/o device_temperature_c=50" {
		t.Errorf("got %q", render(got.Readings))
	}
}

// Whatever is announced can be announced differently, and taken back.
func TestAnnouncementsReplaceAndRemove(t *testing.T) {
	d := homeassistant.New()
	config := func(topic string) string { return fmt.Sprintf(`{"stat_t":%q,"unit_of_meas":"W","avty_t":"a"}`, topic) }
	announce(t, d, "homeassistant/sensor/o/config", config("x"))
	announce(t, d, "homeassistant/sensor/o/config", config("y"))
	for topic, want := range map[string]bool{"x": false, "y": true, "a": true} {
		if _, mine := state(d, topic, "1"); mine != want {
			t.Errorf("%s: got mine %v, want %v", topic, mine, want)
		}
	}
	if got, mine := state(d, "homeassistant/sensor/o/config", `{"stat_t":`); !mine || got.Err == nil {
		t.Errorf("a broken announcement: got mine %v, %+v", mine, got)
	}
	if _, mine := state(d, "y", "1"); !mine {
		t.Error("a broken announcement took the old one away")
	}
	announce(t, d, "homeassistant/sensor/o/config", "")
	for _, topic := range []string{"x", "y", "a"} {
		if _, mine := state(d, topic, "1"); mine {
			t.Errorf("%s is still read", topic)
		}
	}
}

// Unusable announcements are reported, and elsewhere than below Home Assistant's
// own prefix they are no announcements.
func TestUnusableAnnouncements(t *testing.T) {
	many := strings.Repeat(`"%d":{"p":"sensor","unit_of_meas":"W"},`, 300)
	for _, config := range []string{
		`{`, `[]`, "\xff", `{"dev_cla":"power"}`, `{"stat_t":5}`, `{"stat_t":"x","dev":{"ids":"a\u0000b"},"unit_of_meas":"W"}`,
		`{"stat_t":"x","unit_of_meas":"W","dev":{"ids":"` + strings.Repeat("x", 300) + `"}}`,
		`{"stat_t":"` + strings.Repeat("x", 3000) + `","unit_of_meas":"W"}`,
		`{"stat_t":"x","unit_of_meas":"W","avty_t":"` + strings.Repeat("x", 3000) + `"}`,
		`{"p":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`,
	} {
		d := homeassistant.New()
		if got, mine := state(d, "homeassistant/sensor/o/config", config); !mine || got.Err == nil {
			t.Errorf("%.40q: got mine %v, %+v, want an error", config, mine, got)
		}
		if got, mine := state(d, "other/sensor/o/config", config); mine || got.Err != nil {
			t.Errorf("%.40q elsewhere: got mine %v, %+v, want neither", config, mine, got)
		}
	}
	d := homeassistant.New()
	var numbered []any
	for n := range 300 {
		numbered = append(numbered, n)
	}
	if got, _ := state(d, "homeassistant/device/o/config", fmt.Sprintf(`{"stat_t":"x","cmps":{`+strings.TrimSuffix(many, ",")+`}}`, numbered...)); got.Err == nil {
		t.Error("300 components are no error")
	}
	for _, topic := range []string{"homeassistant/status", "homeassistant/binary_sensor/o/config", "homeassistant/sensor/o/config"} {
		if got, mine := state(d, topic, ""); !mine || got.Err != nil {
			t.Errorf("%s: got mine %v, %+v", topic, mine, got)
		}
	}
	for _, topic := range []string{"other/sensor/o/config", "sensor/o/config", "config", "/config", "tasmota/discovery/A/config", "homeassistant/sensor/o/state"} {
		if got, mine := state(d, topic, ""); mine {
			t.Errorf("%s: got %+v, want not mine", topic, got)
		}
	}
}

// Availability is an event of the one device that it belongs to.
func TestAvailabilityBecomesEvents(t *testing.T) {
	d := homeassistant.New()
	entity := `"unit_of_meas":"W","stat_t":"x",`
	announce(t, d, "homeassistant/sensor/a/o/config", `{`+entity+`"dev":{"ids":"a"},"avty":[{"t":"bridge"},{"t":"a/avty","val_tpl":"{{ value_json.state }}"}]}`)
	announce(t, d, "homeassistant/sensor/a/p/config", `{`+entity+`"dev":{"ids":"a"},"avty":[{"t":"bridge"},{"t":"a/avty","val_tpl":"{{ value_json.state }}"}]}`)
	announce(t, d, "homeassistant/sensor/b/o/config", `{`+entity+`"dev":{"ids":"b"},"avty":[{"topic":"bridge"}]}`)
	announce(t, d, "homeassistant/sensor/c/o/config", `{`+entity+`"~":"c/","dev":{"ids":"c"},"avty_t":"~online","pl_avail":"true","pl_not_avail":"false"}`)
	announce(t, d, "homeassistant/sensor/e/o/config", `{`+entity+`"dev":{"ids":"e"},"availability":{"topic":"e/on","value_template":"{{ value_json.on }}","payload_available":"True","payload_not_available":"False"}}`)
	for _, c := range []struct {
		topic, payload string
		want           reading.EventType
		device         string
	}{
		{"a/avty", `{"state":"online"}`, reading.DeviceOnline, "a"},
		{"a/avty", `{"state":"offline"}`, reading.DeviceOffline, "a"},
		{"a/avty", `offline`, "", ""},
		{"a/avty", `{"state":`, "", ""},
		{"a/avty", ``, "", ""},
		{"bridge", "offline", "", ""},
		{"c/online", "true\n", reading.DeviceOnline, "c"},
		{"c/online", "false", reading.DeviceOffline, "c"},
		{"c/online", "online", "", ""},
		{"e/on", `{"on":false}`, reading.DeviceOffline, "e"},
	} {
		got, mine := state(d, c.topic, c.payload)
		switch {
		case !mine || got.Err != nil || len(got.Readings) > 0 || len(got.Events) > 1 || len(got.Events) == 0 != (c.want == ""):
			t.Errorf("%s %q: got mine %v, %+v, want %s", c.topic, c.payload, mine, got, c.want)
		case c.want != "" && (got.Events[0].Type != c.want || got.Events[0].Device != c.device || got.Events[0].Validate() != nil):
			t.Errorf("%s %q: got %+v, want %s of %s", c.topic, c.payload, got.Events, c.want, c.device)
		}
	}
	announce(t, d, "homeassistant/sensor/b/o/config", "")
	if got, _ := state(d, "bridge", "offline"); len(got.Events) != 1 || got.Events[0].Device != "a" {
		t.Errorf("a topic that is one device's now: got %+v", got)
	}
}

// Two counters of a device never become one, and one that was announced twice,
// alone and with its device, never becomes two; in whichever order they come.
func TestNamesStayApart(t *testing.T) {
	first := [2]string{"homeassistant/sensor/east/power/config", `{"stat_t":"x","unit_of_meas":"W","uniq_id":"1","val_tpl":"{{ value_json.e }}","dev":{"ids":"roof"}}`}
	second := [2]string{"homeassistant/sensor/west/power/config", `{"stat_t":"x","unit_of_meas":"W","uniq_id":"2","val_tpl":"{{ value_json.w }}","dev":{"ids":"roof"}}`}
	again := [2]string{"homeassistant/device/roof/config", `{"stat_t":"x","dev":{"ids":"roof"},"cmps":{"power":{"p":"sensor","unit_of_meas":"W","uniq_id":"1","val_tpl":"{{ value_json.e }}"}}}`}
	for _, order := range [][][2]string{{first, second}, {second, first}} {
		d := homeassistant.New()
		for _, a := range order {
			announce(t, d, a[0], a[1])
		}
		if got, _ := state(d, "x", `{"e":1,"w":2}`); render(got.Readings) != "roof/east/power power_w=1; roof/west/power power_w=2" {
			t.Errorf("got %q", render(got.Readings))
		}
		announce(t, d, second[0], "")
		if got, _ := state(d, "x", `{"e":1,"w":2}`); render(got.Readings) != "roof/power power_w=1" {
			t.Errorf("alone again: got %q", render(got.Readings))
		}
	}
	for _, order := range [][][2]string{{first, again}, {again, first}} {
		d := homeassistant.New()
		for _, a := range order {
			announce(t, d, a[0], a[1])
		}
		if got, _ := state(d, "x", `{"e":1}`); render(got.Readings) != "roof/power power_w=1" {
			t.Errorf("announced twice: got %q", render(got.Readings))
		}
		announce(t, d, first[0], "")
		if got, _ := state(d, "x", `{"e":1}`); render(got.Readings) != "roof/power power_w=1" {
			t.Errorf("moved into its device: got %q", render(got.Readings))
		}
	}
}

// A flood of announcements fills tables of fixed size and pushes nobody out.
func TestAFloodOfAnnouncementsIsBounded(t *testing.T) {
	d := homeassistant.New()
	for n := range 5000 {
		announce(t, d, fmt.Sprintf("homeassistant/sensor/%d/config", n), fmt.Sprintf(`{"stat_t":"s/%d","unit_of_meas":"W"}`, n))
	}
	for topic, want := range map[string]bool{"s/0": true, "s/4095": true, "s/4096": false} {
		if _, mine := state(d, topic, "1"); mine != want {
			t.Errorf("%s: got mine %v, want %v", topic, mine, want)
		}
	}
	announce(t, d, "homeassistant/sensor/0/config", "")
	announce(t, d, "homeassistant/sensor/new/config", `{"stat_t":"new","unit_of_meas":"W"}`)
	if _, mine := state(d, "new", "1"); !mine {
		t.Error("what was taken back leaves no room")
	}
	d = homeassistant.New()
	for n := range 300 {
		announce(t, d, fmt.Sprintf("homeassistant/sensor/%d/config", n), `{"stat_t":"s","unit_of_meas":"W","dev":{"ids":"d"}}`)
	}
	if got, _ := state(d, "s", "1"); len(got.Readings) != 128 {
		t.Errorf("one topic gives %d readings", len(got.Readings))
	}
}

// Clients are read at the same time as devices announce themselves.
func TestDecodersAreSharedByClients(t *testing.T) {
	d := homeassistant.New()
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			config, topic := fmt.Sprintf("homeassistant/sensor/n%d/o/config", n), fmt.Sprintf("s/%d", n)
			for range 50 {
				state(d, config, fmt.Sprintf(`{"stat_t":%q,"unit_of_meas":"W","avty_t":"a","dev":{"ids":"d%d"}}`, topic, n))
				if got, _ := state(d, topic, "1"); len(got.Readings) != 1 || got.Readings[0].Device != fmt.Sprint("d", n) {
					t.Errorf("got %q", render(got.Readings))
				}
				state(d, "a", "online")
				state(d, config, "")
			}
		})
	}
	clients.Wait()
}
