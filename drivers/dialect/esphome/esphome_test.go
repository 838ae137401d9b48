package esphome_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/esphome"
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

// announce feeds an announcement, which is never the dialect's own.
func announce(t *testing.T, d *esphome.Decoder, topic, config string) {
	t.Helper()
	if got, mine := send(d, topic, config); mine {
		t.Fatalf("%s is kept from other dialects: %+v", topic, got)
	}
}

func send(d *esphome.Decoder, topic, payload string) (dialect.Result, bool) {
	return d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload), Retained: true})
}

// The announcement names unit and class; the topic names node and object.
func TestAnnouncedSensorsAreRead(t *testing.T) {
	const at = "homeassistant/sensor/plug/o/config"
	for _, c := range []struct{ name, config, topic, payload, want string }{
		{"short keys", `{"dev_cla":"power","unit_of_meas":"W","stat_t":"plug/sensor/o/state"}`, "plug/sensor/o/state", "1843.2", "plug/o power_w=1843.2"},
		{"long keys", `{"device_class":"energy","unit_of_measurement":"Wh","state_topic":"plug/sensor/o/state"}`, "plug/sensor/o/state", "1500", "plug/o energy_kwh=1.5"},
		{"no class", `{"unit_of_meas":"\u00b5S/cm","stat_t":"plug/sensor/o/state"}`, "plug/sensor/o/state", "120", "plug/o conductivity_us_cm=120"},
		{"the board's own", `{"dev_cla":"temperature","unit_of_meas":"\u00b0C","ent_cat":"diagnostic","stat_t":"plug/sensor/o/state"}`, "plug/sensor/o/state", "53.3", "plug/o device_temperature_c=53.3"},
		{"Fahrenheit", `{"dev_cla":"temperature","unit_of_meas":"\u00b0 F","stat_t":"plug/sensor/o/state"}`, "plug/sensor/o/state", "212", "plug/o temperature_c=100"},
		{"a prefix with slashes", `{"dev_cla":"power","unit_of_meas":"W","stat_t":"home/plug/sensor/o/state"}`, "home/plug/sensor/o/state", "1", "home/plug/o power_w=1"},
		{"minus zero", `{"dev_cla":"power","unit_of_meas":"W","stat_t":"plug/sensor/o/state"}`, "plug/sensor/o/state", "-0.0", "plug/o power_w=0"},
		{"a topic of the owner's", `{"dev_cla":"temperature","unit_of_meas":"\u00b0C","stat_t":"kitchen/temperature","uniq_id":"ESPsensoro"}`, "kitchen/temperature", "21.5", "plug/o temperature_c=21.5"},
		{"the same, prefix known", `{"dev_cla":"temperature","unit_of_meas":"\u00b0C","stat_t":"kitchen/temperature","avty_t":"home/plug/status","dev":{"sw":"2025.6.0 (ESPHome 2025.6.0)"}}`,
			"kitchen/temperature", "21.5", "home/plug/o temperature_c=21.5"},
		{"the same, maker known", `{"dev_cla":"temperature","unit_of_meas":"\u00b0C","stat_t":"kitchen/temperature","device":{"manufacturer":"Espressif"}}`,
			"kitchen/temperature", "21.5", "plug/o temperature_c=21.5"},
		{"another firmware's topic", `{"dev_cla":"temperature","unit_of_meas":"\u00b0C","stat_t":"kitchen/temperature"}`, "kitchen/temperature", "21.5", ""},
		{"another firmware's template", `{"dev_cla":"power","unit_of_meas":"W","stat_t":"plug/sensor/o/state","val_tpl":"{{ value_json.p }}"}`, "plug/sensor/o/state", "1", ""},
		{"another firmware's base", `{"~":"plug","dev_cla":"power","unit_of_meas":"W","stat_t":"~/sensor/o/state"}`, "~/sensor/o/state", "1", ""},
		{"another object", `{"dev_cla":"power","unit_of_meas":"W","stat_t":"plug/sensor/p/state"}`, "plug/sensor/p/state", "1", ""},
		{"Home Assistant's example", `{"dev_cla":"power","unit_of_meas":"W","stat_t":"homeassistant/sensor/o/state"}`, "homeassistant/sensor/o/state", "1", ""},
		{"no unit", `{"stat_t":"plug/sensor/o/state","dev_cla":"power"}`, "plug/sensor/o/state", "1", ""},
		{"a unit of another quantity", `{"stat_t":"plug/sensor/o/state","dev_cla":"power","unit_of_meas":"kWh"}`, "plug/sensor/o/state", "1", ""},
		{"a class without a metric", `{"stat_t":"plug/sensor/o/state","dev_cla":"signal_strength","unit_of_meas":"dBm"}`, "plug/sensor/o/state", "-70", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := esphome.New()
			announce(t, d, at, c.config)
			got, mine := send(d, c.topic, c.payload)
			if render(got.Readings) != c.want || mine != (c.want != "") || got.Err != nil {
				t.Errorf("got mine %v, %q, %v, want %q", mine, render(got.Readings), got.Err, c.want)
			}
		})
	}
}

