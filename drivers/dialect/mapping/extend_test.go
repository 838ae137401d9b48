package mapping_test

import (
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// native is a dialect that reads what it is told to.
type native struct{ result dialect.Result }

func (native) Name() string { return "tasmota" }
func (n native) Decode(m dialect.Message) (dialect.Result, bool) {
	if !strings.HasPrefix(m.Topic, "tele/") {
		return dialect.Result{}, false
	}
	return n.result, true
}

func TestExtendsAddsToWhatTheNativeDialectReads(t *testing.T) {
	base := func(values ...reading.Value) dialect.Result {
		return dialect.Result{Readings: []reading.Reading{
			{Device: "garden", Source: "tasmota", Values: []reading.Value{{Metric: reading.Temperature, Number: 20}}},
			{Device: "garden", Channel: "ANALOG", Source: "tasmota", Values: values},
		}}
	}
	d := only(t, all)
	raw := reading.Value{Metric: reading.ADCRaw, Number: 607}
	m := dialect.Message{Topic: "tele/garden/SENSOR", Payload: []byte(`{"ANALOG":{"A0":607}}`)}
	n := native{base(raw)}
	e := d.Extending(n)
	if got, want := brief(e.Decode(m)), "garden/ temperature_c=20, garden/ANALOG adc_raw=607, garden/ANALOG soil_moisture_pct=50"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, _ := e.Decode(m); got.Readings[1].Calibration == "" || got.Readings[1].Source != "tasmota" {
		t.Errorf("got %+v, want the calibration and the native source", got.Readings[1])
	}
	if len(n.result.Readings[1].Values) != 1 {
		t.Error("what the native dialect returned was changed")
	}
	own := d.Extending(native{base(reading.Value{Metric: reading.SoilMoisture, Number: 99})})
	if got, want := brief(own.Decode(m)), "garden/ temperature_c=20, garden/ANALOG soil_moisture_pct=50, garden/ANALOG soil_moisture_raw=607"; got != want {
		t.Errorf("the owner's word does not count: got %s, want %s", got, want)
	}
	for _, c := range []struct {
		native  dialect.Result
		topic   string
		payload string
		want    string
	}{
		{dialect.Result{}, "tele/garden/SENSOR", `{"ANALOG":{"A0":607}}`, ""},
		{dialect.Result{Err: dialect.ErrEmpty}, "tele/garden/SENSOR", `{"ANALOG":{"A0":607}}`, "error"},
		{base(raw), "tele/other/SENSOR", `{"ANALOG":{"A0":607}}`, "garden/ temperature_c=20, garden/ANALOG adc_raw=607"},
		{base(raw), "tele/garden/SENSOR", `{`, "error"},
		{base(raw), "else/garden/SENSOR", `{"ANALOG":{"A0":607}}`, "not mine"},
	} {
		if got := ask(d.Extending(native{c.native}), c.topic, c.payload); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.topic, c.payload, got, c.want)
		}
	}
	if got := d.Extends(); len(got) != 1 || got[0] != "tasmota" || e.Name() != "tasmota" {
		t.Errorf("got %v, %s", got, e.Name())
	}
}

// Who wonders why a message gives nothing is told.
func TestExplainNamesRuleAndReason(t *testing.T) {
	d := only(t, all)
	for _, c := range []struct {
		topic, payload string
		want           []string
	}{
		{"rtl_433/pi/events", `{"model":"Fineoffset-WH51","id":"0ce5b7","moisture":138,"battery_mV":"x"}`,
			[]string{"wh51 (10-test.yaml:1) matches the topic gw=\"pi\"", `model == "Fineoffset-WH51": true`, "moisture: outside of `min` and `max`", "ad_raw: no value", "battery_mV: no number", "nothing is read"}},
		{"rtl_433/pi/events", `{"model":"x"}`, []string{`: false`, "left to the mappings that follow"}},
		{"rtl_433/pi/events", `{`, []string{"it cannot be read: not JSON"}},
		{"domoticz/in", `{"svalue":"1"}`, []string{"idx in [102, 103]: false"}},
		{"energy/growatt", `{"device":"a","values":{"pvpowerout":5}}`, []string{"values.pvpowerout: power 0.5", `= a "" power_w=0.5`, "the expression fails"}},
		{"energy/growatt", `{"values":{"pvpowerout":5}}`, []string{"it has no device: {device}: not in the message"}},
		{"tele/garden/SENSOR", `{"ANALOG":{"A0":607}}`, []string{"garden-probe (10-test.yaml:", "-> 50 %, calibration "}},
		{"nobody/knows", `1`, []string{"no mapping matches the topic nobody/knows"}},
		{"$SYS/x", `1`, []string{"no mapping matches"}},
	} {
		got := d.Explain(dialect.Message{Topic: c.topic, Payload: []byte(c.payload)})
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s %s: got\n%s\nwant %q in it", c.topic, c.payload, got, want)
			}
		}
	}
}
