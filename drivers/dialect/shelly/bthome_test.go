package shelly_test

import (
	"fmt"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/shelly"
)

func freshBTHome() corpus.Decoder { return shelly.NewBTHome() }

const bluTopic = "shelly-blu/events/7c:c6:b6:62:41:aa"

var bthomeVariants = []variant{
	{"climate", bluTopic, `{"encryption":false,"BTHome_version":2,"pid":58,"battery":100,"humidity":46,"temperature":21.3,"rssi":-61,"address":"7c:c6:b6:62:41:aa"}`,
		"7CC6B66241AA/ battery_pct=100 humidity_pct=46 temperature_c=21.3"},
	{"the script's other spelling", bluTopic, `{"Temperature":21.3,"Humidity":46,"addr":"7c:c6:b6:62:41:aa"}`, "7CC6B66241AA/ temperature_c=21.3 humidity_pct=46"},
	{"several of a kind", bluTopic, `{"pid":1,"temperature":[21.3,null,4.5],"battery":99}`, "7CC6B66241AA/1 temperature_c=21.3; 7CC6B66241AA/3 temperature_c=4.5; 7CC6B66241AA/ battery_pct=99"},
	{"a button is no measurement", bluTopic, `{"pid":2,"button":[0,1,0,0]}`, ""},
	{"a window", bluTopic, `{"pid":12,"battery":100,"illuminance":13,"window":0,"rotation":0}`, "7CC6B66241AA/ battery_pct=100 illuminance_lx=13"},
	{"whatever else BTHome knows", bluTopic, `{"dewpoint":9.5,"pressure":1013.2,"co2":500,"power":5,"energy":1.5,"voltage":3.01,"current":0.5,"precipitation":2.5,"count":7,"a_key_longer_than_any":1}`,
		"7CC6B66241AA/ dew_point_c=9.5 pressure_hpa=1013.2 co2_ppm=500 power_w=5 energy_kwh=1.5 voltage_v=3.01 current_a=0.5 rain_mm=2.5"},
	{"a distance", bluTopic, `{"pid":12,"distance_mm":1234,"vibration":0}`, "7CC6B66241AA/ distance_cm=123.4"},
	{"wet soil", bluTopic, `{"moisture":41.5,"conductivity":120}`, "7CC6B66241AA/ soil_moisture_pct=41.5 conductivity_us_cm=120"},
	{"wet, yes or no", bluTopic, `{"moisture":1,"battery":50}`, "7CC6B66241AA/ battery_pct=50"},
	{"nobody can read it", bluTopic, `{"encryption":true,"BTHome_version":2,"battery":5}`, ""},
	{"text, null and infinity are no numbers", bluTopic, `{"battery":"50","temperature":null,"humidity":true,"illuminance":1e400}`, ""},
	{"more than all", bluTopic, `{"battery":200,"humidity":101.5,"temperature":-300}`, ""},
	{"the address in the body", "shelly-blu/events/greenhouse", `{"temperature":3,"address":"7C-C6-B6-62-41-AA"}`, "7CC6B66241AA/ temperature_c=3"},
	{"a name of the owner's", "shelly-blu/events/greenhouse", `{"temperature":3}`, "greenhouse/ temperature_c=3"},
	{"a cleared retained message", bluTopic, "", ""},
	{"ioBroker's script", "shellyplus1-aabbcc/events/ble", `{"scriptVersion":"0.5","src":"shellyplus1-aabbcc","srcBle":{"type":"SBMO-003Z","mac":"bc:02:6e:c3:93:c3"},"payload":{"encryption":false,"BTHome_version":2,"pid":182,"battery":100,"temperature":25.9,"illuminance":427,"motion":1,"rssi":-66}}`,
		"BC026EC393C3/ battery_pct=100 temperature_c=25.9 illuminance_lx=427"},
	{"ioBroker's script, undecoded", "shellyplus1-aabbcc/events/ble", `{"scriptVersion":"1.2","src":"shellyplus1-aabbcc","srcBle":{"type":"SBMO-003Z","mac":"bc:02:6e:c3:93:c3"},"payload":"4400a40164"}`, ""},
}

func TestBTHomeScriptsAreRead(t *testing.T) { holdVariants(t, bthomeVariants, freshBTHome) }

func TestBrokenPacketsAreRefusedWhole(t *testing.T) {
	holdRefusals(t, []refusal{
		{"cut", bluTopic, `{"battery":9`, "not JSON"},
		{"nan", bluTopic, `{"temperature":nan}`, "not JSON"},
		{"a number", bluTopic, `12`, "an object is wanted"},
		{"nobody's", "shelly-blu/events/", `{"battery":9}`, "no address"},
	}, freshBTHome)
}

// Two Shellys hear the same sensor, one of them later than the other: each
// packet counts once, and a new packet with the same values counts.
func TestAPacketIsReadOnceHoweverManyHearIt(t *testing.T) {
	d := freshBTHome()
	for _, c := range []struct {
		pid, temperature, rssi int
		news                   bool
	}{
		{31, 20, -60, true}, {31, 20, -80, false}, {32, 20, -60, true}, {33, 21, -60, true}, {32, 20, -81, false}, {33, 21, -80, false},
		{255, 21, -60, true}, {0, 21, -60, true},
		{31, 25, -60, true}, // a new battery, and the count begins elsewhere
	} {
		got := decode(t, d, bluTopic, fmt.Sprintf(`{"pid":%d,"temperature":%d,"rssi":%d}`, c.pid, c.temperature, c.rssi))
		if news := len(got.Readings) == 1; news != c.news || got.Err != nil {
			t.Errorf("packet %+v: got %+v", c, got)
		}
	}
}

// A script that drops the counter leaves nothing to know a packet by: a steady
// temperature is not a repeated one.
func TestPacketsWithoutANumberAreAllRead(t *testing.T) {
	d := freshBTHome()
	for range 3 {
		if got := decode(t, d, bluTopic, `{"temperature":20}`); len(got.Readings) != 1 {
			t.Errorf("got %+v", got)
		}
	}
}

// The air is full of sensors, and whoever may publish can invent more.
func TestAFloodOfSensorsIsStillRead(t *testing.T) {
	d := freshBTHome()
	for i := range 3000 {
		topic := fmt.Sprintf("shelly-blu/events/%012x", i)
		for range 2 {
			got, _ := d.Decode(dialect.Message{Topic: topic, Payload: []byte(`{"pid":1,"temperature":20}`)})
			if got.Err != nil || i > 2000 && len(got.Readings) != 1 {
				t.Fatalf("sensor %d: %+v", i, got)
			}
		}
	}
}
