package tasmota_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
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

func decode(t *testing.T, d *tasmota.Decoder, topic, payload string) dialect.Result {
	t.Helper()
	got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	if !mine {
		t.Fatalf("%s is not taken for Tasmota's", topic)
	}
	return got
}

// variants are messages in forms that the firmware's source and documentation
// give, beyond those that were captured.
var variants = []struct{ name, topic, payload, want string }{
	{"phases as arrays, the sum as a scalar", "tele/m/SENSOR",
		`{"ENERGY":{"Total":12.5,"Power":[1,2,3],"Voltage":[230,231.5,229],"Frequency":50}}`,
		"m/ energy_kwh=12.5 frequency_hz=50; m/1 power_w=1 voltage_v=230; m/2 power_w=2 voltage_v=231.5; m/3 power_w=3 voltage_v=229"},
	{"fewer phases than before", "tele/m/SENSOR", `{"ENERGY":{"Power":[7]}}`, "m/1 power_w=7"},
	{"a phase without a value", "tele/m/SENSOR", `{"ENERGY":{"Power":[null,4,"5",true]}}`, "m/2 power_w=4"},
	{"one array element per tariff is no channel", "tele/m/SENSOR", `{"ENERGY":{"TotalTariff":[1,2],"ExportTariff":[3,4],"Power":5}}`, "m/ power_w=5"},
	{"the difference of a period is no counter", "tele/m/SENSOR", `{"ENERGY":{"Period":7}}`, ""},
	{"counters that go back pass", "tele/m/SENSOR", `{"ENERGY":{"Total":-2.000,"Power":0}}`, "m/ energy_kwh=-2 power_w=0"},
	{"an unsigned counter below zero", "tele/m/SENSOR", `{"ENERGY":{"Total":42949.672,"Yesterday":4294967.295}}`, "m/ energy_kwh=42949.672? energy_yesterday_kwh=4294967.295?"},
	{"a meter that has counted as much", "tele/m/SENSOR", `{"ENERGY":{"Total":42940.1}}`, "m/ energy_kwh=42940.1"},
	{"text, booleans and null are no numbers", "tele/m/SENSOR", `{"ENERGY":{"Total":"1.5","Power":true,"Voltage":null,"Current":{"a":1},"Factor":0.5}}`, "m/ power_factor=0.5"},
	{"no record holds infinity", "tele/m/SENSOR", `{"ENERGY":{"Power":1e400,"Voltage":230}}`, "m/ voltage_v=230"},
	{"minus zero", "tele/m/SENSOR", `{"ENERGY":{"Power":-0.0}}`, "m/ power_w=0"},
	{"firmware 3 quoted", "tele/pow1/TELEMETRY",
		`{"Time":"2017-01-01T13:50:17", "Energy":{"Yesterday":"0.234", "Today":"0.016", "Period":5, "Power":53, "Factor":"1.00", "Voltage":214, "Current":"0.247"}}`,
		"pow1/ energy_yesterday_kwh=0.234 energy_today_kwh=0.016 power_w=53 power_factor=1 voltage_v=214 current_a=0.247"},
	{"firmware 5 answered Status 8 so", "stat/pow1/STATUS8", `{"StatusPWR":{"Total":5.331, "Power":5.8, "Voltage":219.0}}`, "pow1/ energy_kwh=5.331 power_w=5.8 voltage_v=219"},
	{"a quoted text that is no number", "tele/x/SENSOR", `{"DHT":{"Temperature":"nan","Humidity":"0x1F"}}`, ""},
	{"keys in capitals", "stat/ct/STATUS8", `{"STATUSSNS":{"TIME":"2022-06-26T22:06:56","ANALOG":{"CTENERGY":{"ENERGY":2.882,"POWER":49,"VOLTAGE":230,"CURRENT":0.215}}}}`,
		"ct/ANALOG energy_kwh=2.882 power_w=49 voltage_v=230 current_a=0.215"},
	{"a status answer's other parts", "stat/x/STATUS0", `{"Status":{"Power":1},"StatusSNS":{"DHT11":{"Temperature":20}},"StatusSTS":{"POWER":"ON"}}`, "x/DHT11 temperature_c=20"},
	{"Fahrenheit behind the values", "tele/x/SENSOR", `{"DHT11":{"Temperature":32,"DewPoint":14},"ESP32":{"Temperature":212},"TempUnit":"F"}`,
		"x/DHT11 temperature_c=0 dew_point_c=-10; x/ESP32 device_temperature_c=100"},
	{"millimetres of mercury", "tele/x/SENSOR", `{"BMP280":{"Temperature":28.5,"Pressure":750},"PressureUnit":"mmHg"}`, "x/BMP280 temperature_c=28.5 pressure_hpa=999.9179056125"},
	{"inches of mercury", "tele/x/SENSOR", `{"BMP280":{"Pressure":30},"PressureUnit":"inHg"}`, "x/BMP280 pressure_hpa=1015.9166"},
	{"a unit that the firmware does not have", "tele/x/SENSOR", `{"BMP280":{"Temperature":300,"Pressure":1},"TempUnit":"R","PressureUnit":"at"}`, "x/BMP280 temperature_c=300? pressure_hpa=1?"},
	{"sensor not heard yet", "tele/x/SENSOR", `{"AM2301":{"Temperature":null,"Humidity":null,"DewPoint":null},"TempUnit":"C"}`, ""},
	{"firmware 5 nested probes", "tele/x/SENSOR", `{"DS18x20":{"DS1":{"Type":"DS18B20", "Address":"28FF9A9876815022", "Temperature":12.2},"DS2":{"Temperature":85}}}`,
		"x/DS18x20.DS1 temperature_c=12.2; x/DS18x20.DS2 temperature_c=85?"},
	{"a renamed probe that just started", "tele/x/SENSOR", `{"Outdoor":{"Id":"113C01F09617","Temperature":185},"TempUnit":"F"}`, "x/Outdoor temperature_c=85?"},
	{"85 degrees elsewhere are real", "tele/x/SENSOR", `{"MAX31855":{"Temperature":85.0}}`, "x/MAX31855 temperature_c=85"},
	{"a probe that is gone, in Fahrenheit", "tele/x/SENSOR", `{"DS18B20-1":{"Id":"a","Temperature":-196.6},"DS18B20-2":{"Id":"b","Temperature":50},"TempUnit":"F"}`, "x/DS18B20-2 temperature_c=10"},
	{"an open thermistor", "tele/x/SENSOR", `{"ANALOG":{"Temperature":-54.5}}`, "x/ANALOG temperature_c=-54.5?"},
	{"inputs of an ESP32", "tele/x/SENSOR", `{"ANALOG":{"A1":100,"A2":4095,"Temperature3":21.5,"Range4":7.5,"pH5":6.8,"Illuminance6":12,"CTEnergy7":{"Energy":1.5,"Power":3}}}`,
		"x/ANALOG1 adc_raw=100; x/ANALOG2 adc_raw=4095; x/ANALOG3 temperature_c=21.5; x/ANALOG4 user_scaled_raw=7.5; x/ANALOG5 ph=6.8; x/ANALOG6 illuminance_lx=12; x/ANALOG7 energy_kwh=1.5 power_w=3"},
	{"the input of an ESP8266", "tele/x/SENSOR", `{"ANALOG":{"A0":812,"A0div10":81,"Joy":1}}`, "x/ANALOG adc_raw=812"},
	{"moisture on an ADC", "stat/x/STATUS8", `{"StatusSNS":{"Time":"2019-12-23T22:34:47","ANALOG":{"Moisture":76}}}`, "x/ANALOG soil_moisture_pct=76"},
	{"counts of a CHIRP probe", "tele/x/SENSOR", `{"CHIRP0":{"Moisture":252,"Temperature":26.8,"Darkness":5356},"TempUnit":"C"}`, "x/CHIRP0 soil_moisture_raw=252 temperature_c=26.8 darkness_raw=5356"},
	{"a CHIRP probe that holds the bus", "tele/x/SENSOR", `{"CHIRP1":{"Moisture":0,"Temperature":32.0,"Darkness":0},"TempUnit":"F"}`, "x/CHIRP1 soil_moisture_raw=0? temperature_c=0? darkness_raw=0?"},
	{"a CHIRP probe with bits stuck", "tele/x/SENSOR", `{"CHIRP0":{"Moisture":63503,"Temperature":20}}`, "x/CHIRP0 temperature_c=20"},
	{"percent of a seesaw probe", "tele/x/SENSOR", `{"SeeSoil-36":{"ID":"36","Temperature":21.5,"Moisture":41},"TempUnit":"C"}`, "x/SeeSoil-36 temperature_c=21.5 soil_moisture_pct=41"},
	{"a Sonoff soil probe has no thermometer", "tele/x/SENSOR", `{"MS01":{"Temperature":0.0,"Humidity":36.2,"DewPoint":-13.0,"Raw":15200}}`, "x/MS01 soil_moisture_pct=36.2 soil_moisture_raw=15200"},
	{"air and soil have their own humidity", "tele/x/SENSOR", `{"Flora-6ab577":{"Humidity":12,"Fertility":80,"Battery":99},"LYWSD03-52680f":{"Humidity":58.0}}`,
		"x/Flora-6ab577 soil_moisture_pct=12 conductivity_us_cm=80 battery_pct=99; x/LYWSD03-52680f humidity_pct=58"},
	{"no soil holds more than all", "tele/x/SENSOR", `{"Flora-1":{"Moisture":101,"Fertility":1},"SeeSoil":{"Moisture":100},"SHT3X":{"Humidity":100.4}}`,
		"x/Flora-1 conductivity_us_cm=1; x/SeeSoil soil_moisture_pct=100; x/SHT3X humidity_pct=100.4"},
	{"one key for two halves", "tele/x/SENSOR", `{"seesaw_soil":{"Temperature":20},"seesaw_soil":{"Moisture":2}}`, "x/seesaw_soil temperature_c=20 soil_moisture_pct=2"},
	{"one key for two values", "tele/x/SENSOR", `{"DHT11":{"Temperature":20,"Temperature":21}}`, "x/DHT11 temperature_c=20"},
	{"smart-meter names are users' own", "tele/x/SENSOR", `{"Haus":{"total_in":41222.86,"E_out":3,"Power_cur":-245,"Meter_id":"0901454","volt_p1":230}}`, "x/Haus energy_kwh=41222.86 energy_returned_kwh=3 power_w=-245"},
	{"a meter without a name", "tele/x/SENSOR", `{"Time":"2023-09-02T21:43:20","":{"total_in":23446.07,"Power_curr":372}}`, "x/ energy_kwh=23446.07 power_w=372"},
	{"direct current of several inputs", "tele/x/SENSOR", `{"INA3221":{"ID":64,"Voltage":[5.01,[1],null],"Current":[0.5,0.25],"Power":[2.5,1]}}`,
		"x/INA3221.1 voltage_v=5.01 current_a=0.5 power_w=2.5; x/INA3221.2 current_a=0.25 power_w=1"},
	{"an acid probe, and a gauge that may be set to any unit", "tele/x/SENSOR", `{"EZOPH":{"pH":6.12},"EZOPRS":{"Pressure":14.7}}`, "x/EZOPH ph=6.12"},
	{"a device that is called like the Bluetooth topic", "tele/tasmota_ble/SENSOR", `{"DHT11":{"Temperature":20}}`, "tasmota_ble/DHT11 temperature_c=20"},
	{"direct current", "tele/x/SENSOR", `{"INA219":{"Voltage":4.494,"Current":0.020,"Power":0.089}}`, "x/INA219 voltage_v=4.494 current_a=0.02 power_w=0.089"},
	{"power that is a switch", "tele/x/SENSOR", `{"MtrReceived":{"Name":"Light0","Power":1},"IrReceived":{"IRHVAC":{"Power":1,"Temp":22}}}`, ""},
	{"energy that is none", "tele/x/SENSOR", `{"AS3935":{"Event":4,"Distance":12,"Energy":58622,"Stage":1},"LD2410":{"Distance":[200.0,null],"Energy":[13,100]}}`, "x/LD2410.1 distance_cm=200"},
	{"distance in millimetres", "tele/x/SENSOR", `{"VL53L0X_1":{"Distance":263},"SR04":{"Distance":16.754}}`, "x/VL53L0X_1 distance_cm=26.3; x/SR04 distance_cm=16.754"},
	{"Sonoff SC without a sensor's name", "tele/SC/SENSOR", `{"Time":"2018-01-19T20:15:16","Temperature":20.0,"Humidity":16.0,"Light":10,"TempUnit":"C"}`, "SC/ temperature_c=20 humidity_pct=16"},
	{"switches are not measured", "tele/x/SENSOR", `{"Switch1":"ON","Button1":{"Action":"SINGLE"},"COUNTER":{"C1":5},"Gas":{"Count":1.84}}`, ""},
	{"Zigbee devices are their own", "tele/Zb/SENSOR", `{"ZbReceived":{"0x8F20":{"Name":"Kitchen","Voltage":2.995,"Battery":98,"Temperature":21.01,"Humidity":53.68,"Pressure":1004.04,"PressureUnit":"hPa","Endpoint":1,"LinkQuality":88}},"TempUnit":"F"}`,
		"Kitchen/ battery_v=2.995 battery_pct=98 temperature_c=21.01 humidity_pct=53.68 pressure_hpa=1004.04"},
	{"Zigbee, the name as key", "tele/Zb/SENSOR", `{"ZbReceived":{"Kitchen":{"Device":"0x8F20","Temperature":21.01,"LinkQuality":88}}}`, "Kitchen/ temperature_c=21.01"},
	{"Zigbee, no name", "tele/Zb/SENSOR", `{"ZbReceived":{"0x01F3":{"Device":"0x01F3","BatteryVoltage":2.7,"BatteryPercentage":17,"LinkQuality":79}}}`, "0x01F3/ battery_v=2.7 battery_pct=17"},
	{"Zigbee, mains", "tele/Zb/SENSOR", `{"ZbReceived":{"0x7120":{"Name":"SHP15","Power":1,"ActivePower":75,"RMSVoltage":231,"RMSCurrent":204,"EnergyTotal":"0x000000000000","LinkQuality":1}}}`, "SHP15/ power_w=75 voltage_v=231"},
	{"Zigbee, wrapper left out", "tele/Zb/SENSOR", `{"0x5ADF":{"Temperature":20.5,"Endpoint":1,"LinkQuality":70}}`, "0x5ADF/ temperature_c=20.5"},
	{"Zigbee, wrapper in the topic", "tele/Zb/5ADF/ZbReceived", `{"0x5ADF":{"Temperature":20.5,"LinkQuality":70}}`, "0x5ADF/ temperature_c=20.5"},
	{"Zigbee, address left out", "tele/Zb/Kitchen/SENSOR", `{"ZbReceived":{"Temperature":20.5,"LinkQuality":70}}`, "Kitchen/ temperature_c=20.5"},
	{"Zigbee, all left out", "tele/Zb/Kitchen/SENSOR", `{"Temperature":20.5,"LinkQuality":70}`, "Kitchen/ temperature_c=20.5"},
	{"Zigbee, several endpoints", "tele/Zb/SENSOR", `{"ZbReceived":{"Strip":{"Power":1,"ActivePower":5,"ActivePower2":7,"LinkQuality":70}}}`, "Strip/ power_w=5; Strip/2 power_w=7"},
	{"Zigbee, what the bridge remembers", "tele/Zb/CD47/SENSOR", `{"ZbInfo":{"0xCD47":{"RMSVoltage":226,"ActivePower":10,"LinkQuality":185}}}`, ""},
	{"one Bluetooth sensor per topic", "tele/tasmota_ble/Flora6ab577", `{"mac":"c47c8d6ab577","Temperature":21.7,"Moisture":30,"Fertility":120,"Illuminance":null,"RSSI":-70}`, "Flora6ab577/ temperature_c=21.7 soil_moisture_pct=30 conductivity_us_cm=120"},
	{"a mark, blanks and a newline around", "tele/x/SENSOR", "\ufeff {\"DHT11\":{\"Temperature\":20}}\r\n", "x/DHT11 temperature_c=20"},
	{"the prefix in the middle", "home/tele/x/SENSOR", `{"DHT11":{"Temperature":20}}`, "home/x/DHT11 temperature_c=20"},
	{"no prefix at all", "kitchen/SENSOR", `{"Time":"2018-10-29T07:17:22","DHT11":{"Temperature":24.0}}`, "kitchen/DHT11 temperature_c=24"},
	{"a channel that no record can name", "tele/x/SENSOR", `{"a\u0000b":{"Temperature":20},"DHT11":{"Temperature":21}}`, "x/DHT11 temperature_c=21"},
}

