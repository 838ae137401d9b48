package victron_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/victron"
)

const portal = "a4a7696d6350"

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

var variants = []struct{ name, topic, payload, want string }{
	{"a requested setpoint", "W/" + portal + "/vebus/257/Hub4/L1/AcPowerSetpoint", `{"value":-200}`, ""},
	{"a keepalive", "R/" + portal + "/keepalive", "", ""},
	{"somebody else's R", "R/kitchen/power", "5", "foreign"},
	{"the device is alive", "N/" + portal + "/heartbeat", `{"value":1702459522}`, ""},
	{"somebody else's N", "N/kitchen/power", "5", "foreign"},
	{"somebody else's longer N", "N/kitchen/power/3/Soc", "5", "foreign"},
	{"a virtual device", "N/demo/battery/0/Soc", `{"value":50}`, "demo/battery/0/ battery_pct=50"},
	{"one letter", "N", "5", "foreign"},
	{"nothing behind N", "N/", "5", "foreign"},
	{"an empty topic", "", "5", "foreign"},
	{"the service is gone", "N/" + portal + "/battery/0/Soc", "", ""},
	{"not known", "N/" + portal + "/battery/0/Soc", `{"value":null}`, ""},
	{"a list", "N/" + portal + "/battery/0/Soc", `{"value":[]}`, ""},
	{"a list of numbers", "N/" + portal + "/battery/0/Soc", `{"value":[5]}`, ""},
	{"a boolean", "N/" + portal + "/battery/0/Soc", `{"value":true}`, ""},
	{"a text", "N/" + portal + "/battery/0/Soc", `{"value":"---"}`, ""},
	{"a quoted number of a kind that JSON does not have", "N/" + portal + "/battery/0/Soc", `{"value":"nan"}`, ""},
	{"no value at all", "N/" + portal + "/battery/0/Soc", `{"max":5}`, "error"},
	{"a plain number", "N/" + portal + "/battery/0/Soc", `87.5`, "error"},
	{"cut", "N/" + portal + "/battery/0/Soc", `{"value":87.`, "error"},
	{"nan", "N/" + portal + "/battery/0/Soc", `{"value":nan}`, "error"},
	{"garbage behind it", "N/" + portal + "/battery/0/Soc", `{"value":87.5}}`, "error"},
	{"infinite", "N/" + portal + "/battery/0/Soc", `{"value":1e400}`, "dropped"},
	{"more than full", "N/" + portal + "/battery/0/Soc", `{"value":655.35}`, "dropped"},
	{"with limits", "N/" + portal + "/battery/0/Soc", `{"max":100,"min":0,"value":87.5}`, portal + "/battery/0/ battery_pct=87.5"},
}