// printf writes what was not measured as a word, and no word is a number.
func TestOnlyNumbersAreRead(t *testing.T) {
	d := esphome.New()
	announce(t, d, "homeassistant/sensor/n/soil/config", `{"unit_of_meas":"%","stat_t":"n/sensor/soil/state"}`)
	announce(t, d, "homeassistant/sensor/n/t/config", `{"unit_of_meas":"\u00b0C","stat_t":"n/sensor/t/state"}`)
	for _, c := range []struct {
		topic, payload string
		readings       int
		isErr          bool
	}{
		{"n/sensor/soil/state", "37", 1, false}, {"n/sensor/soil/state", " 37.0\n", 1, false},
		{"n/sensor/soil/state", "nan", 0, false}, {"n/sensor/soil/state", "NaN", 0, false}, {"n/sensor/soil/state", "None", 0, false},
		{"n/sensor/soil/state", "inf", 0, false}, {"n/sensor/soil/state", "", 0, false}, {"n/sensor/soil/state", "unavailable", 0, false},
		{"n/sensor/soil/state", "150", 0, false}, {"n/sensor/soil/state", "100.5", 1, false}, {"n/sensor/t/state", "-127.0", 0, false},
		{"n/sensor/soil/state", "37 %", 0, true}, {"n/sensor/soil/state", "37,5", 0, true}, {"n/sensor/soil/state", "ON", 0, true},
		{"n/sensor/soil/state", `{"a":1}`, 0, true}, {"n/sensor/soil/state", "0x1F", 0, true}, {"n/sensor/soil/state", "1e400", 0, true},
	} {
		got, mine := send(d, c.topic, c.payload)
		if !mine || len(got.Readings) != c.readings || got.Err != nil != c.isErr {
			t.Errorf("%s %q: got mine %v, %+v", c.topic, c.payload, mine, got)
		}
	}
}

// Without an announcement only a name with quantity and unit tells what a number
// is.
func TestNamesWithAUnitAreRead(t *testing.T) {
	for topic, want := range map[string]string{
		"plug/sensor/washer_energy_kwh/state":          "plug/washer_energy_kwh energy_kwh=12.5",
		"plug/sensor/power_w/state":                    "plug/power_w power_w=12.5",
		"home/plug/sensor/battery_voltage_mv/state":    "home/plug/battery_voltage_mv voltage_v=0.0125",
		"n/sensor/bed_soil_moisture_percent/state":     "n/bed_soil_moisture_percent soil_moisture_pct=12.5",
		"n/sensor/soil_humidity_percent/state":         "n/soil_humidity_percent soil_moisture_pct=12.5",
		"n/sensor/air_temperature_celsius/state":       "n/air_temperature_celsius temperature_c=12.5",
		"n/sensor/power/state":                         "",
		"n/sensor/energy/state":                        "", // Wh or kWh
		"n/sensor/soil_moisture/state":                 "", // percent or counts
		"n/sensor/power_factor/state":                  "",
		"n/sensor/apparent_power_w/state":              "",
		"n/sensor/energy_price_kwh/state":              "",
		"n/sensor/price_energy_kwh/state":              "",
		"n/sensor/max_power_w/state":                   "",
		"n/sensor/horsepower_w/state":                  "",
		"n/sensor/current_a/state":                     "", // or that of phase A
		"n/sensor/temperature_c/state":                 "",
		"n/number/power_w/state":                       "",
		"sensor/power_w/state":                         "",
		"/sensor/power_w/state":                        "",
		"n/sensor/power_w":                             "",
		"homeassistant/sensor/power_w/state":           "",
		"home/statestream/sensor/power_w/state":        "",
		strings.Repeat("x", 300) + "/sensor/p_w/state": "",
	} {
		got, mine := send(esphome.New(), topic, "12.5")
		if render(got.Readings) != want || mine != (want != "") || got.Err != nil {
			t.Errorf("%s: got mine %v, %q, %v, want %q", topic, mine, render(got.Readings), got.Err, want)
		}
	}
	if got, mine := send(esphome.New(), "n/sensor/power_w/state", "3d 04h"); mine || got.Err != nil {
		t.Errorf("a text sensor: got mine %v, %+v", mine, got)
	}
}

// What a known node says besides is its own and no measurement; what others say
// is theirs.
func TestNodesKeepTheirTopics(t *testing.T) {
	d := esphome.New()
	announce(t, d, "homeassistant/switch/plug/relay/config", `{"stat_t":"garden/plug/switch/relay/state","cmd_t":"garden/plug/switch/relay/command"}`)
	for topic, want := range map[string]bool{
		"garden/plug/debug": true, "garden/plug/status": true, "garden/plug/switch/relay/state": true, "garden/plug/switch/relay/command": true,
		"garden/plug/fan/f/speed_level/state": true, "garden/plug/sensor/uptime_human/state": false, "garden/plug/sensor/x/command": true,
		"garden/plug/pump": false, "garden/plug/debug/x": false, "garden/debug": false, "plug/debug": false, "garden/plug": false,
		strings.Repeat("/", 60000): false,
	} {
		got, mine := send(d, topic, "12")
		if mine != want || got.Err != nil || len(got.Readings) > 0 {
			t.Errorf("%.40s: got mine %v, %+v, want mine %v", topic, mine, got, want)
		}
	}
}

