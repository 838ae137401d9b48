package shelly_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/shelly"
	"github.com/plantgate/plantgate/reading"
)

// A variant is a message in a form that the firmware's documentation or source
// gives, beyond those that were captured, and what may be read from it.
type variant struct{ name, topic, payload, want string }

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

func decode(t *testing.T, d corpus.Decoder, topic, payload string) dialect.Result {
	t.Helper()
	got, mine := d.Decode(dialect.Message{Topic: topic, Payload: []byte(payload)})
	if !mine {
		t.Fatalf("%s is not taken", topic)
	}
	return got
}

func holdVariants(t *testing.T, all []variant, fresh func() corpus.Decoder) {
	t.Helper()
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			got := decode(t, fresh(), v.topic, v.payload)
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			if diff := cmp.Diff(v.want, render(got.Readings)); diff != "" {
				t.Errorf("readings differ (-want +got):\n%s", diff)
			}
			for _, r := range got.Readings {
				if err := r.Validate(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A refusal is a malformed message and the beginning of what is said of it.
type refusal struct{ name, topic, payload, want string }

func holdRefusals(t *testing.T, all []refusal, fresh func() corpus.Decoder) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			got := decode(t, fresh(), c.topic, c.payload)
			if got.Err == nil || !strings.HasPrefix(got.Err.Error(), c.want) || len(got.Readings) > 0 {
				t.Errorf("got error %v and %d readings, want error %q", got.Err, len(got.Readings), c.want)
			}
		})
	}
}

// Which messages are Shelly's decides whether another dialect gets to see them.
func TestMessagesOfOthersAreLeftAlone(t *testing.T) {
	for _, m := range []dialect.Message{
		{Topic: ""},
		{Topic: "shellies"},
		{Topic: "shellies/"},
		{Topic: "shellies/temperature", Payload: []byte("1")},
		{Topic: "shellies/relay/0/power", Payload: []byte("1")},
		{Topic: "shellies/x/soil/1", Payload: []byte("1")},
		{Topic: "shellies/x/my/own/topic", Payload: []byte("1")},
		{Topic: "shellies/x/status", Payload: []byte("ok")},
		// A script for Bluetooth sensors: no Gen1 device says an object there.
		{Topic: "shellies/blegateway/d2c0f3d3e035/temperature", Payload: []byte(`{"temperature":18.4,"rssi":-78}`)},
		{Topic: "status/switch:0", Payload: []byte(plug)},
		{Topic: "events/rpc", Payload: []byte(plug)},
		{Topic: "/events/rpc", Payload: []byte(plug)},
		{Topic: "solar/114180712345/status/reachable", Payload: []byte("1")},
		{Topic: "house/status/door:1", Payload: []byte("open")},
		{Topic: "house/status/switch:left", Payload: []byte("on")},
		{Topic: "house/status/Switch:1", Payload: []byte("{}")},
		{Topic: "house/status/wifi", Payload: []byte(`{"rssi":-60}`)},
		{Topic: "house/online", Payload: []byte("true")},
		{Topic: "house/command", Payload: []byte("on")},
		{Topic: "house/rpc", Payload: []byte(`{"id":1}`)},
		{Topic: "tele/x/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)},
		{Topic: "zigbee2mqtt/plug", Payload: []byte(`{"power":5}`)},
		{Topic: "shelly-blu/B81BC59C02DE", Payload: []byte(`{"battery":5}`)},
	} {
		if got, mine := fresh().Decode(m); mine || len(got.Readings) > 0 || got.Err != nil {
			t.Errorf("%s: got mine %v, %+v, want it left alone", m.Topic, mine, got)
		}
	}
}

// A last will is how a socket's death is known; the words are the firmware's.
func TestLastWillsAreEvents(t *testing.T) {
	gen2 := shelly.NewGen2()
	decode(t, gen2, "cellar/pump/status/switch:0", plug)
	decode(t, gen2, "shellies/pump2/status/switch:0", plug)
	for _, c := range []struct {
		d                      corpus.Decoder
		topic, payload, device string
		want                   reading.EventType
	}{
		{shelly.NewGen1(), "shellies/shellyplug-s-6A6374/online", "true", "shellyplug-s-6A6374", reading.DeviceOnline},
		{shelly.NewGen1(), "shellies/house/5/online", "false\n", "house/5", reading.DeviceOffline},
		{shelly.NewGen2(), "shellyplus1pm-aabbcc/online", "true", "shellyplus1pm-aabbcc", reading.DeviceOnline},
		{shelly.NewGen2(), "house/shellyplus1pm-aabbcc/online", "false", "house/shellyplus1pm-aabbcc", reading.DeviceOffline},
		{gen2, "cellar/pump/online", "false", "cellar/pump", reading.DeviceOffline},
		{gen2, "shellies/pump2/online", "true", "shellies/pump2", reading.DeviceOnline},
	} {
		got, mine := c.d.Decode(dialect.Message{Topic: c.topic, Payload: []byte(c.payload), Retained: true})
		if !mine || len(got.Events) != 1 || got.Events[0].Type != c.want || got.Events[0].Device != c.device {
			t.Errorf("%s %s: got %v, %+v, want %s of %s", c.topic, c.payload, mine, got, c.want, c.device)
			continue
		}
		if err := got.Events[0].Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, payload := range []string{"", "1", "TRUE", "online"} {
		if got := decode(t, shelly.NewGen1(), "shellies/x/online", payload); len(got.Events) > 0 || got.Err != nil {
			t.Errorf("%q: got %+v, want nothing", payload, got)
		}
	}
	// What is not known to be of the second generation is the first's.
	if _, mine := shelly.NewGen2().Decode(dialect.Message{Topic: "shellies/shellyplug-s-6A6374/online", Payload: []byte("true")}); mine {
		t.Error("Gen2 takes the first generation's will")
	}
}

// Whoever may publish can publish any topic.
func TestNamesThatNoRecordHoldsAreErrors(t *testing.T) {
	for _, device := range []string{strings.Repeat("x", 300), "a\x00b", "\xff"} {
		for topic, payload := range map[string]string{
			"shellies/" + device + "/relay/0/power": "1",
			"shellies/" + device + "/online":        "true",
			device + "/status/switch:0":             plug,
			"shelly-blu/events/" + device:           `{"battery":5}`,
		} {
			if got := decode(t, fresh(), topic, payload); got.Err == nil || len(got.Readings)+len(got.Events) > 0 {
				t.Errorf("%q: got %+v, want an error", topic, got)
			}
		}
	}
}
