package zigbee2mqtt_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/zigbee2mqtt"
	"github.com/plantgate/plantgate/reading"
)

// dictionary has the shape of bridge/devices of version 2.
const dictionary = `[
{"ieee_address":"0x00124b0024c2d1c9","type":"Coordinator","friendly_name":"Coordinator","definition":null},
{"ieee_address":"0x1","type":"Router","friendly_name":"strip","power_source":"Mains (single phase)","definition":{"model":"TS011F","exposes":[
 {"type":"switch","endpoint":"l1","features":[{"type":"binary","name":"state","property":"state_l1","endpoint":"l1"}]},
 {"type":"numeric","name":"power","property":"power_l1","endpoint":"l1","unit":"W"},
 {"type":"numeric","name":"power","property":"power_garden","endpoint":"garden","unit":"kW"},
 {"type":"numeric","name":"voltage","property":"voltage","unit":"mV"},
 {"type":"numeric","name":"current","property":"current","unit":"mA"},
 {"type":"numeric","name":"energy","property":"energy","unit":"Wh"},
 {"type":"composite","name":"x","property":"x","features":[{"type":"numeric","name":"power","property":"humidity","unit":"W"}]}]}},
{"ieee_address":"0x2","type":"EndDevice","friendly_name":"hall/door","power_source":"Battery","definition":{"model":"MCCGQ11LM","exposes":[
 {"type":"numeric","name":"voltage","property":"voltage","unit":"mV"},{"type":"numeric","name":"illuminance","property":"illuminance"},
 {"type":"numeric","name":"pressure","property":"pressure","unit":"kPa"},{"type":"numeric","name":"distance","property":"distance","unit":"m"}]}},
{"ieee_address":"0x3","type":"EndDevice","friendly_name":"pot","power_source":"Battery","definition":{"model":"TS0601_soil","exposes":[
 {"type":"numeric","name":"humidity","property":"humidity","unit":"%"},{"type":"numeric","name":"temperature","property":"temperature","unit":"°C"},
 {"type":"numeric","name":"voltage","property":"voltage","unit":"V"},{"type":"numeric","name":"ph","property":"ph","unit":"pH"}]}},
{"ieee_address":"0x4","type":"EndDevice","friendly_name":"greenhouse","power_source":"Battery","definition":{"model":"soil 2","exposes":[
 {"type":"numeric","name":"humidity","property":"humidity","unit":"%"},{"type":"numeric","name":"soil_moisture","property":"soil_moisture","unit":"%"}]}},
{"ieee_address":"0x5","type":"EndDevice","friendly_name":"yard","power_source":"Battery","definition":{"model":"X","exposes":[
 {"type":"numeric","name":"temperature","property":"temperature","unit":"°F"}]}}]`

// Only the dictionary knows units and endpoints for certain.
func TestTheDictionaryGivesUnits(t *testing.T) {
	for _, c := range []struct{ topic, payload, want string }{
		{"strip", `{"power_l1":5,"power_garden":0.5,"voltage":231000,"current":140,"energy":1500}`,
			"strip/l1 power_w=5; strip/garden power_w=500; strip/ voltage_v=231 current_a=0.14 energy_kwh=1.5"},
		{"strip", `{"humidity":40}`, "strip/ humidity_pct=40"},
		{"strip/power_garden", `0.5`, "strip/garden power_w=500"},
		{"hall/door", `{"voltage":2995,"illuminance":23521,"pressure":101.3,"distance":2}`, "hall/door/ battery_v=2.995 pressure_hpa=1013"},
		{"hall/door/voltage", `2995`, "hall/door/ battery_v=2.995"},
		{"pot", `{"humidity":41,"temperature":0,"voltage":2.9,"ph":6.5}`, "pot/ soil_moisture_pct=41 temperature_c=0? battery_v=2.9 ph=6.5"},
		{"pot", `{"temperature":50,"temperature_unit":"fahrenheit"}`, "pot/ temperature_c=50?"},
		{"yard", `{"temperature":50,"temperature_unit":"fahrenheit"}`, "yard/ temperature_c=10"},
		{"pot/humidity", `41`, "pot/ soil_moisture_pct=41"},
		{"greenhouse/humidity", `41`, "greenhouse/ humidity_pct=41"},
		{"greenhouse", `{"humidity":41}`, "greenhouse/ humidity_pct=41"},
	} {
		d := zigbee2mqtt.New()
		decode(t, d, "zigbee2mqtt/bridge/devices", dictionary)
		got := decode(t, d, "zigbee2mqtt/"+c.topic, c.payload)
		if text := render(got.Readings); got.Err != nil || text != c.want {
			t.Errorf("%s %s: got %q, %v, want %q", c.topic, c.payload, text, got.Err, c.want)
		}
	}
}

