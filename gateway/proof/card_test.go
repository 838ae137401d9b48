//go:build linux

package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A card that cannot be written leaves a broker that serves: what carries no
// reading passes, a reading that wants an answer is turned away, and one that
// wants none is counted. Status and log say why, and when the card is mended
// the rest goes on by itself.
func TestUnusableCardLeavesABroker(t *testing.T) {
	t.Parallel()
	t.Run("a file in place of the buffer", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "data")
		buffer := filepath.Join(path, "buffer")
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(buffer, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		unusableCard(t, path, func() error { return os.Remove(buffer) })
	})
	t.Run("a card that is read-only", func(t *testing.T) {
		t.Parallel()
		path := mountCard(t, "8m")
		if err := remount(path, syscall.MS_RDONLY); err != nil {
			t.Fatal(err)
		}
		unusableCard(t, path, func() error { return remount(path, 0) })
	})
}

func unusableCard(t *testing.T, data string, mend func() error) {
	brokers := fakeKafka(t)
	s := newStation(t, brokers, sections{"data_dir": data})
	p := s.start()
	s.awaitStatus(30*time.Second, "the buffer named as the problem", func(r report) bool {
		return r.hasProblem("buffer") && r.Problems[0].Blocks
	})
	if !strings.Contains(p.log.String(), "running without the buffer") {
		t.Errorf("the log does not say that there is no buffer:\n%s", p.log.String())
	}
	dashboard := connect(t, s.mqtt, greeting{id: "dashboard", version: 4})
	dashboard.subscribe("home/door")
	door := connect(t, s.mqtt, greeting{id: "door", version: 4})
	door.publish("home/door", "open", false)
	if topic, payload, _ := dashboard.message(); topic != "home/door" || payload != "open" {
		t.Errorf("the subscriber got %s %s", topic, payload)
	}
	lamp := connect(t, s.mqtt, greeting{id: "lamp", version: 4})
	lamp.send(appendPublish(nil, 4, 0, 0, "tele/lamp/SENSOR", 0, energy(nil, 1)))
	lamp.send(appendPublish(nil, 4, 0, 1, "tele/lamp/SENSOR", 1, energy(nil, 2)))
	if head, body, err := readPacket(lamp.r); err == nil {
		t.Errorf("a reading that cannot be kept was answered with %x %x", head, body)
	}

	if err := mend(); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(2*time.Minute, "a buffer again", func(r report) bool { return r.Buffer != nil && !r.hasProblem("buffer") })
	washer := &device{name: "washer", version: 4, qos: 1, window: 10, limit: 100}
	play(t, s, []*device{washer})
	eventually(t, time.Minute, "an event that counts what was refused", func() bool {
		for _, e := range ofEvent(readBack(t, brokers, eventsTopic), "refused") {
			return e.value.Get("reason").Str == "no_store" && e.value.Get("count").Int() >= 1
		}
		return false
	})
	s.awaitForwarded(time.Minute)
	book(t, readBack(t, brokers, readingsTopic)).hold(washer)
	s.verify()
	s.awaitStatus(30*time.Second, "nothing wrong any more", func(r report) bool { return len(r.Problems) == 0 })
	p.stop()
}

