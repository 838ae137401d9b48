package shelly_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/shelly"
)

func freshGen2() corpus.Decoder { return shelly.NewGen2() }

const threePhases = `{"id":0,"a_act_power":2403.7,"a_aprt_power":2503.5,"a_current":10.739,"a_pf":0.96,"a_voltage":233.3,"b_act_power":409.1,"b_aprt_power":443.1,"b_current":1.872,"b_pf":-0.93,"b_voltage":236.7,"c_act_power":235.3,"c_aprt_power":270.4,"c_current":1.143,"c_pf":-0.87,"c_voltage":236.9,"n_current":null,"total_act_power":3048.104,"total_aprt_power":3217.036,"total_current":13.753}`

func notify(method, params string) string {
	return `{"src":"shellypro4pm-f008d1d8b8b8","dst":"p/events","method":"` + method + `","params":{"ts":1699000000.25,` + params + `}}`
}

var gen2Variants = []variant{
	{"only what changed", "p/events/rpc", notify("NotifyStatus", `"switch:0":{"id":0,"apower":8.9}`), "p/switch:0 power_w=8.9"},
	{"only the counter", "p/events/rpc", notify("NotifyStatus", `"switch:0":{"id":0,"aenergy":{"by_minute":[1,2,3],"minute_ts":1699000000,"total":11.679}}`), "p/switch:0 energy_kwh=0.011679"},
	{"several components", "p/events/rpc", notify("NotifyStatus", `"switch:1":{"id":1,"apower":3},"switch:0":{"apower":4},"wifi":{"rssi":-60}`), "p/switch:1 power_w=3; p/switch:0 power_w=4"},
	{"a switch that was pressed", "p/events/rpc", notify("NotifyStatus", `"switch:0":{"id":0,"output":true,"source":"button"}`), ""},
	{"an event", "p/events/rpc", notify("NotifyEvent", `"events":[{"component":"input:0","id":0,"event":"single_push"}],"switch:0":{"apower":1}`), ""},
	{"no parameters", "p/events/rpc", `{"src":"x","method":"NotifyStatus"}`, ""},
	{"parameters that are none", "p/events/rpc", `{"method":"NotifyStatus","params":[{"switch:0":{"apower":1}}]}`, ""},
	{"a key that went away", "p/events/rpc", notify("NotifyStatus", `"em1:0":{"id":0,"errors":null,"voltage":null,"current":1.5}`), "p/em1:0 current_a=1.5"},
	{"both directions", "p/status/pm1:0", `{"id":0,"voltage":231.4,"current":1.2,"apower":-270.1,"aprtpower":277.7,"pf":-0.97,"freq":49.98,"aenergy":{"total":9000},"ret_aenergy":{"total":4000}}`,
		"p/pm1:0 voltage_v=231.4 current_a=1.2 power_w=-270.1 apparent_power_va=277.7 power_factor=-0.97 frequency_hz=49.98 energy_kwh=9 energy_returned_kwh=4"},
	{"a cover", "p/status/cover:0", `{"id":0,"state":"stopped","apower":0.0,"voltage":233.8,"current":0,"pf":0,"freq":50,"aenergy":{"total":23.5},"temperature":{"tC":null,"tF":null},"current_pos":50}`,
		"p/cover:0 power_w=0 voltage_v=233.8 current_a=0 power_factor=0 frequency_hz=50 energy_kwh=0.0235"},
	{"a lamp", "p/status/light:0", `{"id":0,"output":true,"brightness":50,"apower":4.2,"voltage":230.1,"temperature":{"tC":41.2,"tF":106.2}}`, "p/light:0 power_w=4.2 voltage_v=230.1 device_temperature_c=41.2"},
	{"a coloured lamp", "p/status/rgbw:0", `{"id":0,"rgb":[1,2,3],"white":4,"apower":7.5,"aenergy":{"total":1}}`, "p/rgbw:0 power_w=7.5 energy_kwh=0.001"},
	{"a meter that failed", "p/status/switch:0", `{"id":0,"apower":0,"voltage":0,"temperature":{"tC":40},"errors":["power_meter_failure"]}`, "p/switch:0 power_w=0? voltage_v=0? device_temperature_c=40"},
	{"too warm is no doubt", "p/status/switch:0", `{"id":0,"apower":3000,"errors":["overtemp","overpower"]}`, "p/switch:0 power_w=3000"},
	{"one field out of range, named first", "p/status/pm1:0", `{"errors":["out_of_range:voltage"],"voltage":300,"apower":5}`, "p/pm1:0 voltage_v=300? power_w=5"},
	{"errors of one of many", "p/status/switch:1", `{"id":1,"apower":5,"errors":["out_of_range:apower"]}`, "p/switch:1 power_w=5?"},
	{"errors of a phase", "p/status/em:0", `{"id":0,"a_voltage":230,"a_current":99,"b_current":1,"a_errors":["out_of_range:current"],"n_current":2}`, "p/em:0.a voltage_v=230 current_a=99?; p/em:0.b current_a=1; p/em:0.n current_a=2"},
	{"a meter of three phases that failed", "p/status/em:0", `{"errors":["power_meter_failure"],"a_voltage":1,"total_act_power":2}`, "p/em:0.a voltage_v=1?; p/em:0 power_w=2?"},
	{"wired wrongly is no doubt", "p/status/em:0", `{"errors":["phase_sequence"],"a_voltage":230}`, "p/em:0.a voltage_v=230"},
	{"nothing but null", "p/status/em:0", `{"id":0,"a_current":null,"a_voltage":null,"total_act_power":null}`, ""},
	{"counters of three phases", "p/events/rpc", notify("NotifyStatus", `"emdata:0":{"id":0,"a_total_act_energy":1000,"a_total_act_ret_energy":2000,"total_act":3000,"total_act_ret":4000}`),
		"p/emdata:0.a energy_kwh=1 energy_returned_kwh=2; p/emdata:0 energy_kwh=3 energy_returned_kwh=4"},
	{"a clamp of one phase", "p/status/em1:1", `{"id":1,"voltage":230,"current":1,"act_power":200,"aprt_power":230,"pf":0.87,"freq":50,"calibration":"factory","errors":["ct_type_not_set"]}`,
		"p/em1:1 voltage_v=230 current_a=1? power_w=200? apparent_power_va=230? power_factor=0.87? frequency_hz=50"},
	{"a sum out of range", "p/status/em:0", `{"errors":["out_of_range:total_act_power"],"total_act_power":9,"total_current":1}`, "p/em:0 power_w=9? current_a=1"},
	{"an error of a field that is not read", "p/status/em1:0", `{"errors":["out_of_range:phase"],"voltage":230}`, "p/em1:0 voltage_v=230"},
	{"errors of switch:1 are not those of switch:10", "p/events/rpc", notify("NotifyStatus", `"switch:10":{"apower":1},"switch:1":{"apower":2,"errors":["power_meter_failure"]}`), "p/switch:10 power_w=1; p/switch:1 power_w=2?"},
	{"a thermometer without a value", "p/status/temperature:0", `{"id":0,"tC":null,"tF":null,"errors":["read"]}`, ""},
	{"an add-on's thermometer", "p/status/temperature:100", `{"id":100,"tC":21.6,"tF":70.9}`, "p/temperature:100 temperature_c=21.6"},
	{"an add-on's thermometer that just started", "p/status/temperature:101", `{"id":101,"tC":85.0,"tF":185.0}`, "p/temperature:101 temperature_c=85?"},
	{"an add-on's thermometer that is gone", "p/status/temperature:101", `{"id":101,"tC":-127,"tF":-196.6}`, ""},
	{"85 degrees elsewhere are real", "p/status/temperature:0", `{"id":0,"tC":85.0}`, "p/temperature:0 temperature_c=85"},
	{"humidity", "p/status/humidity:0", `{"id":0,"rh":41.9}`, "p/humidity:0 humidity_pct=41.9"},
	{"no air holds more than all", "p/status/humidity:0", `{"id":0,"rh":999}`, ""},
	{"a lone battery", "p/status/devicepower:0", `{"id":0,"battery":{"V":null,"percent":null},"external":{"present":true}}`, ""},
	{"light", "p/status/illuminance:0", `{"id":0,"lux":0,"illumination":"dark"}`, "p/illuminance:0 illuminance_lx=0"},
	{"volts scaled by the owner", "p/status/voltmeter:100", `{"id":100,"voltage":4.321,"xvoltage":43.2}`, "p/voltmeter:100 voltage_v=4.321"},
	{"a voltmeter out of range", "p/status/voltmeter:100", `{"id":100,"voltage":10.2,"errors":["out_of_range"]}`, "p/voltmeter:100 voltage_v=10.2?"},
	{"inputs are states, counts and parts of an unknown whole", "p/status/input:100", `{"id":100,"percent":53.5,"xpercent":12,"counts":{"total":5},"freq":3}`, ""},
	{"a virtual component", "p/status/number:200", `{"value":21.5,"source":"rpc","last_update_ts":1699000000}`, ""},
	{"text, booleans and infinity are no numbers", "p/status/switch:0", `{"apower":"5","voltage":true,"current":1e400,"pf":{"a":1},"freq":[1],"aenergy":{"total":"7"},"temperature":40}`, ""},
	{"minus zero", "p/status/switch:0", `{"apower":-0.0}`, "p/switch:0 power_w=0"},
	{"one key for two values", "p/status/switch:0", `{"apower":1,"apower":2}`, "p/switch:0 power_w=1"},
	{"an empty key", "p/status/switch:0", `{"":1,"apower":2}`, "p/switch:0 power_w=2"},
	{"a mark, blanks and a newline around", "p/status/switch:0", "\ufeff {\"apower\":2}\r\n", "p/switch:0 power_w=2"},
	{"a prefix with slashes, under the first generation's tree", "shellies/pump/status/switch:0", `{"apower":2}`, "shellies/pump/switch:0 power_w=2"},
	{"a prefix that ends like a topic", "a/status/status/switch:0", `{"apower":2}`, "a/status/switch:0 power_w=2"},
	{"a cleared retained message", "p/status/switch:0", "", ""},
	{"a command", "p/command/switch:0", "toggle", ""},
	{"an answer to somebody", "iobroker/rpc", `{"id":3,"src":"shellyplugsg3-cff0c8f23064","dst":"iobroker","result":{"apower":5}}`, ""},
	{"the radio", "shellyplus1-aabbcc/status/wifi", `{"sta_ip":"192.168.1.7","rssi":-60}`, ""},
	{"the log", "shellyplus1-aabbcc/debug/log", "shelly_notification:163 Status change", ""},
}

