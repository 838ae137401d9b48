package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestStatusSaysWhatIsWrongFirst(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 12, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	last := ago(40 * time.Second)
	well := status{
		Version: "v1.0.0", Gateway: "pi1", Site: "home", Started: ago(26 * time.Hour),
		MQTT:    mqttStatus{Addresses: []string{":1883"}, Clients: 3, Received: 4200, Refused: map[string]uint64{"login": 2, "topic": 0}},
		Sensors: []sensorStatus{{Name: "basil", State: "ok", Since: ago(time.Hour), Last: &last}},
		Sources: []sourceStatus{{Source: "tasmota", Readings: 4100, Ignored: 90, DeadLettered: 10}, {Source: "", Ignored: 7}},
		Devices: []deviceStatus{{Name: "washer", Source: "tasmota", Last: &last, Readings: 4100, Offline: true}},
		Buffer:  &bufferStatus{Stream: "6f2c9a1e", Oldest: 1, Next: 4201, Durable: 4200, Confirmed: 4150, Unsent: 50, Bytes: 64 << 20, Limit: 2 << 30, DaysLeft: 12.34},
		Kafka:   &kafkaStatus{State: "sending", Forwarded: map[string]uint64{"readings": 4000, "events": 150}, OldestUnsent: 3.2},
		Clock:   clockStatus{Synchronised: true},
	}
	since := ago(72 * time.Hour)
	ill := well
	ill.Problems = []problem{
		{What: "the buffer is not usable: read-only file system", Since: &since, Remedy: "look at dmesg", Blocks: true},
		{What: "Kafka does not take records: connection refused", Remedy: "is it running?"},
	}
	ill.Buffer, ill.Kafka = nil, nil
	ill.Clock = clockStatus{Holding: true}
	golden(t, "status.golden", statusText(well, now)+"\n----\n\n"+statusText(ill, now))
}

// A client chooses its topic and payload; they must not move the cursor of the
// terminal on which somebody watches.
func TestTailShowsNoControlCharacters(t *testing.T) {
	at := time.Date(2026, 11, 24, 8, 12, 0, 0, time.Local)
	lines := tailText(heard{
		Time: at, Topic: "tele/\x1b[2J/SENSOR", Payload: "{\"a\":1}\r\nforged \xff", Reason: "not JSON\x00",
		Readings: []heardReading{{Device: "x\n", Channel: "1", Values: []heardValue{
			{Metric: "power", Value: 7.5, Unit: "W"}, {Metric: "power_factor", Value: 0.96, Unit: "1"}, {Metric: "temperature", Value: 85, Unit: "degC", Suspect: true},
		}}},
	})
	want := []string{
		"08:12:00 tele/·[2J/SENSOR {\"a\":1}··forged ·",
		"08:12:00   no reading: not JSON·",
		"08:12:00 x·/1  power 7.5 W  power_factor 0.96  temperature 85 degC?",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// `systemctl status` shows one line: what is wrong, or that nothing is.
func TestHeadlineIsTheWorstProblem(t *testing.T) {
	well := status{Devices: make([]deviceStatus, 2), MQTT: mqttStatus{Clients: 3}, Buffer: &bufferStatus{}}
	behind, ill := well, well
	behind.Buffer = &bufferStatus{Unsent: 50}
	ill.Problems = []problem{{What: "the buffer is full", Blocks: true}, {What: "Kafka is away"}}
	for _, tc := range []struct {
		s    status
		want string
	}{
		{well, "2 devices, 3 MQTT clients"},
		{behind, "2 devices, 3 MQTT clients, 50 records wait for Kafka"},
		{ill, "the buffer is full"},
		{status{}, "0 devices, 0 MQTT clients"},
	} {
		if got := tc.s.headline(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
