package tasmota_test

import (
	"bytes"
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
)

// Devices announce their topics, and whoever may publish can announce anything:
// another device's topic, a topic of commands, texts without end. What follows
// is read under a valid name or not at all, and the order in which messages that
// change nothing come makes no difference.
func FuzzDiscovery(f *testing.F) {
	for _, v := range corpus.Load(f, vectors) {
		for _, before := range v.Setup {
			m := v.Message()
			f.Add(before.Topic, []byte(before.Payload), "tasmota/discovery/0123456789AB/config", []byte{}, m.Topic, m.Payload)
		}
	}
	lamp := `{"t":"light","ft":"%prefix%/%topic%/","tp":["cmnd","stat","tele"],"onln":"Online","ofln":"Offline","hn":"h","mac":"0123456789AB"}`
	other := `{"t":"light","ft":"home/%topic%/%prefix%/","tp":["cmnd","stat","tele"],"hn":"h"}`
	f.Add("tasmota/discovery/0123456789AB/config", []byte(lamp), "tasmota/discovery/0123456789AC/config", []byte(other), "home/light/tele/LWT", []byte("Offline"))
	f.Add("tasmota/discovery/0123456789AB/config", []byte(`{"t":"a","ft":"%prefix%","tp":["a","a","a"]}`), "tasmota/discovery/0123456789AB/config", []byte(lamp), "a/SENSOR", plug)
	f.Add("tasmota/discovery/x/config", []byte(`{"t":"%topic%","ft":"%topic%%prefix%%id%","tp":["%prefix%"]}`), "tasmota/discovery//config", []byte(lamp), "tele/light/SENSOR", plug)
	f.Add("tasmota/discovery/\xff/config", []byte(lamp), "", []byte{}, "tele/\xff/SENSOR", plug)
	f.Fuzz(func(t *testing.T, topic1 string, payload1 []byte, topic2 string, payload2 []byte, topic string, payload []byte) {
		d, calm := tasmota.New(), tasmota.New()
		for _, m := range []dialect.Message{{Topic: topic1, Payload: payload1}, {Topic: topic2, Payload: payload2}} {
			first, _ := d.Decode(m)
			second, _ := d.Decode(m) // a device repeats itself at each reconnect
			calm.Decode(m)
			if a, b := fmt.Sprint(first), fmt.Sprint(second); a != b {
				t.Errorf("%q: got %s, then %s", m.Topic, a, b)
			}
			checkResult(t, first)
		}
		before := bytes.Clone(payload)
		m := dialect.Message{Topic: topic, Payload: payload}
		got, mine := d.Decode(m)
		want, also := calm.Decode(m)
		if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); mine != also || a != b {
			t.Errorf("after repeated announcements: got %s, want %s", a, b)
		}
		if !bytes.Equal(payload, before) {
			t.Error("the payload was changed")
		}
		if !mine && (len(got.Readings)+len(got.Events) > 0 || got.Err != nil) {
			t.Errorf("not its message, and still %+v", got)
		}
		checkResult(t, got)
	})
}

// checkResult holds what every result promises.
func checkResult(t *testing.T, got dialect.Result) {
	t.Helper()
	if got.Err != nil && len(got.Readings)+len(got.Events) > 0 {
		t.Errorf("error %v, and still readings: %+v", got.Err, got)
	}
	if got.Err != nil && !utf8.ValidString(got.Err.Error()) {
		t.Errorf("error is not UTF-8: %q", got.Err)
	}
	for _, r := range got.Readings {
		if err := r.Validate(); err != nil {
			t.Errorf("%v: %+v", err, r)
		}
	}
	for _, e := range got.Events {
		if err := e.Validate(); err != nil {
			t.Errorf("%v: %+v", err, e)
		}
	}
}
