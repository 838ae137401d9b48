//go:build linux

package proof_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A person whose database lost a day sends it again: the same records under the
// same ids, marked, of the device and range that were named and no others, and
// `plantgate verify` is content.
func TestReplaySendsTheSameAgain(t *testing.T) {
	t.Parallel()
	kafka := fakeKafka(t)
	s := newStation(t, kafka, nil)
	p := s.start()
	var devices []*device
	for _, name := range []string{"washer", "lamp", "solar"} {
		devices = append(devices, &device{name: name, version: 4, qos: 1, window: 10, limit: 200})
	}
	play(t, s, devices)
	s.awaitForwarded(time.Minute)
	first := readBack(t, kafka, readingsTopic, eventsTopic)
	last := lastNumber(first)

	half := last / 2
	replay := func(args ...string) string {
		t.Helper()
		out, log, code := s.command(append([]string{"buffer", "replay"}, args...)...)
		if code != 0 || !strings.Contains(out, "were sent again") {
			t.Fatalf("replay %v: exit code %d\n%s%s", args, code, out, log)
		}
		return out
	}
	replay("--from", "1", "--to", fmt.Sprint(half), "--device", "washer")
	again := replayedSince(t, kafka, nil)
	sameRecords(t, first, again, func(a arrival) bool { return a.key == "washer" && a.seq() <= half })

	replay("--from", "1h", "--to", fmt.Sprint(last))
	more := replayedSince(t, kafka, again)
	sameRecords(t, first, more, func(arrival) bool { return true })

	s.awaitForwarded(time.Minute)
	out := s.verify()
	if !strings.Contains(out, fmt.Sprintf("sent again and marked replayed: %d", len(again)+len(more))) {
		t.Errorf("verify does not count %d replayed records:\n%s", len(again)+len(more), out)
	}
	if events := ofEvent(readBack(t, kafka, eventsTopic), "replayed"); len(events) < 4 {
		t.Errorf("%d events tell of two replays", len(events))
	}
	strangersMayOnlyLook(t, s, kafka)
	p.stop()
	if _, log, code := s.command("buffer", "replay", "--from", "1"); code != 1 || !strings.Contains(log, "systemctl start plantgate") {
		t.Errorf("replay without a gateway: exit code %d\n%s", code, log)
	}
	proved(t, "replay", "%d records sent again with the ids and contents that they had, %d of them of one device and half of the numbers; verify is content, a stranger is refused",
		len(again)+len(more), len(again))
}

// replayedSince returns the replayed records behind those that were there.
func replayedSince(t *testing.T, kafka string, before []arrival) (again []arrival) {
	t.Helper()
	skip := map[string]int{}
	for _, a := range before {
		skip[a.id()]++
	}
	for _, a := range readBack(t, kafka, readingsTopic, eventsTopic) {
		if !a.value.Get("replayed").Bool() {
			continue
		}
		if skip[a.id()] > 0 {
			skip[a.id()]--
			continue
		}
		again = append(again, a)
	}
	return again
}

// sameRecords expects of again those of first that were wanted, each once, in
// the order of each device, with nothing changed but the mark.
func sameRecords(t *testing.T, first, again []arrival, wanted func(arrival) bool) {
	t.Helper()
	want := map[string]arrival{}
	for _, a := range first {
		if wanted(a) {
			want[a.id()] = a
		}
	}
	last := map[string]uint64{}
	for _, a := range again {
		w, ok := want[a.id()]
		if !ok {
			t.Fatalf("sent again although it was not asked for, or twice: %s", a.value.Raw)
		}
		delete(want, a.id())
		if plain := strings.Replace(a.value.Raw, `,"replayed":true`, "", 1); plain != w.value.Raw || a.key != w.key || a.topic != w.topic {
			t.Errorf("sent again as\n%s\nand at first as\n%s", a.value.Raw, w.value.Raw)
		}
		if a.topic == readingsTopic && a.seq() < last[a.key] {
			t.Errorf("%s: %d came again behind %d", a.key, a.seq(), last[a.key])
		}
		if a.topic == readingsTopic {
			last[a.key] = a.seq()
		}
	}
	if len(want) > 0 {
		t.Errorf("%d records were not sent again", len(want))
	}
}

// strangersMayOnlyLook runs the commands as a user who is in no group.
func strangersMayOnlyLook(t *testing.T, s *station, kafka string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("not root: what a stranger may do is not tried")
		return
	}
	dir := filepath.Dir(s.config)
	program := filepath.Join(dir, "plantgate")
	if err := os.Link(s.program, program); err != nil {
		copyFile(t, s.program, program)
	}
	for _, open := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := len(replayedSince(t, kafka, nil))
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"buffer", "replay", "--from", "1"}, 1, "members of the group plantgate may do this"},
		{[]string{"buffer", "peek"}, 0, "washer"},
		{[]string{"buffer", "export"}, 0, `"device":"washer"`},
	} {
		cmd := exec.CommandContext(t.Context(), program, tc.args...)
		cmd.Env = environment(s.env)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.CombinedOutput() // the exit code says it
		if code := cmd.ProcessState.ExitCode(); code != tc.code || !bytes.Contains(out, []byte(tc.says)) {
			t.Errorf("a stranger's %v: exit code %d, want %d and %q:\n%s", tc.args, code, tc.code, tc.says, tail(string(out)))
		}
	}
	if after := len(replayedSince(t, kafka, nil)); after != before {
		t.Errorf("a stranger had %d records sent again", after-before)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Kafka goes away in the middle of a replay: the person is told what it waits
// for and may leave; the gateway goes on as before.
func TestReplayWaitsForKafkaAndCanBeLeft(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	cluster := clusterAt(t, address)
	s := newStation(t, address, nil)
	p := s.start()
	play(t, s, []*device{{name: "washer", version: 4, qos: 1, window: 10, limit: 100}})
	s.awaitForwarded(time.Minute)
	cluster.Close()
	waiting := launch(t, s.program, s.env, "buffer", "replay", "--from", "1", "--config", s.config)
	eventually(t, time.Minute, "the replay says what it waits for", func() bool {
		return strings.Contains(waiting.log.String(), "Kafka does not take records")
	})
	if out, log, code := s.command("buffer", "replay", "--from", "1"); code != 1 || !strings.Contains(log, "another replay is under way") {
		t.Errorf("a second replay: exit code %d\n%s%s", code, out, log)
	}
	waiting.signal(syscall.SIGINT)
	waiting.awaitEnd(30 * time.Second)
	if out := waiting.out.String(); waiting.err != nil || !strings.Contains(out, "0 records of the numbers 1..") {
		t.Errorf("replay left with Ctrl-C: %v, %q", waiting.err, out)
	}
	lamp := &device{name: "lamp", version: 4, qos: 1, window: 10, limit: 20}
	play(t, s, []*device{lamp})
	expectOutput(t, s, 0, "lamp", "buffer", "peek", "--unsent")
	p.stop()
}
