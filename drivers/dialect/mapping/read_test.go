package mapping_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
	"github.com/plantgate/plantgate/reading"
)

// all are the examples of how mappings are written, and more.
const all = `version: 1
name: wh51
match: "rtl_433/{gw}/events"
when: 'model == "Fineoffset-WH51"'
format: json
device: "{model}/{id}"
time: {path: time, layout: "2006-01-02 15:04:05", zone: local, use: hint}
read:
  - {path: moisture, quantity: soil_moisture, unit: "%", min: 0, max: 100}
  - {path: ad_raw, quantity: soil_moisture_raw}
  - {path: battery_mV, quantity: battery_voltage, unit: mV}
ignore_retained: false
dedupe: 5s
test:
  - topic: rtl_433/pi/events
    payload: '{"time":"2022-07-17 14:38:20","model":"Fineoffset-WH51","id":"0ce5b7","battery_mV":1600,"moisture":38,"ad_raw":207}'
    expect: [{device: Fineoffset-WH51/0ce5b7, quantity: soil_moisture, value: 38}]
---
name: shelly1-energy
match: "shellies/{id...}/relay/{n}/energy"
format: number
device: "{id}"
read: [{path: "@this", channel: "relay:{n}", quantity: energy, unit: Wmin, kind: counter, reset: reboot}]
---
name: growatt
match: "energy/growatt"
format: json
device: "$.device"
read:
  - {path: values.pvpowerout, quantity: power, scale: 0.1}
  - {path: values.eactotal, quantity: energy, scale: 0.1}
  - {expr: 'values.pv1watt / 10', channel: pv1, quantity: power}
---
name: domoticz-kwh
match: "domoticz/in"
format: json
when: 'idx in [102, 103]'
device: "{idx}"
read:
  - {expr: 'float(split(svalue, ";")[0])', quantity: power, unit: W}
  - {expr: 'float(split(svalue, ";")[1])', quantity: energy, unit: Wh}
---
name: garden-probe
match: "tele/garden/SENSOR"
format: json
extends: tasmota
read: [{path: ANALOG.A0, channel: ANALOG, quantity: soil_moisture, calibrate: {dry: 812, wet: 402, clamp: true}}]
`

func ask(d corpus.Decoder, topic, payload string) string {
	result, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	return brief(result, mine)
}

// brief writes a result in a line.
func brief(result dialect.Result, mine bool) string {
	switch {
	case !mine:
		return "not mine"
	case result.Err != nil:
		return "error"
	}
	var parts []string
	for _, r := range result.Readings {
		if err := r.Validate(); err != nil {
			return err.Error()
		}
		for _, v := range r.Values {
			mark := ""
			if v.Suspect {
				mark = "?"
			}
			parts = append(parts, fmt.Sprintf("%s/%s %s=%v%s", r.Device, r.Channel, v.Metric, v.Number, mark))
		}
	}
	if result.Dropped > 0 {
		parts = append(parts, fmt.Sprintf("dropped %d", result.Dropped))
	}
	return strings.Join(parts, ", ")
}

