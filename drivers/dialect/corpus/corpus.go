// Package corpus holds dialects against what real devices have sent. It is for
// tests: each dialect keeps its messages in testdata/payloads.jsonl, one JSON
// object a line, with all that may be read from them.
//
// It guarantees that a value which is missing, wrong, doubled or too much fails
// the test, and so does a reading that no record may hold. It does not know what
// a message means.
package corpus

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// A Decoder is a dialect under test.
type Decoder interface {
	Decode(dialect.Message) (dialect.Result, bool)
}

// A Vector is one line: a message as a device sent it and all that may be read
// from it.
type Vector struct {
	ID       string    `json:"id"`
	Topic    string    `json:"topic"`
	Payload  string    `json:"payload"`
	Bytes    []byte    `json:"payload_b64"` // in place of Payload, where that is not text
	Retained bool      `json:"retain"`
	Setup    []Vector  `json:"setup"` // messages that came before
	Expect   []Value   `json:"expect"`
	Error    bool      `json:"error"`   // it is malformed, and said so
	Lenient  bool      `json:"lenient"` // a strict decoder may read less of it
	Time     time.Time `json:"device_time"`
}

// A Value is one that a message says.
type Value struct {
	Device, Channel, Quantity, Unit string
	Value                           float64
	Suspect, Optional               bool
}

// Message returns what the dialect gets.
func (v Vector) Message() dialect.Message {
	payload := []byte(v.Payload)
	if v.Bytes != nil {
		payload = v.Bytes
	}
	return dialect.Message{Topic: v.Topic, Payload: payload, Retained: v.Retained}
}

// Load reads vectors.
func Load(t testing.TB, path string) []Vector {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []Vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v Vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: vector %d: %v", path, len(all)+1, err)
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// after returns a decoder that has seen the setup of v.
func (v Vector) after(fresh func() Decoder) Decoder {
	d := fresh()
	for _, before := range v.Setup {
		d.Decode(before.Message())
	}
	return d
}

// Hold tests that each vector is read completely, that nothing is read which the
// device did not say, and that the same message gives the same readings again.
// Of a lenient vector less may be read, but nothing else.
func Hold(t *testing.T, path string, fresh func() Decoder) {
	t.Helper()
	for _, v := range Load(t, path) {
		t.Run(v.ID, func(t *testing.T) {
			d := v.after(fresh)
			got, mine := d.Decode(v.Message())
			if !mine && !v.Lenient && (len(v.Expect) > 0 || v.Error) {
				t.Fatalf("topic %q is not taken for the dialect's own", v.Topic)
			}
			if v.Error != (got.Err != nil) && !v.Lenient {
				t.Errorf("got error %v, want one: %v", got.Err, v.Error)
			}
			for _, problem := range v.Compare(got.Readings) {
				t.Error(problem)
			}
			for _, r := range got.Readings {
				if !r.Time.Equal(v.Time) {
					t.Errorf("got device time %v, want %v", r.Time, v.Time)
				}
			}
			again, _ := v.after(fresh).Decode(v.Message())
			if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", again); a != b {
				t.Errorf("got %s, then %s", a, b)
			}
		})
	}
}

// Compare lists what is missing from readings and what should not be there.
func (v Vector) Compare(readings []reading.Reading) []string {
	type key struct{ device, channel, quantity string }
	var problems []string
	found := map[key]reading.Value{}
	for _, r := range readings {
		if err := r.Validate(); err != nil {
			problems = append(problems, fmt.Sprintf("%s/%s: %v", r.Device, r.Channel, err))
		}
		for _, value := range r.Values {
			k := key{r.Device, r.Channel, value.Metric.Quantity()}
			if _, twice := found[k]; twice {
				problems = append(problems, fmt.Sprintf("%v is given twice", k))
			}
			found[k] = value
		}
	}
	for _, w := range v.Expect {
		k := key{w.Device, w.Channel, w.Quantity}
		got, ok := found[k]
		delete(found, k)
		switch {
		case !ok && !w.Optional && !v.Lenient:
			problems = append(problems, fmt.Sprintf("%v is missing", k))
		case !ok:
		case math.Abs(got.Number-w.Value) > 1e-6*math.Max(1, math.Abs(w.Value)), got.Metric.Unit() != w.Unit, got.Suspect != w.Suspect:
			problems = append(problems, fmt.Sprintf("%v: got %+v in %s, want %+v", k, got, got.Metric.Unit(), w))
		}
	}
	for k, value := range found {
		problems = append(problems, fmt.Sprintf("%v is too much: %v", k, value.Number))
	}
	return problems
}

// Seed adds every vector, and what came before it, to a fuzz target that takes
// topic, payload and the wish to be retained.
func Seed(f *testing.F, path string) {
	f.Helper()
	for _, v := range Load(f, path) {
		m := v.Message()
		f.Add(m.Topic, m.Payload, m.Retained)
		for _, before := range v.Setup {
			m := before.Message()
			f.Add(m.Topic, m.Payload, m.Retained)
		}
	}
}

// Check tests what holds for any message whatever: the decoder leaves the
// payload as it is, gives either readings or an error, and only what a record
// may hold. It is what fuzz targets call.
func Check(t *testing.T, d Decoder, m dialect.Message) {
	t.Helper()
	before := string(m.Payload)
	got, mine := d.Decode(m)
	if string(m.Payload) != before {
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
}