// A listed device that sends no object has sent something broken, whatever its
// name looks like.
func TestListedNamesAreNoAttributes(t *testing.T) {
	d := zigbee2mqtt.New()
	decode(t, d, "zigbee2mqtt/bridge/devices", dictionary)
	if got := decode(t, d, "zigbee2mqtt/hall/door", "12"); got.Err == nil {
		t.Errorf("got %+v, want an error", got)
	}
}

// The base is free text. One that has sent a dictionary is known by it, and what
// else lies below it stays with other dialects.
func TestBasesAreLearned(t *testing.T) {
	d := zigbee2mqtt.New()
	decode(t, d, "home/zb/bridge/devices", dictionary)
	if got := render(decode(t, d, "home/zb/strip", `{"power_l1":5}`).Readings); got != "strip/l1 power_w=5" {
		t.Errorf("got %q", got)
	}
	decode(t, d, "home/zb/bridge/state", `{"state":"online"}`)
	decode(t, d, "home/zb/strip/set", `{"power_l1":5}`)
	decode(t, d, "home/zb/hall/door/availability", `{"state":"online"}`)
	for _, topic := range []string{"home/zb/other", "home/zb/other/set", "home/other", "home/zb/other/availability", "home/zb/strip2", "zb/strip"} {
		if got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(`{"power":5}`)}); mine {
			t.Errorf("%s is taken: %+v", topic, got)
		}
	}
	decode(t, d, "zigbee2mqtt/two/bridge/info", `{"version":"2.13.0","coordinator":{},"config":{}}`)
	if got := render(decode(t, d, "zigbee2mqtt/two/strip", `{"power":5}`).Readings); got != "strip/ power_w=5" {
		t.Errorf("a base below the default one: got %q", got)
	}
}

func info(output string) string {
	return `{"version":"2.13.0","coordinator":{"type":"EmberZNet"},"config":{"advanced":{"output":"` + output + `"}}}`
}

// attribute_and_json publishes everything twice; twice the energy is not used.
func TestTheSameValueIsReadOnce(t *testing.T) {
	object, plain := `{"power":5}`, "5"
	read := func(d *zigbee2mqtt.Decoder, topic, payload string) int {
		return len(decode(t, d, topic, payload).Readings)
	}
	for _, c := range []struct {
		output        string
		object, plain int
	}{{"json", 1, 0}, {"attribute", 1, 1}, {"attribute_and_json", 1, 0}} {
		d := zigbee2mqtt.New()
		decode(t, d, "zigbee2mqtt/bridge/info", info(c.output))
		if a, b := read(d, "zigbee2mqtt/z1/power", plain), read(d, "zigbee2mqtt/z1", object); a != c.plain || b != c.object {
			t.Errorf("%s: got %d plain and %d objects", c.output, a, b)
		}
	}
	d := zigbee2mqtt.New()
	if read(d, "zigbee2mqtt/z1", object) != 1 || read(d, "zigbee2mqtt/z1/power", plain) != 0 || read(d, "zigbee2mqtt/z2/power", plain) != 1 {
		t.Error("without bridge/info: an object does not stand for the plain values of its device alone")
	}
	decode(t, d, "zigbee2mqtt/bridge/info", info("attribute"))
	if read(d, "zigbee2mqtt/z1/power", plain) != 1 {
		t.Error("after a change to attribute: plain values are not read")
	}
}

// After a restart the bridge publishes its whole cache, hours old, as if the
// devices had just spoken.
func TestTheCacheOfAStartIsMarked(t *testing.T) {
	d := zigbee2mqtt.New()
	cached := func(topic, payload string, want bool) {
		t.Helper()
		if got := decode(t, d, "zigbee2mqtt/"+topic, payload); len(got.Readings) != 1 || got.Cached != want {
			t.Errorf("%s: got %+v, want cached %v", payload, got, want)
		}
	}
	cached("plug", `{"power":5}`, false)
	decode(t, d, "zigbee2mqtt/bridge/state", `{"state":"online"}`)
	decode(t, d, "zigbee2mqtt/bridge/info", info("json"))
	cached("plug", `{"power":5}`, false) // what the broker has kept is no start

	decode(t, d, "zigbee2mqtt/bridge/state", `{"state":"offline"}`)
	decode(t, d, "zigbee2mqtt/bridge/state", `{"state":"online"}`)
	cached("plug", `{"power":5}`, false) // a reconnect
	decode(t, d, "zigbee2mqtt/bridge/info", info("json"))
	cached("plug", `{"power":5}`, false)

	decode(t, d, "zigbee2mqtt/bridge/state", `{"state":"offline"}`)
	decode(t, d, "zigbee2mqtt/bridge/state", `{"state":"online"}`)
	decode(t, d, "zigbee2mqtt/bridge/info", info("json"))
	cached("plug", `{"power":5}`, true)
	cached("plug", `{"power":6}`, false)
	cached("new", `{"power":6}`, true)
	decode(t, d, "zigbee2mqtt/bridge/logging", `{"level":"info","message":"z2m: Zigbee2MQTT started!"}`)
	cached("late", `{"power":6}`, false)
}

