//go:build linux

package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A device that nobody reads is listed with a mapping to begin with; laid beside
// the configuration that mapping reads it. A file that is wrong is named and
// costs the others nothing.
func TestOwnMappingReadsWhatNobodyReads(t *testing.T) {
	t.Parallel()
	brokers := fakeKafka(t)
	s := newStation(t, brokers, nil)
	p := s.start()
	station := connect(t, s.mqtt, greeting{id: "station", version: 4})
	const payload = `{"soil":41.5,"fw":"1.2"}`
	station.publish("garden/tomato/state", payload, false)
	var stub string
	eventually(t, 20*time.Second, "the topic among those that nobody reads", func() bool {
		stub, _, _ = s.command("map", "learn")
		return strings.Contains(stub, "garden/{device}/state")
	})
	p.stop()

	dir := filepath.Join(filepath.Dir(s.config), "mappings.d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"10-tomato.yaml": stub, "20-wrong.yaml": "version: 1\nname: x\nmatch: \"a/b\"\nmoisture: 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, log, code := s.command("check"); code == 0 || !strings.Contains(log, "20-wrong.yaml:4") {
		t.Errorf("check: exit code %d, want the wrong line named:\n%s", code, log)
	}
	p = s.start()
	if !strings.Contains(p.log.String(), "20-wrong.yaml:4") {
		t.Errorf("the log does not name the wrong line:\n%s", p.log.String())
	}
	station = connect(t, s.mqtt, greeting{id: "station", version: 4})
	station.publish("garden/tomato/state", payload, false)
	eventually(t, 30*time.Second, "the reading in Kafka", func() bool {
		for _, a := range readBack(t, brokers, readingsTopic) {
			if a.device() == "tomato" {
				return a.value.Get("soil_moisture_pct").Num == 41.5
			}
		}
		return false
	})
	p.stop()
}