// A full card turns readings away that want an answer, says so, and takes them
// as soon as somebody makes room. Kafka is away all that time: else the gateway
// would make room by itself.
func TestFullCardRefusesUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	card := mountCard(t, "8m")
	filler := filepath.Join(card, "photos")
	if err := os.WriteFile(filler, make([]byte, 6500<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStation(t, address, sections{"data_dir": filepath.Join(card, "data"), "buffer": "{when_full: refuse}"})
	p := s.start()
	devices := noisyDevices()
	finish := background(t, s, devices)
	s.awaitStatus(time.Minute, "the buffer named as full", func(r report) bool {
		return r.Buffer != nil && r.Buffer.Full && r.hasProblem("full") && r.Problems[0].Blocks
	})
	if !strings.Contains(p.log.String(), "the buffer is full") {
		t.Errorf("the log does not say that the buffer is full:\n%s", p.log.String())
	}
	// The windows of those devices are full of messages that wait for room; one
	// that comes now is told by the end of its connection.
	late := &device{name: "late", version: 4, qos: 1, window: 1}
	finishLate := background(t, s, []*device{late})
	eventually(t, 20*time.Second, "a client turned away", func() bool {
		r, ok := s.status()
		return ok && r.MQTT.Refused["message"] > 0
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(time.Minute, "room again", func(r report) bool { return !r.Buffer.Full })
	finish()
	finishLate()
	brokers := fakeKafkaAt(t, address)
	s.awaitForwarded(2 * time.Minute)
	l := book(t, readBack(t, brokers, readingsTopic))
	connections := 0
	devices = append(devices, late)
	for _, d := range devices {
		l.hold(d)
		connections += d.connections
	}
	if connections == len(devices) {
		t.Error("no device was turned away")
	}
	t.Logf("%d readings\n%s", l.total, s.verify())
	p.stop()
}

// A gateway that may drop the oldest readings goes on acknowledging, and an
// event says which numbers were given up.
func TestFullCardDropsTheOldestAndSaysSo(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s := newStation(t, address, sections{"data_dir": mountCard(t, "8m")}) // the limit is a quarter of the card
	s.program = plainProgram(t)
	p := s.start()
	devices := noisyDevices()
	finish := background(t, s, devices)
	s.awaitStatus(2*time.Minute, "readings dropped", func(r report) bool { return r.Buffer != nil && r.Buffer.Dropped > 0 })
	finish()
	brokers := fakeKafkaAt(t, address)
	s.awaitForwarded(2 * time.Minute)

	arrivals := readBack(t, brokers, readingsTopic, eventsTopic)
	given := gapNumbers(arrivals, "dropped")
	l := book(t, arrivals)
	missing := 0
	for _, d := range devices {
		lost := l.missing(d)
		missing += len(lost)
		// All but what was already on its way to Kafka: one run of numbers.
		if n := len(lost); n > 0 && lost[n-1]-lost[0] != n-1 {
			t.Errorf("%s: what was given up between %d and %d is not the oldest", d.name, lost[0], lost[n-1])
		}
		if d.connections != 1 {
			t.Errorf("%s had to connect %d times", d.name, d.connections)
		}
	}
	if missing == 0 || missing > given {
		t.Errorf("%d acknowledged messages are missing, events explain %d", missing, given)
	}
	t.Logf("%d readings in Kafka, %d given up\n%s", l.total, missing, s.verify())
	p.stop()
}

// gapNumbers adds up what gap events explain by a reason.
func gapNumbers(arrivals []arrival, reason string) (sum int) {
	seen := map[string]bool{}
	for _, e := range ofEvent(arrivals, "gap") {
		if e.value.Get("reason").Str == reason && !seen[e.id()] {
			seen[e.id()] = true
			sum += int(e.value.Get("count").Int())
		}
	}
	return sum
}

// noisyDevices fill a small card within seconds: their values hardly compress.
func noisyDevices() (devices []*device) {
	for i := range 4 {
		devices = append(devices, &device{name: fmt.Sprintf("noisy%d", i), version: 4, qos: 1, window: 50, payload: noise})
	}
	return devices
}

func noise(dst []byte, n int) []byte {
	random := rand.New(rand.NewPCG(uint64(n), 0)) // the same when it is sent again
	dst = append(dst, `{"Time":"2026-11-24T08:12:31","ENERGY":{"Total":`...)
	dst = appendThousandths(dst, n)
	for _, name := range []string{"Yesterday", "Today", "Power", "ApparentPower", "ReactivePower", "Voltage", "Current"} {
		dst = fmt.Appendf(dst, `,%q:%.6f`, name, 200*random.Float64())
	}
	return append(dst, `}}`...)
}

// mountCard is a file system of its own, small enough to be filled.
func mountCard(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		withoutCard(t, "only root can mount a small file system")
	}
	dir := filepath.Join(t.TempDir(), "card")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("plantgate-test", dir, "tmpfs", 0, "size="+size); err != nil {
		withoutCard(t, fmt.Sprintf("mount a small file system: %v", err))
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// withoutCard skips a test that needs a card of its own, or fails it where there
// has to be one.
func withoutCard(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("PLANTGATE_REQUIRE_CARD") == "1" {
		t.Fatalf("%s, and PLANTGATE_REQUIRE_CARD=1", why)
	}
	t.Skip(why)
}

func remount(dir string, flags uintptr) error {
	return syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, "")
}
