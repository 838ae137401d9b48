package homie_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/homie"
)

const description = `{"homie":"5.0","name":"Supercar","version":7,"nodes":{"engine":{"name":"Car engine","properties":{
"temperature":{"name":"Engine temperature","unit":"°C","datatype":"float","format":"-20:120"},
"limit":{"name":"Speed limit","unit":"°C","datatype":"float","settable":true},
"load":{"datatype":"float"},
"gear":{"datatype":"enum","format":"1,2,3"},
"a/b":{"unit":"W","datatype":"float"}}}}}`

// render writes a result as a person would note it down: a question mark stands
// behind a suspect value.
func render(got dialect.Result, mine bool) string {
	switch {
	case !mine:
		return "foreign"
	case got.Err != nil:
		return "error"
	case got.Dropped > 0:
		return "dropped"
	case len(got.Events) == 1:
		return string(got.Events[0].Type) + " " + got.Events[0].Device
	}
	var b strings.Builder
	for _, r := range got.Readings {
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

func decode(d *homie.Decoder, topic, payload string) string {
	return render(d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)}))
}

// variants: what a property of node n with this name and unit reads.
var variants = []struct{ property, unit, payload, want string }{
	{"power", "W", "7.5", "power_w=7.5"},
	{"power", "kW", "-0.25", "power_w=-250"},
	{"energy", "kWh", "12.5", "energy_kwh=12.5"},
	{"energy", "Wh", "5631.61", "energy_kwh=5.63161"},
	{"energy-exported", "kWh", "1", "energy_returned_kwh=1"},
	{"energy-today", "kWh", "1", "energy_today_kwh=1"},
	{"energy-yesterday", "kWh", "1", "energy_yesterday_kwh=1"},
	{"energy-this-month", "kWh", "1", "foreign"},
	{"voltage", "V", "231", "voltage_v=231"},
	{"battery-voltage", "V", "3.1", "battery_v=3.1"},
	{"current", "mA", "500", "current_a=0.5"},
	{"frequency", "Hz", "50", "frequency_hz=50"},
	{"pressure", "Pa", "101325", "pressure_hpa=1013.25"},
	{"pressure", "psi", "1", "pressure_hpa=68.9475729316836"},
	{"temperature", "°F", "32", "temperature_c=0"},
	{"temperature", "K", "273.15", "temperature_c=0"},
	{"color", "K", "2700", "foreign"},
	{"dewpoint", "°C", "9.5", "dew_point_c=9.5"},
	{"humidity", "%", "41.5", "humidity_pct=41.5"},
	{"moisture", "%", "33", "soil_moisture_pct=33"},
	{"soil-humidity", "%", "33", "soil_moisture_pct=33"},
	{"battery", "%", "99", "battery_pct=99"},
	{"brightness", "%", "99", "foreign"},
	{"light", "lx", "812", "illuminance_lx=812"},
	{"ec", "µS/cm", "350", "conductivity_us_cm=350"},
	{"co2", "ppm", "612", "co2_ppm=612"},
	{"dust", "ppm", "612", "foreign"},
	{"gas", "m³", "12.5", "gas_m3=12.5"},
	{"water", "m³", "12.5", "water_m3=12.5"},
	{"volume", "m³", "12.5", "foreign"},
	{"wind", "m/s", "3.5", "wind_speed_m_s=3.5"},
	{"angle", "°", "3.5", "foreign"},
	{"count", "#", "3", "foreign"},
	{"humidity", "%", "100.4", "humidity_pct=100.4"},
	{"humidity", "%", "255", "dropped"},
	{"temperature", "°C", "-127", "dropped"},
	{"temperature", "°C", "-127.00", "dropped"},
	{"temperature", "°C", "-300", "dropped"},
	{"temperature", "°C", "-0.0", "temperature_c=0"},
	{"temperature", "°C", "2.15e1", "temperature_c=21.5"},
	{"temperature", "°C", "", ""},
	{"temperature", "°C", "21,5", "error"},
	{"temperature", "°C", "21.5 °C", "error"},
	{"temperature", "°C", "-Infinity", "error"},
	{"temperature", "°C", "1e400", "error"},
	{"temperature", "°C", "unknown", "error"},
	{"temperature", "°C", "true", "error"},
}