// Birth and last will become events, whatever words and topic the owner chose.
func TestLastWillsBecomeEvents(t *testing.T) {
	d := esphome.New()
	announce(t, d, "homeassistant/sensor/a/o/config", `{"unit_of_meas":"W","stat_t":"a/sensor/o/state"}`)
	announce(t, d, "homeassistant/sensor/b/o/config", `{"unit_of_meas":"W","stat_t":"b/sensor/o/state","avty_t":"b/alive","pl_avail":"yes","pl_not_avail":"no"}`)
	for _, c := range []struct {
		topic, payload string
		want           reading.EventType
		device         string
	}{
		{"a/status", "online", reading.DeviceOnline, "a"}, {"a/status", "offline\n", reading.DeviceOffline, "a"}, {"a/status", "", "", ""},
		{"b/alive", "yes", reading.DeviceOnline, "b"}, {"b/alive", "no", reading.DeviceOffline, "b"}, {"b/status", "online", "", ""},
	} {
		got, mine := send(d, c.topic, c.payload)
		switch {
		case !mine || got.Err != nil || len(got.Events) == 1 != (c.want != ""):
			t.Errorf("%s %q: got mine %v, %+v, want %s", c.topic, c.payload, mine, got, c.want)
		case c.want != "" && (got.Events[0].Type != c.want || got.Events[0].Device != c.device || got.Events[0].Validate() != nil):
			t.Errorf("%s %q: got %+v, want %s of %s", c.topic, c.payload, got.Events, c.want, c.device)
		}
	}
	if _, mine := send(d, "c/status", "online"); mine {
		t.Error("the status of a stranger is taken")
	}
}

// A node that is taken away leaves nothing, and an object that moved keeps its
// new place when the old announcement is cleared.
func TestAnnouncementsReplaceAndRemove(t *testing.T) {
	d := esphome.New()
	config := `{"unit_of_meas":"W","stat_t":"a/sensor/o/state"}`
	announce(t, d, "homeassistant/sensor/old/o/config", config)
	announce(t, d, "homeassistant/sensor/a/o/config", config)
	announce(t, d, "homeassistant/sensor/old/o/config", "")
	if got, _ := send(d, "a/sensor/o/state", "1"); len(got.Readings) != 1 {
		t.Errorf("moved: got %+v", got)
	}
	announce(t, d, "homeassistant/sensor/a/o/config", `{"unit_of_meas":"W","stat_t":`)
	if got, _ := send(d, "a/sensor/o/state", "1"); len(got.Readings) != 1 {
		t.Errorf("after a broken announcement: got %+v", got)
	}
	announce(t, d, "homeassistant/sensor/a/o/config", "")
	for _, topic := range []string{"a/sensor/o/state", "a/status", "a/debug"} {
		if _, mine := send(d, topic, "1"); mine {
			t.Errorf("%s is still known", topic)
		}
	}
}

// A flood of announcements fills a table of fixed size and pushes nobody out;
// names that no record takes are not learned.
func TestAFloodOfAnnouncementsIsBounded(t *testing.T) {
	d := esphome.New()
	for n := range 5000 {
		announce(t, d, fmt.Sprintf("homeassistant/sensor/n/o%d/config", n), fmt.Sprintf(`{"unit_of_meas":"W","stat_t":"n/sensor/o%d/state"}`, n))
	}
	for object, want := range map[string]bool{"o0": true, "o4095": true, "o4096": false} {
		if _, mine := send(d, "n/sensor/"+object+"/state", "1"); mine != want {
			t.Errorf("%s: got mine %v, want %v", object, mine, want)
		}
	}
	d = esphome.New()
	for _, node := range []string{strings.Repeat("x", 300), "a\x00b", "\xff"} {
		announce(t, d, "homeassistant/sensor/n/o/config", `{"unit_of_meas":"W","stat_t":"`+node+`/sensor/o/state"}`)
		if _, mine := send(d, node+"/sensor/o/state", "1"); mine {
			t.Errorf("%.20q is taken for a name", node)
		}
	}
}

// Clients are read at the same time as nodes announce themselves.
func TestDecodersAreSharedByClients(t *testing.T) {
	d := esphome.New()
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			config, topic := fmt.Sprintf("homeassistant/sensor/n%d/o/config", n), fmt.Sprintf("n%d/sensor/o/state", n)
			for range 50 {
				send(d, config, fmt.Sprintf(`{"unit_of_meas":"W","stat_t":%q}`, topic))
				if got, _ := send(d, topic, "1"); len(got.Readings) != 1 || got.Readings[0].Device != fmt.Sprint("n", n) {
					t.Errorf("got %q", render(got.Readings))
				}
				send(d, config, "")
			}
		})
	}
	clients.Wait()
}
