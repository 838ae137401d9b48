//go:build linux

package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The home server is switched off at the plug again and again while the gateway
// brings it a backlog, and each time comes back with the end of its logs missing:
// records that it had confirmed. What it lost is sent again, marked, within a range
// that an event tells; every acknowledged reading is there in the end, and those
// that are not marked are in order.
//
// PLANTGATE_TORTURE makes it a million readings and 20 kills.
func TestKafkaIsKilledAndLosesTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	readings, kills := 50_000, 3
	if torture() {
		readings, kills = 1_000_000, 20
	}
	random := rand.New(rand.NewPCG(seedOf(t), 4))
	k := startKafka(t)
	s := newStation(t, k.bootstrap, nil)
	s.program = plainProgram(t)
	p := s.start()
	s.awaitStatus(time.Minute, "Kafka well", func(r report) bool { return r.Kafka != nil && r.Kafka.State == "idle" && len(r.Problems) == 0 })

	lost, devices := int64(0), socketsThatCount(10)
	for range kills {
		k.script("kill")
		for _, d := range devices {
			d.limit += readings / kills / len(devices)
		}
		publish(t, s, devices)
		k.start()
		half := s.awaitStatus(time.Minute, "a backlog", func(r report) bool { return r.Buffer != nil }).Buffer.Confirmed + uint64(readings/kills/4)
		s.awaitStatus(2*time.Minute, "a part of the backlog confirmed", func(r report) bool { return r.Buffer.Confirmed >= half })
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) // anywhere in the drain, or behind it
		k.script("kill")
		lost += cutLogs(t, filepath.Join(k.dir, "data"), random)
	}
	k.start()
	publish(t, s, more(devices, 10))
	s.awaitForwarded(5 * time.Minute)
	s.awaitStatus(5*time.Minute, "what was lost is sent again", func(r report) bool { return r.Kafka.State == "idle" })
	s.awaitForwarded(time.Minute) // the events about it
	used := p.usage()
	p.stop()

	arrivals := readBack(t, k.bootstrap, readingsTopic, eventsTopic)
	again := holdReplayed(t, arrivals, devices)
	if lost > 0 && again == 0 {
		t.Errorf("%d bytes were cut off the logs, and nothing was sent again", lost)
	}
	s.verify()
	proved(t, "kafka killed while draining", "%d kills, %d KiB cut off its logs, %d readings all there and in order, %d sent again as the events say, %d MB resident at most",
		2*kills, lost>>10, devices[0].sent*len(devices), again, used.top>>20)
}

func socketsThatCount(n int) (devices []*device) {
	for i := range n {
		devices = append(devices, &device{name: fmt.Sprintf("socket%02d", i), version: 4 + byte(i%2), qos: 1, window: 200})
	}
	return devices
}

func more(devices []*device, n int) []*device {
	for _, d := range devices {
		d.limit += n
	}
	return devices
}

