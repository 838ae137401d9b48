package shelly_test

import (
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/shelly"
)

func freshGen1() corpus.Decoder { return shelly.NewGen1() }

var gen1Variants = []variant{
	{"a relay counts watt minutes", "shellies/shelly1pm-1/relay/0/energy", "60000", "shelly1pm-1/relay:0 energy_kwh=1"},
	{"a roller counts watt minutes", "shellies/x/roller/0/energy", "15000", "x/roller:0 energy_kwh=0.25"},
	{"a lamp counts watt minutes", "shellies/x/light/1/energy", "30", "x/light:1 energy_kwh=0.0005"},
	{"a strip of light counts watt minutes", "shellies/x/white/3/energy", "60000", "x/white:3 energy_kwh=1"},
	{"a meter counts watt hours", "shellies/x/emeter/2/total", "123456.7", "x/emeter:2 energy_kwh=123.4567"},
	{"and what flows back", "shellies/x/emeter/0/total_returned", "250", "x/emeter:0 energy_returned_kwh=0.25"},
	{"the meter's short span is no counter", "shellies/x/emeter/0/energy", "17.3", ""},
	{"nor is what flowed back in it", "shellies/x/emeter/0/returned_energy", "0.0", ""},
	{"power that flows back", "shellies/x/emeter/0/power", "-1520.33", "x/emeter:0 power_w=-1520.33"},
	{"999 watts are a kettle on low", "shellies/x/relay/0/power", "999", "x/relay:0 power_w=999"},
	{"power of colours", "shellies/x/color/0/power", "7.1", "x/color:0 power_w=7.1"},
	{"a custom name with slashes and a number", "shellies/house/5/temperature", "41.3", "house/5/ device_temperature_c=41.3"},
	{"a custom name like a channel", "shellies/a/relay/0/relay/1/power", "5", "a/relay/0/relay:1 power_w=5"},
	{"an announcement", "shellies/announce", "{}", ""},
	{"mains of the whole device", "shellies/x/voltage", "231.4", "x/ voltage_v=231.4"},
	{"an add-on's thermometer", "shellies/x/ext_temperature/1", "35.75", "x/ext:1 temperature_c=35.75"},
	{"an add-on's hygrometer", "shellies/x/ext_humidity/0", "48.1", "x/ext:0 humidity_pct=48.1"},
	{"a probe that just started", "shellies/x/ext_temperature/0", "85.0", "x/ext:0 temperature_c=85?"},
	{"a probe that does not answer", "shellies/x/ext_temperature/0", "999.0", ""},
	{"a probe that is gone", "shellies/x/ext_temperature/0", "-127.00", ""},
	{"a hygrometer that does not answer", "shellies/x/ext_humidity/0", "999", ""},
	{"in the room", "shellies/shellyht-1/sensor/temperature", "21.25", "shellyht-1/sensor temperature_c=21.25"},
	{"in the room, probably in Fahrenheit", "shellies/shellyht-1/sensor/temperature", "71.3", "shellyht-1/sensor temperature_c=71.3?"},
	{"in the room, no answer", "shellies/shellyht-1/sensor/temperature", "999", ""},
	{"battery", "shellies/shellyht-1/sensor/battery", "87", "shellyht-1/sensor battery_pct=87"},
	{"light in the room", "shellies/shellydw2-1/sensor/lux", "312", "shellydw2-1/sensor illuminance_lx=312"},
	{"a door's state", "shellies/shellydw2-1/sensor/state", "open", ""},
	{"minus zero", "shellies/x/emeter/0/power", "-0.0", "x/emeter:0 power_w=0"},
	{"a newline behind", "shellies/x/emeter/0/power", " 12.5\r\n", "x/emeter:0 power_w=12.5"},
	{"an exponent", "shellies/x/emeter/0/total", "1.2e+06", "x/emeter:0 energy_kwh=1200"},
	{"a cleared retained message", "shellies/x/relay/0/power", "", ""},
	{"no sensor", "shellies/x/ext_temperature/0", "null", ""},
	{"states", "shellies/x/relay/0", "on", ""},
	{"a lamp's state", "shellies/x/light/0/status", `{"ison":true,"power":5}`, ""},
	{"what a relay may carry", "shellies/x/relay/0/overpower_value", "2304.1", ""},
	{"a roller's place", "shellies/x/roller/0/pos", "50", ""},
	{"inputs", "shellies/x/input/1", "0", ""},
	{"the same in Fahrenheit", "shellies/x/ext_temperature_f/0", "117.84", ""},
	{"all probes once more", "shellies/x/ext_temperatures", `{"0":{"hwID":"28ff","tC":21.0}}`, ""},
	{"a dump of the device", "shellies/x/info", `{"meters":[{"power":5}]}`, ""},
	{"a word for warm", "shellies/x/temperature_status", "Normal", ""},
	{"a motion sensor", "shellies/shellymotionsensor-1/status", `{"motion":false,"timestamp":1601026540,"active":true,"vibration":false,"lux":37,"bat":95}`,
		"shellymotionsensor-1/sensor illuminance_lx=37 battery_pct=95"},
	{"a warm motion sensor", "shellies/shellymotion2-1/status", `{"lux":0,"bat":100,"tmp":{"value":22.4,"units":"C","is_valid":true}}`,
		"shellymotion2-1/sensor illuminance_lx=0 battery_pct=100 temperature_c=22.4"},
	{"in Fahrenheit, and says so", "shellies/shellytrv-1/status", `{"target_t":{"value":70},"tmp":{"value":68,"units":"F","is_valid":true},"bat":97}`, "shellytrv-1/sensor battery_pct=97 temperature_c=20"},
	{"what a valve is set to", "shellies/shellytrv-1/thermostat/0/schedule", "1", ""},
	{"a motion sensor without thermometer", "shellies/shellymotion2-1/status", `{"bat":100,"tmp":{"value":0,"units":"C","is_valid":false}}`, "shellymotion2-1/sensor battery_pct=100"},
}

