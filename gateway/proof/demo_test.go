//go:build linux

package proof_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The demo is what a stranger tries first: it says what it is in a few lines,
// all five devices arrive in Kafka, Ctrl-C ends it within two seconds, and
// started again it goes on with the next number.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startDemo(t, dir)
	arrivals := first.awaitDevices()
	first.lookAround()
	first.stopQuickly()

	second := startDemo(t, dir)
	before := len(arrivals)
	eventually(t, time.Minute, "more readings", func() bool {
		arrivals = readBack(t, second.kafka, readingsTopic, eventsTopic, deadLetterTopic)
		return len(arrivals) > 2*before
	})
	var numbers []uint64
	streams := map[string]bool{}
	for _, a := range arrivals {
		numbers = append(numbers, a.seq())
		streams[strings.TrimSuffix(a.id(), fmt.Sprint("-", a.seq()))] = true
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	if n := len(numbers); numbers[0] != 1 || numbers[n-1] != uint64(n) || len(streams) != 1 {
		t.Errorf("%d numbers from %d to %d in streams %v, want them without a hole in one", n, numbers[0], numbers[n-1], streams)
	}
	if out, log, code := run(t, "", raceProgram(t), nil, "verify", "--brokers", second.kafka); code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", code, out, log)
	}
	second.stopQuickly()
}

// A demo is one that runs.
type demo struct {
	*process
	t                    *testing.T
	dir                  string
	mqtt, kafka, healthz string
}

// starting is held while a demo looks for free ports: another one that starts
// at the same moment would find the same.
var starting sync.Mutex

func startDemo(t *testing.T, dir string) *demo {
	t.Helper()
	starting.Lock()
	defer starting.Unlock()
	d := &demo{t: t, dir: dir, process: launch(t, plainProgram(t), nil, "demo", "--data-dir", dir)}
	greeting := regexp.MustCompile(`(?s)MQTT broker +(\S+).*Kafka +(\S+).*health +(http\S+).*Ctrl-C stops it`)
	eventually(t, time.Minute, "the demo greets", func() bool {
		if !d.running() {
			t.Fatalf("the demo ended: %v\n%s", d.err, d.log.String())
		}
		found := greeting.FindStringSubmatch(d.out.String())
		if found != nil {
			d.mqtt, d.kafka, d.healthz = found[1], found[2], found[3]
		}
		return found != nil
	})
	if n := strings.Count(d.out.String(), "\n"); n > 24 {
		t.Errorf("the greeting has %d lines: it does not fit on a screen\n%s", n, d.out.String())
	}
	return d
}

// awaitDevices returns what is in Kafka once every device is there.
func (d *demo) awaitDevices() (arrivals []arrival) {
	d.t.Helper()
	seen := map[string]string{} // device: a field that is to be there
	want := map[string]string{"basil": "soil_moisture_pct", "monstera": "soil_moisture_pct", "lamp": "power_w", "washer": "power_w", "solar": "energy_kwh"}
	eventually(d.t, time.Minute, "readings of both probes and three sockets", func() bool {
		arrivals = readBack(d.t, d.kafka, readingsTopic)
		for _, a := range arrivals {
			if field := want[a.device()]; field != "" && a.value.Get(field).Exists() {
				seen[a.device()] = field
			}
		}
		return len(seen) == len(want)
	})
	return arrivals
}

// lookAround does what the greeting proposes.
func (d *demo) lookAround() {
	d.t.Helper()
	var out, log string
	if !becomes(30*time.Second, func() bool {
		out, log, _ = run(d.t, "", raceProgram(d.t), nil, "status", "--data-dir", d.dir)
		return strings.Contains(out, "all is well") && strings.Contains(out, "sensor   basil: ok") && strings.Contains(out, "device   washer (tasmota)")
	}) {
		d.t.Errorf("status does not say that all is well with basil and washer:\n%s%s", out, log)
	}
	if out, err := exec.Command("kcat", "-b", d.kafka, "-t", readingsTopic, "-C", "-e", "-q").Output(); err == nil {
		if !strings.Contains(string(out), `"device":"basil"`) {
			d.t.Errorf("kcat shows %.300q", out)
		}
	} else if _, missing := exec.LookPath("kcat"); missing == nil {
		d.t.Errorf("kcat: %v", err)
	}
	files, err := os.ReadDir(filepath.Join(d.dir, "buffer"))
	if err != nil || len(files) == 0 {
		d.t.Errorf("the buffer holds %v, %v", files, err)
	}
}

// stopQuickly is Ctrl-C.
func (d *demo) stopQuickly() {
	d.t.Helper()
	begin := time.Now()
	d.signal(syscall.SIGINT)
	d.awaitEnd(30 * time.Second)
	if took := time.Since(begin); d.err != nil || took > 2*time.Second {
		d.t.Errorf("Ctrl-C: ended after %s with %v, want within 2 s in order", took, d.err)
	}
}