// publish runs devices until each has reached its limit.
func publish(t *testing.T, s *station, devices []*device) {
	t.Helper()
	failed := make(chan error, len(devices))
	for _, d := range devices {
		go func() { failed <- d.run(t.Context(), s.mqtt, nil) }()
	}
	for range devices {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// mostCut is more than Kafka writes in the second after which flush.ms makes it sync.
const mostCut = 512 << 10

// cutLogs does to the logs of the readings what a power cut does to what was only in
// the page cache: a part at their end is gone, and with it what Kafka had noted about
// it. It returns the number of bytes.
func cutLogs(t *testing.T, data string, random *rand.Rand) (cut int64) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(data, readingsTopic+"-*", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs in %s: %v", data, err)
	}
	for _, log := range logs {
		info, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 || random.IntN(3) == 0 {
			continue
		}
		keep := info.Size() - random.Int64N(min(info.Size()/2, mostCut)+1)
		if err := os.Truncate(log, keep); err != nil {
			t.Fatal(err)
		}
		cut += info.Size() - keep
	}
	for _, pattern := range []string{readingsTopic + "-*/*.snapshot", readingsTopic + "-*/*index", "*-checkpoint", ".kafka_cleanshutdown"} {
		files, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cut
}

// holdReplayed holds what came to Kafka against what the devices were told, and
// returns how many records are marked as replayed. Those say what they said before,
// and lie in a range of an event.
func holdReplayed(t *testing.T, arrivals []arrival, devices []*device) (again int) {
	t.Helper()
	var live []arrival
	untold := 0
	there := map[string]map[int]bool{}
	ranges := ofEvent(arrivals, "kafka_rewound")
	told := func(seq uint64) bool {
		for _, e := range ranges {
			if e.value.Get("from").Uint() <= seq && seq <= e.value.Get("to").Uint() {
				return true
			}
		}
		return false
	}
	for _, a := range arrivals {
		if a.topic != readingsTopic || a.value.Get("source").Str != "tasmota" {
			continue
		}
		if there[a.device()] == nil {
			there[a.device()] = map[int]bool{}
		}
		there[a.device()][a.counter()] = true
		if !a.value.Get("replayed").Bool() {
			live = append(live, a)
			continue
		}
		if again++; !told(a.seq()) {
			untold++
		}
	}
	if untold > 0 {
		t.Errorf("%d of %d readings that are marked replayed are in no range of an event", untold, again)
	}
	l := book(t, live)
	for _, d := range devices {
		missing := 0
		for _, n := range d.told {
			if !there[d.name][n] {
				missing++
			}
		}
		if missing > 0 || len(d.told) != d.sent {
			t.Errorf("device %s: %d of %d acknowledged messages are not in Kafka", d.name, missing, len(d.told))
		}
		if bad := disorder(l.numbers[d.name]); bad != nil {
			t.Errorf("device %s: messages that are not marked are out of order: %v", d.name, bad)
		}
	}
	return again
}

// Encryption and password are wrong in the configuration. The status says which, one
// after the other; the devices notice nothing; after each is mended and the gateway
// started anew, the next shows, and in the end all that was kept is there.
func TestWrongCertificateAndPasswordAreMended(t *testing.T) {
	t.Parallel()
	ca, server := certificate(t)
	broker := fakeSecureKafka(t, server, "pi", "right")
	dir := t.TempDir()
	caFile, passwordFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "password")
	stranger, _ := certificate(t)
	write(t, caFile, stranger)
	write(t, passwordFile, "wrong\n")
	s := newStation(t, broker, sections{"kafka": fmt.Sprintf(
		"{brokers: [%q], tls: {enabled: true, ca: %q}, sasl: {mechanism: plain, user: pi, password_file: %q}}", broker, caFile, passwordFile)})
	s.program = plainProgram(t)
	devices := socketsThatCount(3)
	for _, step := range []struct {
		file, content, want string
	}{
		{caFile, stranger, "kafka.tls.ca"},
		{caFile, ca, "kafka.sasl"},
		{passwordFile, "right\n", ""},
	} {
		write(t, step.file, step.content)
		p := s.start()
		publish(t, s, more(devices, 50))
		if step.want == "" {
			s.awaitForwarded(time.Minute)
			p.stop()
			break
		}
		s.awaitStatus(time.Minute, "what to do about "+step.want, func(r report) bool { return r.tellsToMend(step.want) })
		p.stop()
		if n := strings.Count(p.log.String(), "event=kafka_unreachable"); n != 1 {
			t.Errorf("%d lines say that Kafka takes nothing, want 1:\n%s", n, p.log.String())
		}
	}
	p := s.start()
	if out := s.verify(); !strings.Contains(out, "0 dead letters") {
		t.Errorf("verify says:\n%s", out)
	}
	p.stop()
	proved(t, "kafka TLS and SASL of the program", "a strange authority and a wrong password, each named by the status and mended with a restart, %d readings kept", 3*devices[0].sent)
}

func (r report) tellsToMend(what string) bool {
	for _, p := range r.Problems {
		if strings.Contains(p.Remedy, what) {
			return true
		}
	}
	return false
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
