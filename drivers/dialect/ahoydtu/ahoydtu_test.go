package ahoydtu_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/ahoydtu"
)

// render writes a result as a person would note it down: a question mark stands
// behind a suspect value.
func render(got dialect.Result, mine bool) string {
	switch {
	case !mine:
		return "foreign"
	case got.Err != nil:
		return "error"
	case len(got.Events) == 1:
		return string(got.Events[0].Type) + " " + got.Events[0].Device
	}
	var b strings.Builder
	for i, r := range got.Readings {
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
	if got.Cached {
		b.WriteString(" cached")
	}
	return b.String()
}

func decode(d *ahoydtu.Decoder, topic, payload string) string {
	return render(d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)}))
}

var variants = []struct{ name, topic, payload, want string }{
	{"another base topic", "home/roof/Garage/ch0/P_AC", "71.2", "Garage/ch0 power_w=71.2"},
	{"a name with blanks", "inverter/HM 1500 Süd/ch0/P_AC", "71.2", "HM 1500 Süd/ch0 power_w=71.2"},
	{"the sum of the inputs", "inverter/HM1500/ch0/P_DC", "74.6", "HM1500/ch0 power_dc_w=74.6"},
	{"an input", "inverter/HM1500/ch4/I_DC", "0.64", "HM1500/ch4 current_a=0.64"},
	{"the inside", "inverter/HM1500/ch0/Temp", "19.8", "HM1500/ch0 device_temperature_c=19.8"},
	{"a long lived counter", "inverter/HM1500/ch0/YieldTotal", "1.23457e+06", "HM1500/ch0 energy_kwh=1234570"},
	{"small numbers", "inverter/HM1500/ch0/I_AC", "1e-05", "HM1500/ch0 current_a=0.00001"},
	{"a power factor in percent", "inverter/HM1500/ch0/PF_AC", "95.8", "HM1500/ch0 power_factor=0.958"},
	{"a power factor", "inverter/HM1500/ch0/PF_AC", "1.001", "HM1500/ch0 power_factor=1.001"},
	{"three phases", "inverter/HMT/ch0/U_AC_2N", "230.1", "HMT/ch0.L2 voltage_v=230.1"},
	{"the first spelling of three phases", "inverter/HMT/ch0/UAC_31", "399", "HMT/ch0.L3-L1 voltage_v=399"},
	{"one current of three", "inverter/HMT/ch0/IAC_1", "1.5", "HMT/ch0.L1 current_a=1.5"},
	{"zero of an input's lifetime", "inverter/HM1500/ch1/YieldTotal", "0", "HM1500/ch1 energy_kwh=0?"},
	{"midnight", "inverter/HM1500/ch0/YieldDay", "0", "HM1500/ch0 energy_today_kwh=0"},
	{"power of all", "inverter/total/P_AC", "612.3", "inverter/total power_w=612.3"},
	{"inputs of all", "inverter/total/P_DC", "640", "inverter/total power_dc_w=640"},
	{"the day of all", "roof/total/YieldDay", "1.5e+03", "roof/total energy_today_kwh=1.5"},
	{"lifetime of all, none heard yet", "inverter/total/YieldTotal", "0", "inverter/total energy_kwh=0?"},
	{"all as an object", "inverter/total", `{"P_AC":71,"YieldTotal":465.294,"YieldDay":51,"P_DC":74.6}`,
		"inverter/total power_w=71 energy_kwh=465.294 energy_today_kwh=0.051 power_dc_w=74.6"},
	{"an input as an object", "inverter/HM1500/ch2", `{"U_DC":38.9,"I_DC":0.64,"P_DC":25,"YieldDay":17,"YieldTotal":0,"Irradiation":5.65}`,
		"HM1500/ch2 voltage_v=38.9 current_a=0.64 power_w=25 energy_today_kwh=0.017 energy_kwh=0? irradiation_pct=5.65"},
	{"three phases as an object", "inverter/HMT/ch0", `{"U_AC_1N":230,"I_AC_1":1,"U_AC_2N":231,"P_AC":500}`,
		"HMT/ch0.L1 voltage_v=230 current_a=1; HMT/ch0.L2 voltage_v=231; HMT/ch0 power_w=500"},
	{"an object under another base topic", "roof/x/ch0", `{"U_AC":230,"Temp":20}`, "x/ch0 voltage_v=230 device_temperature_c=20"},
	{"somebody else's object", "roof/x/ch0", `{"Temp":20}`, "foreign"},
	{"somebody else's text", "roof/x/ch0", `on`, "foreign"},
	{"somebody else's total", "shop/total", `12.5`, "foreign"},
	{"somebody else's channel", "boiler/a/ch1/Temp", "54.1", "foreign"},
	{"one key twice", "inverter/x/ch0", `{"U_AC":230,"U_AC":231}`, "x/ch0 voltage_v=230"},
	{"null and text in an object", "inverter/x/ch0", `{"U_AC":null,"I_AC":"1","P_AC":true,"F_AC":50}`, "x/ch0 frequency_hz=50"},
	{"no record holds infinity", "inverter/x/ch0", `{"U_AC":1e400,"F_AC":50}`, "x/ch0 frequency_hz=50"},
	{"a limit", "inverter/HM1500/ch0/active_PowerLimit", "100", ""},
	{"the highest of the day", "inverter/HM1500/ch0/MaxPower", "812", ""},
	{"radio", "inverter/HM1500/ch0/rssi", "-60", ""},
	{"alarm", "inverter/HM1500/alarm/0", `{"code":1}`, ""},
	{"hardware", "inverter/HM1500/hardware", `{"part":1}`, ""},
	{"heap", "inverter/free_heap", "17784", ""},
	{"a command", "inverter/ctrl/limit/0", "70", ""},
	{"another command", "inverter/setup/set_time", "1693566000", ""},
	{"the box is born", "inverter/mqtt", "connected", "device_online inverter"},
	{"the box dies", "inverter/mqtt", "not connected", "device_offline inverter"},
	{"an inverter wakes", "inverter/HM1500/available", "1", "device_online HM1500"},
	{"an inverter sleeps", "inverter/HM1500/available", "0", "device_offline HM1500"},
	{"removed from the broker", "inverter/HM1500/ch0/YieldDay", "", ""},
	{"an object removed from the broker", "inverter/HM1500/ch0", "", ""},
	{"not a number", "inverter/HM1500/ch0/U_AC", "nan", "error"},
	{"infinite", "inverter/HM1500/ch0/U_AC", "inf", "error"},
	{"a unit inside", "inverter/HM1500/ch0/U_AC", "233.3 V", "error"},
	{"a cut object", "inverter/HM1500/ch0", `{"U_AC":233.3,"I_AC":0.`, "error"},
	{"nan in an object", "inverter/HM1500/ch0", `{"U_AC":nan,"P_AC":71}`, "error"},
	{"garbage behind an object", "inverter/HM1500/ch0", `{"U_AC":233.3}}`, "error"},
	{"not an object", "inverter/HM1500/ch0", `71`, "error"},
	{"somebody else's availability", "zigbee2mqtt/x/available", "1", "foreign"},
	{"somebody else's status", "kitchen/status", "1", "foreign"},
	{"no base topic", "ch0/U_AC", "230", "foreign"},
	{"Tasmota", "tele/washer/SENSOR", "{}", "foreign"},
	{"an empty topic", "", "5", "foreign"},
}