func TestTheExamplesRead(t *testing.T) {
	d := only(t, all)
	for _, c := range []struct{ topic, payload, want string }{
		{"rtl_433/pi/events", `{"model":"Fineoffset-WH51","id":"0ce5b7","battery_mV":1600,"moisture":38,"ad_raw":207}`,
			"Fineoffset-WH51/0ce5b7/ soil_moisture_pct=38, Fineoffset-WH51/0ce5b7/ soil_moisture_raw=207, Fineoffset-WH51/0ce5b7/ battery_v=1.6"},
		{"rtl_433/pi/events", `{"model":"Fineoffset-WH51","id":"a","moisture":101}`, "dropped 1"},
		{"rtl_433/pi/events", `{"model":"Other","id":"a","moisture":38}`, "not mine"},
		{"rtl_433/pi/events", `{"moisture":38}`, "not mine"},
		{"rtl_433/pi/events", `{"model":"Fineoffset-WH51","id":"a","moisture":38`, "error"},
		{"shellies/shelly1-AB/relay/0/energy", "120", "shelly1-AB/relay:0 energy_kwh=0.002"},
		{"shellies/shelly1-AB/relay/0/energy", "on", "error"},
		{"shellies/shelly1-AB/relay/0/energy", "nan", ""},
		{"energy/growatt", `{"device":"ABC","values":{"pvpowerout":3962,"eactotal":14947,"pv1watt":4092}}`, "ABC/ power_w=396.2, ABC/ energy_kwh=1494.7, ABC/pv1 power_w=409.2"},
		{"energy/growatt", `{"device":"ABC","values":{"pvpowerout":3962}}`, "ABC/ power_w=396.2"},
		{"energy/growatt", `{"values":{"pvpowerout":3962}}`, "not mine"},
		{"domoticz/in", `{"idx":102,"svalue":"45;15318.6"}`, "102/ power_w=45, 102/ energy_kwh=15.3186"},
		{"domoticz/in", `{"idx":102,"svalue":"45"}`, "102/ power_w=45"},
		{"domoticz/in", `{"idx":102,"svalue":"0x2d;nan"}`, ""},
		{"domoticz/in", `{"idx":104,"svalue":"45;15318.6"}`, "not mine"},
		{"tele/garden/SENSOR", `{"ANALOG":{"A0":607}}`, "not mine"}, // alone it has nothing to add to
	} {
		if got := ask(d, c.topic, c.payload); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.topic, c.payload, got, c.want)
		}
	}
}

