//go:build linux

package proof_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Bytes that changed on the card, in a file that is full and in the one that is
// written to, stop nothing: what is good is saved, the rest is named by events,
// and log and commands say so.
func TestDamagedFilesAreReportedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	card := filepath.Join(mountCard(t, "16m"), "data")
	s := newStation(t, address, sections{"data_dir": card, "buffer": "{commit_every: 500ms}"})
	s.program = plainProgram(t)
	p := s.start()
	devices := noisyDevices()
	before := background(t, s, devices)
	s.awaitStatus(time.Minute, "four segments", func(r report) bool { return r.Buffer != nil && r.Buffer.Segments >= 4 })
	before()
	p.kill()

	files := segments(t, filepath.Join(card, "buffer"))
	random := rand.New(rand.NewPCG(seedOf(t), 0))
	damage(t, random, files[1])
	damage(t, random, files[len(files)-1])
	if out, _, code := s.command("buffer", "fsck"); code == 0 {
		t.Errorf("buffer fsck finds nothing:\n%s", out)
	}

	p = s.start()
	later := &device{name: "later", version: 4, qos: 1, window: 10, limit: 500}
	play(t, s, []*device{later})
	brokers := fakeKafkaAt(t, address)
	s.awaitForwarded(2 * time.Minute)
	eventually(t, time.Minute, "two events that tell of files set aside", func() bool {
		return len(ofEvent(readBack(t, brokers, eventsTopic), "file_set_aside")) == 2
	})
	arrivals := readBack(t, brokers, readingsTopic, eventsTopic)
	l := book(t, arrivals)
	l.hold(later)
	missing := 0
	for _, d := range devices {
		missing += len(l.missing(d))
	}
	explained := gapNumbers(arrivals, "damaged") + gapNumbers(arrivals, "lost_tail")
	if missing == 0 || missing > explained {
		t.Errorf("%d acknowledged messages are missing, events explain %d", missing, explained)
	}
	if out, _, code := s.command("status"); code != 0 || !strings.Contains(out, "damaged") {
		t.Errorf("status does not say that a file is damaged:\n%s", out)
	}
	t.Logf("%d readings in Kafka, %d missing, events explain %d\n%s", l.total, missing, explained, s.verify())
	p.stop()
	if out, log, code := s.command("buffer", "fsck"); code != 0 || strings.Count(out, "set aside earlier") != 2 {
		t.Errorf("buffer fsck afterwards: exit code %d\n%s%s", code, out, log)
	}
}

// segments are the files that hold records, the oldest first.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "0*.seg"))
	if err != nil || len(files) < 4 {
		t.Fatalf("segments in %s: %v, %v", dir, files, err)
	}
	return files // their names are numbers with leading zeros
}

// damage changes single bytes in the part of a file that was written, so many
// that not all of them can lie in pages that are free again.
func damage(t *testing.T, random *rand.Rand, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(strings.TrimRight(string(bytes), "\x00"))
	for range 8 {
		at := random.IntN(used)
		if _, err := f.WriteAt([]byte{^bytes[at]}, int64(at)); err != nil {
			t.Fatal(err)
		}
		t.Logf("changed byte %d of %s (%d in use)", at, filepath.Base(path), used)
	}
}