func TestGen2SaysOneObjectPerComponent(t *testing.T) { holdVariants(t, gen2Variants, freshGen2) }

// Cut and broken messages give no reading at all: 1.2 may be the head of 1.25.
func TestBrokenObjectsAreRefusedWhole(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"switch:%d":{"apower":1}`, i)
	}
	holdRefusals(t, []refusal{
		{"cut", "p/status/switch:0", `{"apower":11.5,"volt`, "not JSON at byte"},
		{"bare nan", "p/status/switch:0", `{"apower":nan}`, "not JSON at byte"},
		{"trailing comma", "p/events/rpc", `{"method":"NotifyStatus",}`, "not JSON at byte"},
		{"one brace too many", "p/status/em:0", `{"a_voltage":1}}`, "not JSON at byte"},
		{"not UTF-8", "p/status/switch:0", "{\"a\":\"\xf1\"}", "not UTF-8"},
		{"an array", "p/status/switch:0", `[1]`, "an object is wanted"},
		{"a word", "p/status/switch:0", `on`, "not JSON"},
		{"a bomb", "p/events/rpc", strings.Repeat(`{"a":`, 99) + "1" + strings.Repeat("}", 99), "nested deeper"},
		{"a flood", "p/events/rpc", notify("NotifyStatus", strings.Join(many, ",")), "message holds more than 256 values"},
	}, freshGen2)
}