var keysOfAValue = []struct{ item, payload, want string }{
	{"path: p, quantity: power", `{"p":1.5}`, "d/ power_w=1.5"},
	{"path: $.p, quantity: power", `{"p":1.5}`, "d/ power_w=1.5"},
	{"path: p, quantity: power", `{"p":"1.5"}`, ""},
	{"path: p, quantity: power", `{"p":true}`, ""},
	{"path: p, quantity: power", `{"p":null}`, ""},
	{"path: p, quantity: power", `{"p":1,"p":2}`, "d/ power_w=1"},
	{"path: p, quantity: power", `{"p":1e400}`, "dropped 1"},
	{"path: p, quantity: power", `{"p":-0.0}`, "d/ power_w=0"},
	{"path: p, quantity: power", `{"p":NaN}`, "error"},
	{"path: p, quantity: power", `{"p":1}}`, "error"},
	{"path: 'a\\.b.p', quantity: power", `{"a.b":{"p":1}}`, "d/ power_w=1"},
	{"path: a.1.p, quantity: power", `{"a":[{"p":1},{"p":2}]}`, "d/ power_w=2"},
	{"path: 'switch:0.p', quantity: power", `{"switch:0":{"p":1}}`, "d/ power_w=1"},
	{"path: 'a.#(id==7).p', quantity: power", `{"a":[{"id":7,"p":3}]}`, "d/ power_w=3"},
	{"path: 'p{n}x', channel: 'p{n}', quantity: power", `{"p1x":1,"px":9,"pax":9,"p22x":2,"p3y":9}`, "d/p1 power_w=1, d/p22 power_w=2"},
	{"path: 'o.p{n}', channel: '{n}', quantity: power", `{"p1":9,"o":{"p1":1,"p2":null}}`, "d/1 power_w=1"},
	{"path: p, quantity: power, string: true", `{"p":" 1.5 "}`, "d/ power_w=1.5"},
	{"path: p, quantity: power, string: true", `{"p":"1,5"}`, ""},
	{"path: p, quantity: power, string: true", `{"p":"nan"}`, ""},
	{"path: p, quantity: power, string: true", `{"p":"0x1F"}`, ""},
	{"path: p, quantity: power, decimal: ','", `{"p":"1,5"}`, "d/ power_w=1.5"},
	{"path: p, quantity: power, decimal: ','", `{"p":"1.000,5"}`, ""},
	{"path: p, quantity: power, strip_unit: true", `{"p":"1.2 kW"}`, "d/ power_w=1200"},
	{"path: p, quantity: power, strip_unit: true", `{"p":"800W"}`, "d/ power_w=800"},
	{"path: p, quantity: power, strip_unit: true", `{"p":"800"}`, "d/ power_w=800"},
	{"path: p, quantity: power, strip_unit: true", `{"p":"800 kWh"}`, ""},
	{"path: p, quantity: power, strip_unit: true", `{"p":"12 34"}`, ""},
	{"path: p, quantity: power, strip_unit: true", `{"p":"1.2e+03W"}`, "d/ power_w=1200"},
	{"path: p, quantity: power, strip_unit: true", `{"p":"W"}`, ""},
	{"path: p, quantity: temperature, strip_unit: true", `{"p":"68°F"}`, "d/ temperature_c=20"},
	{"path: p, quantity: x_own, strip_unit: true", `{"p":"7 parsec"}`, "d/ x_own=7"},
	{"path: p, quantity: temperature, unit: F", `{"p":68}`, "d/ temperature_c=20"},
	{"path: p, quantity: power, scale: 0.1, offset: 2", `{"p":15}`, "d/ power_w=3.5"},
	{"path: p, quantity: power, invert: true", `{"p":15}`, "d/ power_w=-15"},
	{"path: p, quantity: power, invert: true", `{"p":0}`, "d/ power_w=0"},
	{"path: p, quantity: power, min: 0, max: 10", `{"p":15}`, "dropped 1"},
	{"path: p, quantity: temperature, drop: [999, -127]", `{"p":-127}`, "dropped 1"},
	{"path: p, quantity: temperature, suspect: [85]", `{"p":85}`, "d/ temperature_c=85?"},
	{"expr: 'p * 2', quantity: power", `{"p":2}`, "d/ power_w=4"},
	{"expr: 'p * 2', quantity: power", `{}`, ""},
	{"expr: '(p ?? 0) + 1', quantity: power", `{}`, "d/ power_w=1"},
	{"expr: 'p / 0', quantity: power", `{"p":1}`, "dropped 1"},
	{"expr: 'p > 1', quantity: power", `{"p":2}`, ""},
	{"expr: 'int(p) % 2', quantity: power", `{"p":7.9}`, "d/ power_w=1"},
	{"expr: 'int(p)', quantity: power", `{"p":1e12}`, ""},
	{"expr: '[1..100000][0]', quantity: power", `{}`, ""},
	{"path: p, channel: '{c}', quantity: power", `{"p":1,"c":3}`, "d/3 power_w=1"},
	{"path: p, channel: '{c}', quantity: power", `{"p":1}`, "error"},
	{"path: p, channel: '{c?}', quantity: power", `{"p":1}`, "d/ power_w=1"},
	{"path: p, channel: '=lower(c)', quantity: power", `{"p":1,"c":"UP"}`, "d/up power_w=1"},
	{"path: p, channel: '{topic}', quantity: power", `{"p":1}`, "d/t/d power_w=1"},
	{"path: p, channel: '{c}', quantity: power", `{"p":1,"c":"` + strings.Repeat("x", 300) + `"}`, "error"},
	{"path: p, quantity: soil_moisture, calibrate: {dry: 800, wet: 400}", `{"p":600}`, "d/ soil_moisture_raw=600, d/ soil_moisture_pct=50"},
	{"path: p, quantity: soil_moisture, calibrate: {dry: 800, wet: 400}", `{"p":850}`, "d/ soil_moisture_raw=850, d/ soil_moisture_pct=0"},
	{"path: p, quantity: soil_moisture, calibrate: {dry: 800, wet: 400}", `{"p":0}`, "d/ soil_moisture_raw=0, d/ soil_moisture_pct=100?"},
	{"path: p, quantity: soil_moisture, calibrate: {dry: 800, wet: 400, clamp: false}", `{"p":850}`, "d/ soil_moisture_raw=850, d/ soil_moisture_pct=-12.5"},
	{"path: p, quantity: soil_moisture, min: 0, calibrate: {dry: 800, wet: 400, clamp: false}", `{"p":850}`, "d/ soil_moisture_raw=850, dropped 1"},
	{"path: p, quantity: soil_moisture, unit: mV, calibrate: {dry: 2.8, wet: 1.4}", `{"p":2100}`, "d/ soil_voltage_v=2.1, d/ soil_moisture_pct=50"},
	{"path: p, quantity: soil_moisture, calibrate: {points: [{raw: 100, moisture: 0}, {raw: 200, moisture: 80}, {raw: 300, moisture: 100}]}", `{"p":250}`, "d/ soil_moisture_raw=250, d/ soil_moisture_pct=90"},
}