func TestGen1SaysOneNumberPerTopic(t *testing.T) { holdVariants(t, gen1Variants, freshGen1) }

// A number with anything around it is not one: 23,5 may be 23 and more.
func TestGen1NumbersAreStrict(t *testing.T) {
	const topic = "shellies/x/relay/0/power"
	holdRefusals(t, []refusal{
		{"decimal comma", topic, "23,5", `"23,5": not a decimal number`},
		{"unit", topic, "23.5 W", `"23.5 W": not`},
		{"nan", topic, "nan", `"nan": not`},
		{"infinity", topic, "inf", `"inf": not`},
		{"hex", topic, "0x1F", `"0x1F": not`},
		{"boolean", topic, "true", `"true": not`},
		{"an object where a relay's power is", topic, `{"power":1}`, `"{\"power\":1}": not`},
		{"beyond all bounds", topic, "1e400", `"1e400": number is out of range`},
		{"not UTF-8", topic, "\xff", `"\xff": not`},
		{"a cut motion sensor", "shellies/x/status", `{"lux":1`, "not JSON"},
	}, freshGen1)
}

// A device's word for "no value" leaves a count behind, so that a dead probe is
// seen although no wrong number is.
func TestGen1SentinelsAreCounted(t *testing.T) {
	for topic, payload := range map[string]string{
		"shellies/x/ext_temperature/0":  "999",
		"shellies/x/ext_humidity/0":     "999",
		"shellies/x/sensor/humidity":    "102",
		"shellies/x/sensor/battery":     "-2",
		"shellies/x/temperature":        "-300",
		"shellies/x/sensor/temperature": "null",
	} {
		if got := decode(t, freshGen1(), topic, payload); got.Dropped != 1 || len(got.Readings) > 0 || got.Err != nil {
			t.Errorf("%s %s: got %+v, want one value dropped", topic, payload, got)
		}
	}
}