// last_seen tells a repeated value from a fresh one at any time.
func TestAnOldLastSeenIsMarked(t *testing.T) {
	d := zigbee2mqtt.New()
	for i, c := range []struct {
		seen string
		want bool
	}{
		{`"2024-03-13T13:06:51.665Z"`, false},
		{`"2024-03-13T13:06:51.665Z"`, true},
		{`"2024-03-13T13:06:51.666Z"`, false},
		{`1710335211666`, true},
		{`1710335211667`, false},
		{`"2024-03-13T14:06:52+01:00"`, false}, // whole seconds: two messages may share one
		{`"2024-03-13T14:06:52+01:00"`, false},
		{`null`, false},
		{`"2024-03-13T13:06:52.500Z"`, false},
	} {
		got := decode(t, d, "zigbee2mqtt/x", `{"power":5,"last_seen":`+c.seen+`}`)
		if len(got.Readings) != 1 || got.Cached != c.want {
			t.Errorf("%d: %s: got %+v, want cached %v", i, c.seen, got, c.want)
		}
	}
	decode(t, d, "zigbee2mqtt/bridge/state", "offline")
	decode(t, d, "zigbee2mqtt/bridge/state", "online")
	decode(t, d, "zigbee2mqtt/bridge/info", info("json"))
	if got := decode(t, d, "zigbee2mqtt/x", `{"power":5,"last_seen":"2024-03-13T14:07:52+01:00"}`); got.Cached {
		t.Error("a device that was heard during a start is taken for cached")
	}
}

// Names, bases and dictionaries without end fill tables of fixed size, and
// messages are read all the same.
func TestFloodsAreBounded(t *testing.T) {
	d := zigbee2mqtt.New()
	var list strings.Builder
	list.WriteString(`[{"ieee_address":"0x0","friendly_name":"first","definition":{"exposes":[{"type":"numeric","name":"power","property":"power","unit":"kW"}]}}`)
	for i := range 1100 {
		fmt.Fprintf(&list, `,{"ieee_address":"0x%d","friendly_name":"d%d"}`, i, i)
	}
	decode(t, d, "zigbee2mqtt/bridge/devices", list.String()+"]")
	for i := range 1100 {
		decode(t, d, fmt.Sprintf("zigbee2mqtt/d%d", i), `{"power":1}`)
		decode(t, d, fmt.Sprintf("zigbee2mqtt%d/x", i), `{"power":1}`)
	}
	if got := render(decode(t, d, "zigbee2mqtt/first", `{"power":1}`).Readings); got != "first/ power_w=1000" {
		t.Errorf("got %q", got)
	}
	if got := render(decode(t, d, "zigbee2mqtt1099/x", `{"power":1}`).Readings); got != "x/ power_w=1" {
		t.Errorf("got %q", got)
	}
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`{"type":"numeric","name":"power","property":"p%d","endpoint":"e%d"}`, i, i)
	}
	decode(t, d, "zigbee2mqtt/bridge/devices", `[{"ieee_address":"0x0","friendly_name":"wide","definition":{"exposes":[`+strings.Join(many, ",")+`]}}]`)
	if got := decode(t, d, "zigbee2mqtt/wide", `{"p1":1,"p299":1}`); render(got.Readings) != "wide/e1 power_w=1" {
		t.Errorf("got %q", render(got.Readings))
	}
}

// Several bridges, and whoever else publishes, are read at the same time.
func TestDecodersAreSharedByClients(t *testing.T) {
	d := zigbee2mqtt.New()
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			base := fmt.Sprintf("home/zb%d", n)
			for i := range 50 {
				for _, m := range []dialect.Message{
					{Topic: base + "/bridge/devices", Payload: []byte(dictionary)},
					{Topic: base + "/bridge/state", Payload: []byte(`{"state":"online"}`)},
					{Topic: base + "/bridge/info", Payload: []byte(info("json"))},
				} {
					d.Decode(m)
				}
				got, _ := d.Decode(dialect.Message{Topic: base + "/strip", Payload: fmt.Appendf(nil, `{"power_l1":%d}`, i)})
				if len(got.Readings) != 1 || got.Readings[0].Values[0] != (reading.Value{Metric: reading.Power, Number: float64(i)}) {
					t.Errorf("got %q", render(got.Readings))
				}
			}
		})
	}
	clients.Wait()
}
