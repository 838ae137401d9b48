package theengs_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/theengs"
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

func decode(t *testing.T, d *theengs.Decoder, topic, payload string) dialect.Result {
	t.Helper()
	got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	if !mine {
		t.Fatalf("%s is not taken for a gateway's", topic)
	}
	return got
}

// variants are messages in forms that the decoder's source and tests give,
// beyond those of the vectors.
var variants = []struct {
	name, topic, payload, want string
	dropped                    int
}{
	{"a soil sensor's conductivity", "home/OMG/BTtoMQTT/C47C8D6AB577", `{"id":"C4:7C:8D:6A:B5:77","type":"PLANT","rssi":-70,"distance":3.1,"fer":120}`, "C47C8D6AB577/ conductivity_us_cm=120", 0},
	{"a MAC with colons, in small letters", "home/OMG/BTtoMQTT/c4:7c:8d:6a:b5:77", `{"moi":30}`, "C47C8D6AB577/ soil_moisture_pct=30", 0},
	{"the MAC in the object alone", "home/OMG/BTtoMQTT", `{"id":"C4:7C:8D:6A:B5:77","moi":30}`, "C47C8D6AB577/ soil_moisture_pct=30", 0},
	{"an iBeacon named by its UUID", "home/OMG/BTtoMQTT/1de4b189115e45f6b44e509352269977", `{"model_id":"IBEACON","volt":3.01,"txpower":-66}`, "1de4b189115e45f6b44e509352269977/ battery_v=3.01", 0},
	{"a base topic of three levels", "garden/north/omg1/BTtoMQTT/A4C138000001", `{"hum":55}`, "A4C138000001/ humidity_pct=55", 0},
	{"pressure and dew point", "home/TG/BTtoMQTT/AA", `{"type":"THBX","tempc":23.9,"tempf":75.02,"hum":43.5,"pres":1013.5,"tempc2_dp":10.8,"tempf2_dp":51.44}`,
		"AA/ temperature_c=23.9 humidity_pct=43.5 pressure_hpa=1013.5 dew_point_c=10.8", 0},
	{"the pressure of a tyre is in bar", "home/TG/BTtoMQTT/AA", `{"pres":2.3,"type":"TIRE"}`, "AA/ pressure_hpa=2300", 0},
	{"air", "home/TG/BTtoMQTT/AA", `{"type":"AIR","pm25":113,"pm10":114,"co2":1005}`, "AA/ co2_ppm=1005", 0},
	{"the probes of a grill", "home/TG/BTtoMQTT/AA", `{"type":"BBQ","tempc1":23,"tempf1":73.4,"tempc2":115,"batt":70}`, "AA/1 temperature_c=23; AA/2 temperature_c=115; AA/ battery_pct=70", 0},
	{"a level in two units", "home/TG/BTtoMQTT/AA", `{"type":"UNIQ","lvl_cm":15.5,"lvl_in":6.1}`, "AA/ distance_cm=15.5", 0},
	{"an energy meter names its units", "home/TG/BTtoMQTT/AA", `{"type":"ENRG","avg":1.5,"avgu":"kW","sum":123.4,"sumu":"kWh","batt":90}`, "AA/ power_w=1500 energy_kwh=123.4 battery_pct=90", 0},
	{"volts of no battery", "home/TG/BTtoMQTT/AA", `{"type":"ENRG","volt":231}`, "", 1},
	{"a gas meter's units are not power", "home/TG/BTtoMQTT/AA", `{"type":"ENRG","avg":1.5,"avgu":"m³","sum":123.4,"sumu":"m³"}`, "", 0},
	{"a RuuviTag that measures nothing", "home/TG/BTtoMQTT/AA", `{"type":"ACEL","hum":127.5,"tempc":-127.99,"pres":1155.35,"volt":65.535}`, "AA/ pressure_hpa=1155.35", 3},
	{"impossible soil", "home/TG/BTtoMQTT/AA", `{"moi":255,"fer":65535,"lux":-5,"batt":255}`, "", 4},
	{"null, booleans, objects and text", "home/TG/BTtoMQTT/AA", `{"tempc":null,"hum":true,"moi":{"a":1},"lux":"dark","fer":"1,5","batt":"0x1F"}`, "", 0},
	{"infinite", "home/TG/BTtoMQTT/AA", `{"tempc":1e400,"hum":50}`, "AA/ humidity_pct=50", 1},
	{"minus zero", "home/TG/BTtoMQTT/AA", `{"tempc":-0.0}`, "AA/ temperature_c=0", 0},
	{"a key twice", "home/TG/BTtoMQTT/AA", `{"tempc":1,"tempc":2,"tem":3}`, "AA/ temperature_c=1", 0},
	{"presence measures nothing", "home/OMG/BTtoMQTT/45E174126E00", `{"id":"45:e1:74:12:6e:00","rssi":-89,"distance":21.51847}`, "", 0},
	{"a phone with a new MAC each quarter", "home/OMG/BTtoMQTT/45E174126E00", `{"batt":50,"type":"RMAC","unlocked":true}`, "", 0},
	{"blanks and a mark around", "home/OMG/BTtoMQTT/AA", "\ufeff {\"hum\":55}\r\n", "AA/ humidity_pct=55", 0},
	{"one topic per value", "home/BTtoMQTT/474807025FF6/moi", "12.5\n", "474807025FF6/ soil_moisture_pct=12.5", 0},
	{"one topic per value, old names", "home/BTtoMQTT/474807025FF6/tem", "19.2", "474807025FF6/ temperature_c=19.2", 0},
	{"one topic per value, none", "home/BTtoMQTT/474807025FF6/tem", "NaN", "", 0},
	{"one topic per value, cleared", "home/BTtoMQTT/474807025FF6/tem", "", "", 0},
	{"one topic per value, another", "home/BTtoMQTT/474807025FF6/rssi", "-80", "", 0},
	{"the gateway's own chip", "home/OMG/SYStoMQTT", `{"tempc":48.3}`, "", 0},
	{"a command to the gateway", "home/OMG/commands/MQTTtoBT/config", `{"interval":66000,"tempc":1}`, "", 0},
}