func TestEveryFormOfTheFirmwareIsRead(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			got := decode(t, tasmota.New(), v.topic, v.payload)
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			if diff := cmp.Diff(v.want, render(got.Readings)); diff != "" {
				t.Errorf("readings differ (-want +got):\n%s", diff)
			}
			for _, r := range got.Readings {
				if err := r.Validate(); err != nil || r.Source != "tasmota" {
					t.Errorf("source %q: %v", r.Source, err)
				}
			}
		})
	}
}

// A device's word for "no value" leaves a count behind, so that a dead probe is
// seen although no wrong number is.
func TestSentinelsAreCounted(t *testing.T) {
	got := decode(t, tasmota.New(), "tele/x/SENSOR", `{"DS18B20":{"Temperature":-127},"Flora-1":{"Moisture":1078689792},"ENERGY":{"Power":1e400}}`)
	if got.Dropped != 3 || len(got.Readings) != 0 || got.Err != nil {
		t.Errorf("got %+v, want 3 dropped and nothing else", got)
	}
}

// Cut and broken messages give no reading at all and say what is wrong; 18
// probes are more than the firmware's buffer holds.
func TestBrokenMessagesAreRefusedWhole(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"DHT%d":{"Temperature":20}`, i)
	}
	for _, c := range []struct{ name, payload, want string }{
		{"bare nan", `{"DHT11":{"Temperature":nan}}`, "not JSON at byte 26: invalid character 'a' in literal null (expecting 'u')"},
		{"cut", `{"DS18B20-1":{"Id":"09B6BF17B32A","Temperature":1`, "not JSON at byte 49: unexpected end of JSON input"},
		{"sleeping CHIRP", `{"CHIRP0":{"sleeping"}}`, "not JSON at byte 22: invalid character '}' after object key"},
		{"trailing comma", `{"A":1,}`, "not JSON at byte 8: invalid character '}' looking for beginning of object key string"},
		{"one brace too many", `{"A":1}}`, "not JSON at byte 8: invalid character '}' after top-level value"},
		{"not UTF-8", "{\"A\":\"\xf1\"}", "not UTF-8 at byte 6"},
		{"an array", `[1]`, "an object is wanted, not an array"},
		{"a number", `12`, "an object is wanted, not a number"},
		{"empty", " \n", "payload is empty"},
		{"a bomb", deep, "nested deeper than 32"},
		{"a flood", "{" + strings.Join(many, ",") + "}", "message holds more than 256 values"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decode(t, tasmota.New(), "tele/x/SENSOR", c.payload)
			if got.Err == nil || got.Err.Error() != c.want || len(got.Readings) > 0 {
				t.Errorf("got error %v and %d readings, want error %q", got.Err, len(got.Readings), c.want)
			}
		})
	}
	long := strings.Repeat("x", 300)
	if got := decode(t, tasmota.New(), "tele/"+long+"/SENSOR", `{"DHT11":{"Temperature":20}}`); got.Err == nil {
		t.Error("a device name of 300 bytes is no error")
	}
}

// Which messages are Tasmota's decides whether another dialect gets to see them.
func TestMessagesOfOthersAreLeftAlone(t *testing.T) {
	for _, c := range []struct {
		topic, payload string
		mine           bool
	}{
		{"tele/x/STATE", `{"POWER":"ON"}`, true},
		{"tele/x/INFO1", "{}", true},
		{"stat/x/POWER2", "ON", true},
		{"stat/x/STATUS11", "{}", true},
		{"cmnd/x/EnergyTotal", "12345", true},
		{"x/cmnd/Power", "ON", true},
		{"tasmota/discovery/97DA9DB75FBC/sensors", `{"sn":{"DHT11":{"Temperature":20}}}`, true},
		{"tele/SENSOR", `{"Time":"2018-10-29T07:17:22","DHT11":{"Temperature":24.0}}`, false},
		{"kitchen/SENSOR", `{"DHT11":{"Temperature":24.0}}`, false},
		{"kitchen/SENSOR", `21.5`, false},
		{"SENSOR", `{"Time":"x"}`, false},
		{"tele/x/whatever", "1", false},
		{"television/x/SENSOR", "1", false},
		{"zigbee2mqtt/plug", `{"power":5}`, false},
		{"home/OMG/LWT", "Online", false},
		{"", "", false},
	} {
		got, mine := tasmota.New().Decode(dialect.Message{Topic: c.topic, Payload: []byte(c.payload)})
		if mine != c.mine || len(got.Readings) != 0 || got.Err != nil {
			t.Errorf("%s: got mine %v, %+v, want mine %v and nothing read", c.topic, mine, got, c.mine)
		}
	}
}

// An unambiguous instant is worth having; everything else must not become one.
// A board without network says 1970.
func TestOnlyUnambiguousTimesCount(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{`"Time":"2019-09-04T13:08:48"`, ""},
		{`"Time":"2018.02.04 23:17:01"`, ""},
		{`"Time":"2019-09-04T13:08:48.123"`, ""},
		{`"Time":"1970-01-01T00:00:07+00:00"`, ""},
		{`"Time":""`, ""},
		{`"Time":null`, ""},
		{`"Time":true`, ""},
		{`"Time":-5`, ""},
		{`"Time":1e300`, ""},
		{`"Time":"2019-09-04T13:08:48","Epoch":12`, ""},
		{`"Time":"2019-09-04T13:08:48","Epoch":1567595328`, "2019-09-04T11:08:48Z"},
		{`"Time":1567595328`, "2019-09-04T11:08:48Z"},
		{`"Time":1567595328123`, "2019-09-04T11:08:48.123Z"},
		{`"Time":"2019-09-04T13:08:48+02:00"`, "2019-09-04T11:08:48Z"},
		{`"Time":"2019-09-04T11:08:48Z"`, "2019-09-04T11:08:48Z"},
	} {
		got := decode(t, tasmota.New(), "tele/x/SENSOR", "{"+c.header+`,"DHT11":{"Temperature":20}}`)
		if len(got.Readings) != 1 {
			t.Errorf("%s costs the reading: %+v", c.header, got)
			continue
		}
		var want time.Time
		if c.want != "" {
			want, _ = time.Parse(time.RFC3339Nano, c.want)
		}
		if !got.Readings[0].Time.Equal(want) {
			t.Errorf("%s: got %v, want %v", c.header, got.Readings[0].Time, want)
		}
	}
}