func TestVariantsAreRead(t *testing.T) {
	for _, v := range variants {
		if got := decode(ahoydtu.New(), v.topic, v.payload); got != v.want {
			t.Errorf("%s: got %q, want %q", v.name, got, v.want)
		}
	}
}

// Settings reset values while an inverter is away: those zeros are no
// measurement.
func TestZerosOfAnAbsentInverterAreCached(t *testing.T) {
	d := ahoydtu.New()
	for i, step := range []struct{ topic, payload, want string }{
		{"HM1500/available", "0", "device_offline HM1500"},
		{"HM1500/ch0/P_AC", "0", "HM1500/ch0 power_w=0 cached"},
		{"HM1500/ch1", `{"P_DC":0}`, "HM1500/ch1 power_w=0 cached"},
		{"HM600/ch0/P_AC", "0", "HM600/ch0 power_w=0"},
		{"HM1500/available", "2", "device_online HM1500"},
		{"HM1500/ch0/P_AC", "3", "HM1500/ch0 power_w=3"},
		{"HM1500/available", "x", ""},
	} {
		if got := decode(d, "inverter/"+step.topic, step.payload); got != step.want {
			t.Errorf("step %d, %s: got %q, want %q", i, step.topic, got, step.want)
		}
	}
}

// Where the base topic is known from an unmistakable message, others of its
// topics are, too.
func TestBaseTopicIsLearned(t *testing.T) {
	d := ahoydtu.New()
	if got := decode(d, "roof/x/ch0/Temp", "20"); got != "foreign" {
		t.Errorf("got %q before anything else", got)
	}
	decode(d, "roof/x/ch0/U_AC", "230")
	for topic, want := range map[string]string{
		"roof/x/ch0/Temp": "x/ch0 device_temperature_c=20", "roof/mqtt": "", "roof/x/last_success": "", "roof/total/P_AC": "roof/total power_w=20",
	} {
		if got := decode(d, topic, "20"); got != want {
			t.Errorf("%s: got %q, want %q", topic, got, want)
		}
	}
}

func TestObjectSaysWhenTheInverterWasHeard(t *testing.T) {
	for ts, want := range map[string]time.Time{"1693566000": time.Unix(1693566000, 0), "0": {}, "3600": {}, "-1": {}, "1e300": {}, `"1693566000"`: {}} {
		got, _ := ahoydtu.New().Decode(dialect.Message{Topic: "inverter/x/ch0", Payload: []byte(`{"P_AC":1,"ts":` + ts + `}`)})
		if len(got.Readings) != 1 || !got.Readings[0].Time.Equal(want) {
			t.Errorf("%s: got %+v, want time %v", ts, got.Readings, want)
		}
	}
}

// A flood of topics fills neither the memory nor stops what is known.
func TestTablesAreBounded(t *testing.T) {
	d := ahoydtu.New()
	decode(d, "inverter/HM1500/available", "0")
	for i := range 5000 {
		decode(d, fmt.Sprintf("b%d/x/ch0/U_AC", i), "230")
		decode(d, fmt.Sprintf("inverter/x%d/available", i), "0")
	}
	for topic, want := range map[string]string{
		"inverter/HM1500/ch0/P_AC": "HM1500/ch0 power_w=0 cached",
		"inverter/x4999/ch0/P_AC":  "x4999/ch0 power_w=0",
		"b1/x/ch0/Temp":            "x/ch0 device_temperature_c=0",
		"b4999/x/ch0/Temp":         "foreign",
		"inverter/" + strings.Repeat("x", 60000) + "/ch0/U_AC": "error",
		strings.Repeat("x", 60000) + "/total/P_AC":             "error",
	} {
		if got := decode(d, topic, "0"); got != want {
			t.Errorf("%.40s: got %.40q, want %q", topic, got, want)
		}
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	d := ahoydtu.New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				decode(d, fmt.Sprintf("b%d/x/ch0/P_AC", n%20), "5")
				decode(d, fmt.Sprintf("b%d/x/available", n%20), strconv.Itoa(i%2))
			}
		})
	}
	wg.Wait()
}
