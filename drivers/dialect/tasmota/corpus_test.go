package tasmota_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
	"github.com/plantgate/plantgate/reading"
)

// A vector is one line of testdata/payloads.jsonl: a message as a device sent
// it and all that may be read from it.
type vector struct {
	ID       string     `json:"id"`
	Topic    string     `json:"topic"`
	Payload  string     `json:"payload"`
	Bytes    []byte     `json:"payload_b64"` // in place of Payload, where that is not text
	Retained bool       `json:"retain"`
	Setup    []vector   `json:"setup"`
	Expect   []expected `json:"expect"`
	Error    bool       `json:"error"`
	Lenient  bool       `json:"lenient"` // a strict decoder may read less of it
	Time     time.Time  `json:"device_time"`
}

type expected struct {
	Device, Channel, Quantity, Unit string
	Value                           float64
	Suspect, Optional               bool
}

func (v vector) message() dialect.Message {
	payload := []byte(v.Payload)
	if v.Bytes != nil {
		payload = v.Bytes
	}
	return dialect.Message{Topic: v.Topic, Payload: payload, Retained: v.Retained}
}

func vectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("testdata/payloads.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("vector %d: %v", len(all)+1, err)
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func decodeAfter(setup []vector, m dialect.Message) (dialect.Result, bool) {
	d := tasmota.New()
	for _, before := range setup {
		d.Decode(before.message())
	}
	return d.Decode(m)
}

// What real devices have sent, in whatever shape, is read completely, and
// nothing is read that they did not say.
func TestCapturedMessagesAreRead(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			got, mine := decodeAfter(v.Setup, v.message())
			if !mine {
				t.Fatalf("topic %q is not taken for Tasmota's", v.Topic)
			}
			if v.Error != (got.Err != nil) {
				t.Errorf("got error %v, want one: %v", got.Err, v.Error)
			}
			for _, problem := range compare(got.Readings, v.Expect) {
				t.Error(problem)
			}
			for _, r := range got.Readings {
				if !r.Time.Equal(v.Time) {
					t.Errorf("got device time %v, want %v", r.Time, v.Time)
				}
			}
		})
	}
}

// compare lists what is missing from readings and what should not be there.
func compare(readings []reading.Reading, want []expected) []string {
	type key struct{ device, channel, quantity string }
	var problems []string
	found := map[key]reading.Value{}
	for _, r := range readings {
		if err := r.Validate(); err != nil {
			problems = append(problems, fmt.Sprintf("%s/%s: %v", r.Device, r.Channel, err))
		}
		for _, v := range r.Values {
			k := key{r.Device, r.Channel, v.Metric.Quantity()}
			if _, twice := found[k]; twice {
				problems = append(problems, fmt.Sprintf("%v is given twice", k))
			}
			found[k] = v
		}
	}
	for _, w := range want {
		k := key{w.Device, w.Channel, w.Quantity}
		v, ok := found[k]
		delete(found, k)
		switch {
		case !ok && !w.Optional:
			problems = append(problems, fmt.Sprintf("%v is missing", k))
		case !ok:
		case math.Abs(v.Number-w.Value) > 1e-6*math.Max(1, math.Abs(w.Value)), v.Metric.Unit() != w.Unit, v.Suspect != w.Suspect:
			problems = append(problems, fmt.Sprintf("%v: got %+v in %s, want %+v", k, v, v.Metric.Unit(), w))
		}
	}
	for k, v := range found {
		problems = append(problems, fmt.Sprintf("%v is too much: %v", k, v.Number))
	}
	return problems
}

// The same message gives the same readings whenever it comes.
func TestDecodingTwiceGivesTheSame(t *testing.T) {
	for _, v := range vectors(t) {
		d := tasmota.New()
		for _, before := range v.Setup {
			d.Decode(before.message())
		}
		first, _ := d.Decode(v.message())
		second, _ := d.Decode(v.message())
		if a, b := fmt.Sprintf("%+v", first), fmt.Sprintf("%+v", second); a != b {
			t.Errorf("%s: got %s, then %s", v.ID, a, b)
		}
	}
}

// A cut or altered payload of a real device neither stops the program nor
// becomes a number: small buffers truncate messages with many probes.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		m := v.message()
		f.Add(m.Topic, m.Payload, m.Retained)
		for _, before := range v.Setup {
			f.Add(before.Topic, []byte(before.Payload), false)
		}
	}
	for _, v := range variants {
		f.Add(v.topic, []byte(v.payload), false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		m := dialect.Message{Topic: topic, Payload: payload, Retained: retained}
		before := string(payload)
		d := tasmota.New()
		got, mine := d.Decode(m)
		again, _ := d.Decode(m)
		if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", again); a != b && !strings.HasPrefix(topic, "tasmota/discovery/") {
			t.Errorf("got %s, then %s", a, b)
		}
		if string(payload) != before {
			t.Error("the payload was changed")
		}
		if (!mine || got.Err != nil) && len(got.Readings)+len(got.Events) > 0 {
			t.Errorf("mine %v, error %v, and still readings: %+v", mine, got.Err, got)
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
	})
}

var plug = []byte(`{"Time":"2026-11-02T08:00:31","ENERGY":{"TotalStartTime":"2026-01-29T20:23:40","Total":81.701,"Yesterday":0.140,"Today":0.027,"Period":2,"Power":31,"ApparentPower":40,"ReactivePower":25,"Factor":0.78,"Voltage":236,"Current":0.170}}`)

func BenchmarkPlug(b *testing.B) {
	d := tasmota.New()
	b.ReportAllocs()
	b.SetBytes(int64(len(plug)))
	for b.Loop() {
		if got, _ := d.Decode(dialect.Message{Topic: "tele/washer/SENSOR", Payload: plug}); len(got.Readings) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkEverySensor(b *testing.B) {
	d := tasmota.New()
	all := vectors(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d.Decode(all[n%len(all)].message())
		n++
	}
}