func TestEveryFormIsRead(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			got := decode(t, theengs.New(), v.topic, v.payload)
			if got.Err != nil || render(got.Readings) != v.want || got.Dropped != v.dropped {
				t.Errorf("got %q, %d dropped, error %v, want %q, %d dropped", render(got.Readings), got.Dropped, got.Err, v.want, v.dropped)
			}
			for _, r := range got.Readings {
				if r.Source != theengs.New().Name() {
					t.Errorf("got source %q", r.Source)
				}
			}
		})
	}
}

// A step of a story: what a gateway says of a sensor, and whether it is read.
type step struct {
	gateway, payload string
	read             bool
}

func tell(t *testing.T, d *theengs.Decoder, steps ...step) {
	t.Helper()
	for i, s := range steps {
		got := decode(t, d, "home/"+s.gateway+"/BTtoMQTT/C47C8D6AB577", s.payload)
		if read := len(got.Readings) > 0; read != s.read || got.Err != nil {
			t.Errorf("step %d, %s says %s: got read %v, error %v, want read %v", i+1, s.gateway, s.payload, read, got.Err, s.read)
		}
	}
}

// Two gateways in earshot would double every reading of a sensor.
func TestWhatSeveralGatewaysHearIsReadOnce(t *testing.T) {
	for name, steps := range map[string][]step{
		"one after the other": {
			{"a", `{"moi":30}`, true}, {"b", `{"moi":30}`, false}, {"c", `{"moi":30}`, false},
			{"a", `{"moi":31}`, true}, {"b", `{"moi":31}`, false}, {"c", `{"moi":31}`, false},
		},
		"the same value again": {
			{"a", `{"moi":30}`, true}, {"b", `{"moi":30}`, false}, {"a", `{"moi":30}`, true}, {"b", `{"moi":30}`, false},
		},
		"in turns": {
			{"a", `{"moi":30}`, true}, {"b", `{"moi":30}`, false}, {"b", `{"moi":30}`, true}, {"a", `{"moi":30}`, false},
			{"b", `{"moi":31}`, true}, {"a", `{"moi":31}`, false}, {"a", `{"moi":32}`, true}, {"b", `{"moi":32}`, false},
		},
		"one lags behind": {
			{"a", `{"moi":30}`, true}, {"a", `{"moi":30}`, true}, {"a", `{"moi":30}`, true},
			{"b", `{"moi":30}`, false}, {"b", `{"moi":30}`, false}, {"b", `{"moi":30}`, false},
		},
		"one value at a time, interleaved": {
			{"a", `{"moi":30}`, true}, {"a", `{"tempc":20}`, true}, {"b", `{"moi":30}`, false}, {"b", `{"tempc":20}`, false},
		},
		"sets in which one value changes": {
			{"a", `{"tempc":20,"hum":50}`, true}, {"b", `{"tempc":20,"hum":50}`, false},
			{"b", `{"tempc":20,"hum":51}`, true}, {"a", `{"tempc":20,"hum":51}`, false},
		},
		"the same from one gateway is new": {
			{"a", `{"moi":0}`, true}, {"a", `{"moi":0}`, true}, {"a", `{"moi":0}`, true},
		},
		"the first gateway is gone": {
			{"a", `{"moi":30}`, true}, {"a", `{"moi":30}`, true}, {"a", `{"moi":30}`, true}, {"a", `{"moi":30}`, true}, {"a", `{"moi":30}`, true},
			{"b", `{"moi":30}`, false}, {"b", `{"moi":30}`, false}, {"b", `{"moi":30}`, false}, {"b", `{"moi":30}`, true}, {"b", `{"moi":30}`, true},
		},
		"a change is always read": {
			{"a", `{"moi":30}`, true}, {"b", `{"moi":29}`, true}, {"a", `{"moi":29}`, false}, {"a", `{"moi":28}`, true},
		},
	} {
		t.Run(name, func(t *testing.T) { tell(t, theengs.New(), steps...) })
	}
}

