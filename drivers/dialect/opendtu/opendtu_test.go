package opendtu_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/opendtu"
)

const serial = "114172608275"

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
	for _, r := range got.Readings {
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

func decode(d *opendtu.Decoder, topic, payload string) string {
	return render(d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)}))
}

var variants = []struct{ name, topic, payload, want string }{
	{"another base topic", "home/roof/" + serial + "/0/power", "5.7", serial + "/0 power_w=5.7"},
	{"no base topic", serial + "/0/voltage", "231.4", serial + "/0 voltage_v=231.4"},
	{"a serial number with letters", "solar/1164a00f3c4e/2/current", "1.05", "1164a00f3c4e/2 current_a=1.05"},
	{"the sixth input", "solar/" + serial + "/6/voltage", "33.1", serial + "/6 voltage_v=33.1"},
	{"three phases", "solar/" + serial + "/0/voltage ph2-n", "230.1", serial + "/0.L2 voltage_v=230.1"},
	{"between phases", "solar/" + serial + "/0/voltage ph3-ph1", "399.1", serial + "/0.L3-L1 voltage_v=399.1"},
	{"a phase's current", "solar/" + serial + "/0/current ph1", "1.1", serial + "/0.L1 current_a=1.1"},
	{"reactive power", "solar/" + serial + "/0/reactivepower", "-0.1", serial + "/0 reactive_power_var=-0.1"},
	{"frequency", "solar/" + serial + "/0/frequency", "50.01", serial + "/0 frequency_hz=50.01"},
	{"a power factor in percent", "solar/" + serial + "/0/powerfactor", "99.9", serial + "/0 power_factor=0.999"},
	{"a power factor that cannot be", "solar/" + serial + "/0/powerfactor", "1.5", serial + "/0 power_factor=1.5?"},
	{"the sum of an AC side", "solar/ac/power", "285.7", "solar/ac power_w=285.7"},
	{"the sum of all inputs", "solar/dc/power", "300.1", "solar/dc power_w=300.1"},
	{"irradiation of all inputs", "solar/dc/irradiation", "12.345", "solar/dc irradiation_pct=12.345"},
	{"a lifetime's sum", "solar/ac/yieldtotal", "465.294", "solar/ac energy_kwh=465.294"},
	{"zero of a sum at night", "solar/ac/yieldtotal", "0.000", "solar/ac energy_kwh=0?"},
	{"zero of an input at night", "solar/" + serial + "/2/yieldtotal", "0.000", serial + "/2 energy_kwh=0?"},
	{"the day begins", "solar/" + serial + "/0/yieldday", "0", serial + "/0 energy_today_kwh=0"},
	{"zero power is night", "solar/" + serial + "/0/power", "0.0", serial + "/0 power_w=0"},
	{"every bit of a counter", "solar/" + serial + "/1/yieldday", "65535", serial + "/1 energy_today_kwh=65.535?"},
	{"every bit of a voltage", "solar/" + serial + "/1/voltage", "6553.5", serial + "/1 voltage_v=6553.5?"},
	{"a number with a newline", "solar/" + serial + "/0/power", "5.7\n", serial + "/0 power_w=5.7"},
	{"the base topic of somebody else's sum", "home/ac/power", "812", "foreign"},
	{"words without a number", "home/ac/power", "ON", "foreign"},
	{"a sum that nobody else has", "home/roof/ac/yieldday", "12", "home/roof/ac energy_today_kwh=0.012"},
	{"the box is born", "solar/dtu/status", "online", "device_online solar"},
	{"the box dies", "solar/dtu/status", "offline", "device_offline solar"},
	{"heap", "solar/dtu/heap/free", "123456", ""},
	{"rssi", "solar/dtu/rssi", "-60", ""},
	{"a limit", "solar/" + serial + "/status/limit_relative", "50.0", ""},
	{"a command", "solar/" + serial + "/cmd/limit_persistent_absolute", "300", ""},
	{"radio", "solar/" + serial + "/radio/tx_request", "812", ""},
	{"hardware", "solar/" + serial + "/device/hwpartnumber", "270479104", ""},
	{"events of the inverter", "solar/" + serial + "/0/eventlogcount", "7", ""},
	{"a name that is a number", "solar/" + serial + "/name", "42", ""},
	{"a name of an input that is a number", "solar/" + serial + "/1/name", "42", ""},
	{"removed from the broker", "solar/" + serial + "/0/power", "", ""},
	{"not a number", "solar/" + serial + "/0/power", "nan", "error"},
	{"a unit inside", "solar/" + serial + "/0/power", "5.7 W", "error"},
	{"a decimal comma", "solar/" + serial + "/0/power", "5,7", "error"},
	{"infinite", "solar/" + serial + "/0/power", "1e400", "error"},
	{"text", "solar/" + serial + "/0/power", "unknown", "error"},
	{"a time that is none", "solar/" + serial + "/status/last_update", "never", "error"},
	{"a MAC address", "home/a4a7696d6350/0/power", "5", "foreign"},
	{"thirteen digits", "solar/1141726082755/0/power", "5", "foreign"},
	{"an IMEI", "gps/123456789012345/0/power", "5", "foreign"},
	{"a group that is none", "solar/" + serial + "/10/power", "5", "foreign"},
	{"Tasmota", "tele/washer/SENSOR", "{}", "foreign"},
	{"an empty topic", "", "5", "foreign"},
}