// Until the time server answers a Shelly counts from its start: that must not
// become an instant.
func TestOnlyASetClockCounts(t *testing.T) {
	for _, c := range []struct {
		ts   string
		want time.Time
	}{
		{"1699000000.25", time.UnixMilli(1699000000250)},
		{"1698999993.71", time.UnixMilli(1698999993710)},
		{"3.41", time.Time{}}, {"0", time.Time{}}, {"null", time.Time{}}, {`"1699000000"`, time.Time{}}, {"-5", time.Time{}}, {"1e300", time.Time{}}, {"86400", time.Time{}},
	} {
		got := decode(t, freshGen2(), "p/events/rpc", `{"method":"NotifyStatus","params":{"switch:0":{"apower":1},"ts":`+c.ts+`}}`)
		if len(got.Readings) != 1 || !got.Readings[0].Time.Equal(c.want) {
			t.Errorf("%s: got %+v, want %v", c.ts, got, c.want)
		}
	}
	// A minute's end is when the counter was last whole, not when it was read.
	got := decode(t, freshGen2(), "p/status/switch:0", `{"aenergy":{"total":1,"minute_ts":1699000000}}`)
	if len(got.Readings) != 1 || !got.Readings[0].Time.IsZero() {
		t.Errorf("got %+v, want no time", got)
	}
}