// paths are those of the Venus wiki and of victron_mqtt.json.
var paths = []struct{ path, want string }{
	{"pvinverter/20/Ac/Power", "/ power_w"},
	{"pvinverter/20/Ac/L3/Power", "/L3 power_w"},
	{"pvinverter/20/Ac/L1/Voltage", "/L1 voltage_v"},
	{"pvinverter/20/Ac/L1/Current", "/L1 current_a"},
	{"pvinverter/20/Ac/L1/Energy/Forward", "/L1 energy_kwh"},
	{"pvinverter/20/Ac/Energy/Forward", "/ energy_kwh"},
	{"pvinverter/20/Ac/MaxPower", ""},
	{"pvinverter/20/Ac/PowerLimit", ""},
	{"pvinverter/20/Ac/NumberOfPhases", ""},
	{"pvinverter/20/Position", ""},
	{"pvinverter/20/ErrorCode", ""},
	{"grid/30/Ac/Frequency", "/ frequency_hz"},
	{"grid/30/Ac/L2/PowerFactor", "/L2 power_factor"},
	{"grid/30/Ac/L2/Energy/Reverse", "/L2 energy_returned_kwh"},
	{"grid/30/Ac/L4/Power", ""},
	{"acload/31/Ac/Power", "/ power_w"},
	{"solarcharger/279/Yield/Power", "/ power_w"},
	{"solarcharger/279/Yield/User", "/ energy_kwh"},
	{"solarcharger/279/Yield/System", "/system energy_kwh"},
	{"solarcharger/279/Pv/V", "/pv voltage_v"},
	{"solarcharger/279/Pv/I", "/pv current_a"},
	{"solarcharger/279/Pv/1/P", "/pv1 power_w"},
	{"solarcharger/279/Pv/1/MppOperationMode", ""},
	{"solarcharger/279/Pv/x/P", ""},
	{"solarcharger/279/Dc/0/Voltage", "/dc0 voltage_v"},
	{"solarcharger/279/History/Daily/0/Yield", ""},
	{"solarcharger/279/Settings/ChargeCurrentLimit", ""},
	{"solarcharger/279/Load/State", ""},
	{"vebus/257/Ac/ActiveIn/L1/P", "/in.L1 power_w"},
	{"vebus/257/Ac/ActiveIn/P", "/in power_w"},
	{"vebus/257/Ac/ActiveIn/CurrentLimit", ""},
	{"vebus/257/Ac/ActiveIn/ActiveInput", ""},
	{"vebus/257/Ac/Out/L1/V", "/out.L1 voltage_v"},
	{"vebus/257/Ac/Out/L1/I", "/out.L1 current_a"},
	{"vebus/257/Ac/Out/L1/F", "/out.L1 frequency_hz"},
	{"vebus/257/Ac/Out/L1/S", "/out.L1 apparent_power_va"},
	{"vebus/257/Ac/In/1/CurrentLimit", ""},
	{"vebus/257/Energy/InverterToAcOut", "/InverterToAcOut energy_kwh"},
	{"vebus/257/Energy/OutToInverter", "/OutToInverter energy_kwh"},
	{"vebus/257/Energy/Total", ""},
	{"vebus/257/Hub4/L1/AcPowerSetpoint", ""},
	{"vebus/257/Mode", ""},
	{"multi/0/Ac/In/1/L1/P", "/in1.L1 power_w"},
	{"multi/0/Energy/SolarToBattery", "/SolarToBattery energy_kwh"},
	{"charger/289/Ac/In/L1/I", "/in.L1 current_a"},
	{"battery/0/Dc/0/Power", "/dc0 power_w"},
	{"battery/0/Dc/0/Temperature", "/dc0 device_temperature_c"},
	{"battery/0/Dc/1/Voltage", "/dc1 voltage_v"},
	{"battery/0/Info/MaxChargeVoltage", ""},
	{"battery/0/Alarms/LowSoc", ""},
	{"battery/0/ConsumedAmphours", ""},
	{"system/0/Ac/Consumption/L1/Power", "/consumption.L1 power_w"},
	{"system/0/Ac/ConsumptionOnOutput/L1/Power", "/consumption_out.L1 power_w"},
	{"system/0/Ac/PvOnGrid/L1/Power", "/pv_grid.L1 power_w"},
	{"system/0/Ac/Grid/L1/Power", "/grid.L1 power_w"},
	{"system/0/Dc/Pv/Power", "/pv power_w"},
	{"system/0/Dc/Battery/Soc", "/battery battery_pct"},
	{"system/0/Dc/Battery/Voltage", "/battery voltage_v"},
	{"system/0/Dc/Battery/TimeToGo", ""},
	{"system/0/Dc/System/Power", "/dc_system power_w"},
	{"system/0/Relay/0/State", ""},
	{"temperature/24/Temperature", "/ temperature_c"},
	{"temperature/24/Humidity", "/ humidity_pct"},
	{"temperature/24/Pressure", "/ pressure_hpa"},
	{"temperature/24/BatteryVoltage", "/ battery_v"},
	{"temperature/24/Offset", ""},
	{"meteo/20/Irradiance", "/ irradiance_w_m2"},
	{"meteo/20/WindSpeed", "/ wind_speed_m_s"},
	{"meteo/20/CellTemperature", "/cell temperature_c"},
	{"evcharger/40/Current", "/ current_a"},
	{"evcharger/40/SetCurrent", ""},
	{"evcharger/40/Ac/Power", "/ power_w"},
	{"evcharger/40/ChargingTime", ""},
	{"tank/3/Level", ""},
	{"gps/0/Position/Latitude", ""},
	{"settings/0/Settings/CGwacs/AcPowerSetPoint", ""},
}

func TestVariantsAreRead(t *testing.T) {
	for _, v := range variants {
		if got := render(victron.New().Decode(dialect.Message{Topic: v.topic, Payload: []byte(v.payload)})); got != v.want {
			t.Errorf("%s: got %q, want %q", v.name, got, v.want)
		}
	}
}

func TestPathsSayWhatIsMeasured(t *testing.T) {
	for _, v := range paths {
		want := v.want
		if want != "" {
			service := strings.Join(strings.SplitN(v.path, "/", 3)[:2], "/")
			want = portal + "/" + service + want + "=1"
		}
		got := render(victron.New().Decode(dialect.Message{Topic: "N/" + portal + "/" + v.path, Payload: []byte(`{"value":1}`)}))
		if got != want {
			t.Errorf("%s: got %q, want %q", v.path, got, want)
		}
	}
}

// One message must not name a device that no record can hold.
func TestLongNamesAreRefused(t *testing.T) {
	topic := "N/" + strings.Repeat("x", 60000) + "/battery/0/Soc"
	if got := render(victron.New().Decode(dialect.Message{Topic: topic, Payload: []byte(`{"value":1}`)})); got != "error" {
		t.Errorf("got %.40q", got)
	}
}