// Random addresses and invented gateways must neither fill the memory nor cost
// a reading.
func TestTablesAreBounded(t *testing.T) {
	d := theengs.New()
	for n := range 3000 {
		topic := fmt.Sprintf("home/g/BTtoMQTT/%012X", n)
		if got := decode(t, d, topic, `{"moi":30}`); len(got.Readings) != 1 {
			t.Fatalf("sensor %d: got %+v", n, got)
		}
	}
	for n := range 100 {
		topic := fmt.Sprintf("home/g%d/BTtoMQTT/%012X", n, 3000+n)
		if got := decode(t, d, topic, `{"moi":30}`); len(got.Readings) != 1 {
			t.Fatalf("gateway %d: got %+v", n, got)
		}
	}
	// The newest sensors are still known, and so are the first gateways.
	tell(t, d, step{"g", `{"moi":30}`, true}, step{"g1", `{"moi":30}`, false}, step{"g99", `{"moi":30}`, true}, step{"g99", `{"moi":30}`, true})
}

// A gateway that dies takes all its sensors with it.
func TestLastWillOfAKnownGatewayIsAnEvent(t *testing.T) {
	d := theengs.New()
	lwt := dialect.Message{Topic: "home/OMG_Kitchen/LWT", Payload: []byte("offline")}
	if got, mine := d.Decode(lwt); mine || len(got.Events) > 0 {
		t.Errorf("of an unknown gateway: got mine %v, %+v", mine, got)
	}
	decode(t, d, "home/OMG_Kitchen/SYStoMQTT", `{"uptime":5}`)
	for payload, want := range map[string]reading.EventType{"offline": reading.DeviceOffline, "online\n": reading.DeviceOnline, "Online": "", "": ""} {
		got := decode(t, d, lwt.Topic, payload)
		switch {
		case want == "" && len(got.Events) == 0:
		case len(got.Events) != 1 || got.Events[0].Type != want || got.Events[0].Device != "OMG_Kitchen":
			t.Errorf("%q: got %+v, want %s", payload, got.Events, want)
		default:
			if err := got.Events[0].Validate(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestBrokenMessagesAreRefusedWhole(t *testing.T) {
	for _, c := range []struct{ topic, payload string }{
		{"home/OMG/BTtoMQTT/AA", `{"tempc":nan}`},
		{"home/OMG/BTtoMQTT/AA", `{"tempc":1.2`},
		{"home/OMG/BTtoMQTT/AA", `{"tempc":1.2}}`},
		{"home/OMG/BTtoMQTT/AA", `[1]`},
		{"home/OMG/BTtoMQTT/AA", ``},
		{"home/OMG/BTtoMQTT/AA", "{\"hum\":1,\"name\":\"\xf1\"}"},
		{"home/OMG/BTtoMQTT", `{"hum":1}`},
		{"home/OMG/BTtoMQTT/" + strings.Repeat("A", 300), `{"hum":1}`},
		{"home/BTtoMQTT/474807025FF6/moi", "12 %"},
		{"home/BTtoMQTT/474807025FF6/moi", "12,5"},
	} {
		if got := decode(t, theengs.New(), c.topic, c.payload); got.Err == nil || len(got.Readings) > 0 {
			t.Errorf("%.60s %s: got %+v, want an error", c.topic, c.payload, got)
		}
	}
}

func TestMessagesOfOthersAreLeftAlone(t *testing.T) {
	for _, topic := range []string{
		"", "tele/x/SENSOR", "zigbee2mqtt/plug", "home/OMG/RTL_433toMQTT", "home/OMG/CLIMAtoMQTT/dht", "home/OMG/BTtoMQTTx", "/BTtoMQTT/AA", "BTtoMQTT/AA", "esp/LWT",
		"home_presence/OMG",
	} {
		if got, mine := theengs.New().Decode(dialect.Message{Topic: topic, Payload: []byte(`{"tempc":20}`)}); mine || len(got.Readings) > 0 {
			t.Errorf("%q is taken for a gateway's", topic)
		}
	}
}

// All gateways are clients of their own, read at the same time.
func TestDecodersAreSharedByClients(t *testing.T) {
	d := theengs.New()
	var clients sync.WaitGroup
	var read [8]int
	for n := range read {
		clients.Go(func() {
			for i := range 200 {
				topic := fmt.Sprintf("home/g%d/BTtoMQTT/%012X", n, i)
				got, _ := d.Decode(dialect.Message{Topic: topic, Payload: []byte(`{"moi":30}`)})
				read[n] += len(got.Readings)
			}
		})
	}
	clients.Wait()
	total := 0
	for _, n := range read {
		total += n
	}
	if total != 200 {
		t.Errorf("200 advertisements heard by 8 gateways give %d readings, want 200", total)
	}
}