func TestUnitsSayWhatIsMeasured(t *testing.T) {
	for _, v := range variants {
		d := homie.New()
		topic := "homie/car/n/" + v.property
		decode(d, topic+"/$datatype", "float")
		decode(d, topic+"/$unit", v.unit)
		want := v.want
		if strings.Contains(want, "=") {
			want = "car/n/" + v.property + " " + want
		}
		if got := decode(d, topic, v.payload); got != want {
			t.Errorf("%s, %q of %s: got %q, want %q", v.property, v.payload, v.unit, got, want)
		}
	}
}

func TestDescriptionSaysWhatIsMeasured(t *testing.T) {
	for _, base := range []string{"homie/5/", "greenhouse/5/"} {
		d := homie.New()
		if got := decode(d, base+"super-car/$description", description); got != "" {
			t.Fatalf("%s: got %q", base, got)
		}
		for _, c := range []struct{ topic, payload, want string }{
			{"engine/temperature", "21.5", "super-car/engine/temperature temperature_c=21.5"},
			{"engine/temperature", "121", "super-car/engine/temperature temperature_c=121?"},
			{"engine/temperature/set", "30", map[bool]string{true: "", false: "foreign"}[base == "homie/5/"]},
			{"engine/temperature/$target", "30", ""},
			{"engine/limit", "30", ""},
			{"engine/load", "0.5", "foreign"},
			{"engine/load", "NaN", "error"},
			{"engine/gear", "2", ""},
			{"engine/a/b", "2", "foreign"},
			{"$log/warn", "hot: 130", ""},
			{"$alert/engine", "3", ""},
			{"$state", "init", ""},
			{"$state", "ready", "device_online super-car"},
			{"$state", "sleeping", ""},
			{"$state", "lost", "device_offline super-car"},
			{"$state", "disconnected", "device_offline super-car"},
		} {
			if got := decode(d, base+"super-car/"+c.topic, c.payload); got != c.want {
				t.Errorf("%s%s %q: got %q, want %q", base, c.topic, c.payload, got, c.want)
			}
		}
	}
}

// A new description takes the place of the old one, a broken one takes no one's.
func TestDescriptionIsReplaced(t *testing.T) {
	d := homie.New()
	const home = "homie/5/super-car"
	decode(d, home+"/$description", description)
	if got := decode(d, home+"/$description", description[:len(description)-3]); got != "error" {
		t.Errorf("a cut description: got %q", got)
	}
	if got := decode(d, home+"/engine/temperature", "20"); !strings.HasSuffix(got, "=20") {
		t.Errorf("a cut description has replaced the whole one: got %q", got)
	}
	decode(d, home+"/$description", strings.ReplaceAll(description, "°C", "°F"))
	if got := decode(d, home+"/engine/temperature", "32"); !strings.HasSuffix(got, "=0") {
		t.Errorf("a new description: got %q", got)
	}
	decode(d, home+"/$description", `{"homie":"5.0","version":8}`)
	if got := decode(d, home+"/engine/temperature", "32"); got != "foreign" {
		t.Errorf("a description without nodes: got %q", got)
	}
	decode(d, home+"/$description", description)
	decode(d, home+"/$state", "")
	if got := decode(d, home+"/engine/temperature", "32"); got != "foreign" {
		t.Errorf("a device that was taken away: got %q", got)
	}
}

