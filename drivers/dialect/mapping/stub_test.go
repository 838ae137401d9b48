package mapping_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
)

// Who has a device that nobody reads gets a mapping to begin with: one that
// loads, and reads what its names say plainly.
func TestStubLoadsAndReads(t *testing.T) {
	for _, tc := range []struct {
		topic, payload string
		read           []string // device and metric of what the stub reads
	}{
		{"garden/beds/tomato/state", `{"soil":{"moisture":41.5,"raw":512},"temp":19.2,"fw":"1.2","uptime":77}`, []string{"tomato soil_moisture_pct", "tomato temperature_c"}},
		{"home/pump/power", "231.5", []string{"power power_w"}},
		{"meter1", `{"a":1}`, nil},
		{"esp/äpfel/SENSOR", `{"humidity":55}`, []string{"äpfel humidity_pct"}},
	} {
		m := dialect.Message{Topic: tc.topic, Payload: []byte(tc.payload)}
		stub, err := mapping.Stub(m)
		if err != nil {
			t.Errorf("%s: %v", tc.topic, err)
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "stub.yaml"), []byte(stub), 0o600); err != nil {
			t.Fatal(err)
		}
		d, errs := mapping.Load(dir)
		if len(errs) > 0 {
			t.Errorf("%s: %v\n%s", tc.topic, errs, stub)
			continue
		}
		result, mine := d.Decode(m)
		var got []string
		for _, r := range result.Readings {
			for _, v := range r.Values {
				got = append(got, r.Device+" "+string(v.Metric))
			}
		}
		if strings.Join(got, ",") != strings.Join(tc.read, ",") || len(tc.read) > 0 && !mine {
			t.Errorf("%s: read %v, want %v\n%s", tc.topic, got, tc.read, stub)
		}
	}
}

func TestNoStubForWhatCannotBeMapped(t *testing.T) {
	for topic, payload := range map[string]string{"a/b": "ON", "a/c": `{"cut":`, "a/{x}": "1", "a/\x1b[2J": "1", "a/d": ""} {
		if stub, err := mapping.Stub(dialect.Message{Topic: topic, Payload: []byte(payload)}); err == nil {
			t.Errorf("%q %q: %s", topic, payload, stub)
		}
	}
}

// Whatever a client publishes, what is proposed for it loads.
func FuzzStub(f *testing.F) {
	f.Add("garden/beds/tomato/state", []byte(`{"soil":{"moisture":41.5},"temp":19.2}`))
	f.Add("a", []byte("1"))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		stub, err := mapping.Stub(dialect.Message{Topic: topic, Payload: payload})
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "stub.yaml")
		if err := os.WriteFile(path, []byte(stub), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := mapping.Check(path); err != nil {
			t.Errorf("%q %q: %v\n%s", topic, payload, err, stub)
		}
	})
}