// Each key of an element of read does what the page says.
func TestKeysOfAValue(t *testing.T) {
	for _, c := range keysOfAValue {
		d := only(t, "name: a\nmatch: t/{device}\ndevice: \"{device}\"\nread:\n  - {"+c.item+"}\n")
		if got := ask(d, "t/d", c.payload); got != c.want {
			t.Errorf("{%s} of %s: got %s, want %s", c.item, c.payload, got, c.want)
		}
	}
}

// A payload need not be JSON.
func TestFormats(t *testing.T) {
	for _, c := range []struct{ format, item, payload, want string }{
		{"number", "quantity: power", " 1.5\n", "d/ power_w=1.5"},
		{"number", "quantity: power", "\ufeff1.5", "d/ power_w=1.5"},
		{"number", "quantity: power", "0012.5", "d/ power_w=12.5"},
		{"number", "quantity: power", "inf", "error"},
		{"number", "quantity: power", "ON", "error"},
		{"number", "quantity: power", "", ""},
		{"number", "quantity: power", "unavailable", ""},
		{"number", "quantity: power", "12 W", "error"},
		{"number", "quantity: power", "\xff", "error"},
		{"number", "quantity: power, strip_unit: true", "12 W", "d/ power_w=12"},
		{"number", "expr: 'value / 2', quantity: power", "12", "d/ power_w=6"},
		{"text", "quantity: temperature, strip_unit: true", "21.5 °C", "d/ temperature_c=21.5"},
		{"text", "quantity: temperature", "warm", "error"},
		{"text", `expr: 'float(split(value, "|")[1])', quantity: power`, "a|7", "d/ power_w=7"},
		{"kv", "path: t, quantity: temperature", "t=21.5 h=40", "d/ temperature_c=21.5"},
		{"kv", "path: h, quantity: humidity", "t:21.5;h:40", "d/ humidity_pct=40"},
		{"kv", "path: t, quantity: temperature", "t=1,t=2", "d/ temperature_c=1"},
		{"kv", "path: t, quantity: temperature", "h=1", ""},
		{"kv", "path: t, quantity: temperature", "garbage", "error"},
		{"kv", "path: t, quantity: temperature", "", "error"},
		{"kv", "path: t, quantity: temperature", strings.Repeat("a=1 ", 300), "error"},
		{"json", "path: p, quantity: power", `[1]`, "error"},
		{"json", "path: p, quantity: power", ``, "error"},
	} {
		d := only(t, "name: a\nmatch: t/{device}\nformat: "+c.format+"\ndevice: \"{device}\"\nread:\n  - {"+c.item+"}\n")
		if got := ask(d, "t/d", c.payload); got != c.want {
			t.Errorf("%s {%s} of %q: got %s, want %s", c.format, c.item, c.payload, got, c.want)
		}
	}
}

func TestOtherKeysOfAMapping(t *testing.T) {
	d := only(t, small+`ignore_retained: true
source: plants
cached: 'old == true'
---
name: silent
match: silent/#
device: none
read: []
---
name: later
match: "garden/{d}/{leaf}"
format: number
device: "{d}"
read: [{for: {leaf: power}, quantity: power}]
---
name: last
match: "garden/#"
format: text
device: rest
read: [{expr: '1', quantity: x_seen}]
`)
	for _, c := range []struct {
		m    dialect.Message
		want string
	}{
		{dialect.Message{Topic: "garden/a", Payload: []byte(`{"p":1}`)}, "a/ power_w=1"},
		{dialect.Message{Topic: "garden/a", Payload: []byte(`{"p":1}`), Retained: true}, ""},
		{dialect.Message{Topic: "garden/a", Payload: []byte(`{"p":1}` + strings.Repeat(" ", 1<<16))}, "error"},
		{dialect.Message{Topic: "garden/a/power", Payload: []byte(`7`)}, "a/ power_w=7"},
		{dialect.Message{Topic: "garden/a/state", Payload: []byte(`on`)}, "rest/ x_seen=1"},
		{dialect.Message{Topic: "silent/a", Payload: []byte(`{}`)}, ""},
		{dialect.Message{Topic: "other/a", Payload: []byte(`{"p":1}`)}, "not mine"},
		{dialect.Message{Topic: "garden/\xff", Payload: []byte(`{"p":1}`)}, "error"},
		{dialect.Message{Topic: "garden/", Payload: []byte(`{"p":1}`)}, "error"},
	} {
		if got := brief(d.Decode(c.m)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.m.Topic, got, c.want)
		}
	}
	got, _ := d.Decode(dialect.Message{Topic: "garden/a", Payload: []byte(`{"p":1,"old":true}`)})
	if !got.Cached || got.Readings[0].Source != "plants" {
		t.Errorf("got %+v, want a cached reading of plants", got)
	}
	if k := d.Kinds()[0]; k != (mapping.Kind{Mapping: "small", Quantity: "power", Kind: "gauge", Reset: "none"}) {
		t.Errorf("got %+v", k)
	}
	if got := ask(only(t, strings.Replace(small, "garden/{device}", "{device...}", 1)), "$SYS/broker/uptime", `{"p":1}`); got != "not mine" {
		t.Errorf("a broker's own topic: got %s", got)
	}
}