// Version 4 under a base topic of one's own is known from $homie on.
func TestAnnouncedDeviceIsKnownUnderAnyBase(t *testing.T) {
	d := homie.New()
	for _, c := range []struct{ topic, payload, want string }{
		{"my/own/car/n/t/$unit", "°C", "foreign"},
		{"my/own/car/$state", "ready", "foreign"},
		{"my/own/car/$homie", "4.0.0", ""},
		{"my/own/car/$state", "init", ""},
		{"my/own/car/$name", "Car", ""},
		{"my/own/car/n/$name", "Node", ""},
		{"my/own/car/n/$properties", "t", ""},
		{"my/own/car/n/t/$unit", "°C", ""},
		{"my/own/car/n/t", "20", "car/n/t temperature_c=20"},
		{"my/own/car/$stats/battery", "20", ""},
		{"my/own/car/$fw/version", "1.0", ""},
		{"my/own/car/$state", "lost", "device_offline car"},
		{"my/own/car/n/t/$settable", "true", ""},
		{"my/own/car/n/t", "20", ""},
		{"my/own/car/$homie", "", ""},
		{"my/own/car/n/t", "20", "foreign"},
		{"$SYS/broker/uptime", "20", "foreign"},
		{"x/$unknown", "20", "foreign"},
	} {
		if got := decode(d, c.topic, c.payload); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.topic, c.payload, got, c.want)
		}
	}
}

// Attributes come in any order, and one by one.
func TestAttributesComeInAnyOrder(t *testing.T) {
	d := homie.New()
	const topic = "homie/car/n/p"
	for _, c := range []struct{ topic, payload, want string }{
		{"", "33", "foreign"},
		{"", "NaN", "error"},
		{"", "on", ""},
		{"/$unit", "%", ""},
		{"", "33", "foreign"},
		{"/$name", "Soil moisture", ""},
		{"", "33", "car/n/p soil_moisture_pct=33"},
		{"/$format", "0:30", ""},
		{"", "33", "car/n/p soil_moisture_pct=33?"},
		{"/$format", "10:", ""},
		{"", "33", "car/n/p soil_moisture_pct=33"},
		{"/$datatype", "string", ""},
		{"", "33", ""},
		{"/$datatype", "integer", ""},
		{"", "33", "car/n/p soil_moisture_pct=33"},
		{"/$unit", "", ""},
		{"", "33", "foreign"},
	} {
		if got := decode(d, topic+c.topic, c.payload); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.topic, c.payload, got, c.want)
		}
	}
}

// A flood of descriptions fills neither the memory nor pushes out what is known.
func TestTablesAreBounded(t *testing.T) {
	d := homie.New()
	decode(d, "homie/5/first/$description", description)
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `"p%d":{"unit":"W","datatype":"float"},`, i)
	}
	for i := range 40 {
		decode(d, fmt.Sprintf("homie/5/d%d/$description", i), `{"nodes":{"n":{"properties":{`+strings.TrimSuffix(many.String(), ",")+`}}}}`)
	}
	for i := range 2000 {
		decode(d, fmt.Sprintf("homie/5/empty%d/$description", i), `{}`)
	}
	decode(d, "home/late/$homie", "4.0.0")
	for topic, want := range map[string]string{
		"home/late/$state":                 "foreign",
		"homie/5/first/engine/temperature": "first/engine/temperature temperature_c=5",
		"homie/5/d0/n/p255":                "d0/n/p255 power_w=5",
		"homie/5/d0/n/p256":                "foreign",
		"homie/5/d39/n/p0":                 "foreign",
	} {
		if got := decode(d, topic, "5"); got != want {
			t.Errorf("%s: got %q, want %q", topic, got, want)
		}
	}
	long := strings.Repeat("x", 60000)
	for _, topic := range []string{"homie/" + long + "/n/p/$unit", "homie/" + long + "/$homie", "homie/" + long + "/$state", "homie/5/" + long + "/$description"} {
		if got := decode(d, topic, "ready"); got != "error" {
			t.Errorf("%.20s...%s: got %q", topic, topic[len(topic)-10:], got)
		}
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	d := homie.New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				home := fmt.Sprintf("homie/5/d%d", n%10)
				decode(d, home+"/$description", description)
				decode(d, home+"/engine/temperature", "20")
				decode(d, fmt.Sprintf("homie/v%d/n/p/$unit", n%10), []string{"W", "kW"}[i%2])
				decode(d, fmt.Sprintf("homie/v%d/n/p", n%10), "20")
			}
		})
	}
	wg.Wait()
}