func TestVariantsAreRead(t *testing.T) {
	for _, v := range variants {
		if got := decode(opendtu.New(), v.topic, v.payload); got != v.want {
			t.Errorf("%s: got %q, want %q", v.name, got, v.want)
		}
	}
}

// At night OpenDTU sends zeros for an inverter that it cannot reach. They are
// no measurement, and the time of the last one is not theirs.
func TestZerosOfAnUnreachableInverterAreCached(t *testing.T) {
	d := opendtu.New()
	say := func(word, payload string) string { return decode(d, "solar/"+serial+"/"+word, payload) }
	for i, step := range []struct{ word, payload, want string }{
		{"status/reachable", "1", ""},
		{"0/power", "5.7", serial + "/0 power_w=5.7"},
		{"status/reachable", "0", "device_offline " + serial},
		{"status/reachable", "0", ""},
		{"0/power", "0.0", serial + "/0 power_w=0 cached"},
		{"0/yieldtotal", "0", serial + "/0 energy_kwh=0? cached"},
		{"status/reachable", "1", "device_online " + serial},
		{"0/power", "2.1", serial + "/0 power_w=2.1"},
	} {
		if got := say(step.word, step.payload); got != step.want {
			t.Errorf("step %d, %s: got %q, want %q", i, step.word, got, step.want)
		}
	}
	if got := decode(d, "solar/116480000001/0/power", "3"); strings.Contains(got, "cached") {
		t.Errorf("another inverter is cached, too: %q", got)
	}
}

// A sum that lacks an inverter looks like a counter that was set back.
func TestSumWithoutAllInvertersIsDoubtful(t *testing.T) {
	d := opendtu.New()
	decode(d, "solar/ac/is_valid", "0")
	if got, want := decode(d, "solar/ac/yieldtotal", "12.5"), "solar/ac energy_kwh=12.5?"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := decode(d, "solar/dc/power", "12.5"), "solar/dc power_w=12.5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	decode(d, "solar/ac/is_valid", "1")
	if got, want := decode(d, "solar/ac/yieldtotal", "13"), "solar/ac energy_kwh=13"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The box says when it heard the inverter; before it knows the time it counts
// from 1970, which says nothing.
func TestTimeOfTheLastPollIsTheValues(t *testing.T) {
	for payload, want := range map[string]time.Time{
		"1770827328": time.Unix(1770827328, 0), "0": {}, "25200": {}, "-5": {}, "1e300": {},
	} {
		d := opendtu.New()
		decode(d, "solar/"+serial+"/status/last_update", payload)
		got, _ := d.Decode(dialect.Message{Topic: "solar/" + serial + "/1/power", Payload: []byte("3")})
		if len(got.Readings) != 1 || !got.Readings[0].Time.Equal(want) {
			t.Errorf("%s: got %+v, want time %v", payload, got.Readings, want)
		}
	}
}

// Where the base topic is known from an inverter, its sums are, too.
func TestBaseTopicIsLearnedFromInverters(t *testing.T) {
	d := opendtu.New()
	if got := decode(d, "ac/power", "5"); got != "foreign" {
		t.Errorf("got %q before any inverter", got)
	}
	decode(d, serial+"/0/power", "5")
	if got, want := decode(d, "ac/power", "5"), "opendtu/ac power_w=5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	decode(d, "roof/"+serial+"/0/power", "5")
	if got, want := decode(d, "roof/ac/power", "5"), "roof/ac power_w=5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A flood of topics fills neither the memory nor stops what is known.
func TestTablesAreBounded(t *testing.T) {
	d := opendtu.New()
	decode(d, "solar/"+serial+"/status/reachable", "0")
	for i := range 5000 {
		decode(d, fmt.Sprintf("b%d/1141%08d/status/reachable", i, i), "0")
	}
	if got := decode(d, "solar/"+serial+"/0/power", "0"); !strings.HasSuffix(got, "cached") {
		t.Errorf("the first inverter is forgotten: %q", got)
	}
	if got := decode(d, "b4999/114100004999/0/power", "0"); strings.HasSuffix(got, "cached") {
		t.Errorf("got %q: the table has no end", got)
	}
	if got := decode(d, "b4999/ac/power", "0"); got != "foreign" {
		t.Errorf("got %q: the table has no end", got)
	}
	long := strings.Repeat("x", 60000)
	if got := decode(d, long+"/ac/yieldday", "5"); got != "error" {
		t.Errorf("a device name of 60 kB: got %.20q", got)
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	d := opendtu.New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				decode(d, fmt.Sprintf("solar/1141%08d/status/reachable", n%20), strconv.Itoa(i%2))
				decode(d, fmt.Sprintf("solar/1141%08d/0/power", n%20), "5")
			}
		})
	}
	wg.Wait()
}