// Sockets publish at the same time; the decoder is one.
func TestManyMayDecodeAtOnce(t *testing.T) {
	d := only(t, all)
	presets := mapping.Presets()
	messages := corpus.Load(t, vectors)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				m := messages[i%len(messages)].Message()
				d.Decode(m)
				presets.DecodeAt(m, time.Duration(i)*time.Second)
				ask(d, "domoticz/in", `{"idx":102,"svalue":"45;15318.6"}`)
			}
		})
	}
	wg.Wait()
}

// More values than there is room for beforehand are read like the first ones.
func TestManyValuesAndChannels(t *testing.T) {
	var items, members strings.Builder
	for i := range 40 {
		fmt.Fprintf(&items, "  - {path: o.p%d, channel: c%d, quantity: x_%d}\n", i, i%8, i)
		fmt.Fprintf(&members, `,"p%d":%d`, 39-i, 39-i)
	}
	d := only(t, "name: a\nmatch: t/{device}\ndevice: \"{device}\"\nread:\n"+items.String())
	got, _ := d.Decode(dialect.Message{Topic: "t/d", Payload: []byte(`{"o":{` + members.String()[1:] + "}}")})
	if len(got.Readings) != 8 {
		t.Fatalf("got %d readings, want 8", len(got.Readings))
	}
	for c, r := range got.Readings {
		for n, v := range r.Values {
			if want := n*8 + c; len(r.Values) != 5 || r.Channel != fmt.Sprintf("c%d", c) || v.Number != float64(want) || v.Metric != reading.Metric(fmt.Sprintf("x_%d", want)) {
				t.Errorf("channel %s: got %+v, want %d", r.Channel, v, want)
			}
		}
	}
}

// A message that fills the memory with values gives none.
func TestMessagesAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, `,"p%d":1`, i)
	}
	d := only(t, "name: a\nmatch: t/{device}\ndevice: \"{device}\"\nread: [{path: 'p{n}', channel: '{n}', quantity: power}]\n")
	if got := ask(d, "t/d", "{"+b.String()[1:]+"}"); got != "error" {
		t.Errorf("got %.80s, want an error", got)
	}
}

// A cut or altered payload never becomes a number, by whatever rule it is read.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	f.Add("domoticz/in", []byte(`{"idx":102,"svalue":"45;15318.6"}`), false)
	f.Add("tele/garden/SENSOR", []byte(`{"ANALOG":{"A0":607}}`), false)
	f.Add("kv/a", []byte(`p=1 q=2`), true)
	f.Add("text/a", []byte(`1,5 kW`), false)
	user := only(f, all+`---
name: kv
match: "kv/{d}"
format: kv
device: "{d}"
read: [{path: p, channel: "{q?}", quantity: power}]
---
name: text
match: "text/{d}"
format: text
device: "{d}"
read: [{quantity: power, strip_unit: true, decimal: ","}]
`)
	presets := mapping.Presets()
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		m := dialect.Message{Topic: topic, Payload: payload, Retained: retained}
		for _, d := range []corpus.Decoder{user, presets, user.Extending(native{dialect.Result{Readings: []reading.Reading{
			{Device: "garden", Source: "tasmota", Values: []reading.Value{{Metric: reading.ADCRaw, Number: 1}}}}}})} {
			corpus.Check(t, d, m)
			if a, b := brief(d.Decode(m)), brief(d.Decode(m)); a != b {
				t.Errorf("got %s, then %s", a, b)
			}
		}
		user.Explain(m)
	})
}
