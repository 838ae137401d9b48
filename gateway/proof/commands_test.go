//go:build linux

package proof_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The help is the first page that a person reads; it changes on purpose only.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, nil} {
		out, log, code := run(t, "", raceProgram(t), nil, args...)
		if code != 0 || log != "" {
			t.Errorf("plantgate %v: exit code %d\n%s", args, code, log)
		}
		sameAsGolden(t, "testdata/help.golden", out)
	}
}

func sameAsGolden(t *testing.T, path, got string) {
	t.Helper()
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
		t.Errorf("not as in %s (go test ./gateway -run %s -update writes it anew):\n%s", path, t.Name(), diff)
	}
}

// A command line that is wrong and a command that fails are told apart by the
// exit code, and both say why in one line that names the program.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "nowhere")
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"version"}, 0, ""},
		{[]string{"water"}, 2, "water"},
		{[]string{"status", "--loud"}, 2, "--loud"},
		{[]string{"status", "--data-dir", empty}, 1, "no running gateway answers"},
		{[]string{"tail", "--data-dir", empty}, 1, "systemctl start plantgate"},
		{[]string{"check", "--config", empty}, 1, empty},
		{[]string{"run", "--config", empty}, 1, empty},
	} {
		_, log, code := run(t, "", raceProgram(t), nil, tc.args...)
		if code != tc.code || !strings.Contains(log, tc.says) || tc.code != 0 && !strings.HasPrefix(log, "plantgate: ") {
			t.Errorf("plantgate %v: exit code %d, want %d and %q:\n%s", tc.args, code, tc.code, tc.says, log)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	out, _, _ := run(t, "", raceProgram(t), nil, "version")
	if !regexp.MustCompile(`^plantgate \S+ go1\.\d+\S* linux/\w+\n$`).MatchString(out) {
		t.Errorf("got %q", out)
	}
}

// All that is wrong with a configuration is said at once, with the place, the
// line and what to do; the start says the same.
func TestWrongConfigurationIsExplained(t *testing.T) {
	t.Parallel()
	s := newStation(t, "localhost:9092", sections{
		"site":    "home\nsensor: []",
		"buffer":  "{commit_every: 5}",
		"sensors": "\n  - {name: a, chip: ads1115, bus: i2c-1, address: 0x99, channel: 0}\n  - {name: b, chip: ads1115, bus: i2c-1, channel: 1}\n  - {name: c, chip: ads1115, bus: i2c-1, channel: 1}",
	})
	want := []string{
		s.config + ":", "did you mean", // an unknown key
		"commit_every", "has no unit", "0x99", "channel",
	}
	for _, command := range []string{"check", "run"} {
		out, log, code := s.command(command)
		if code != 1 || out != "" {
			t.Errorf("%s: exit code %d, output %q", command, code, out)
		}
		for _, w := range want {
			if !strings.Contains(log, w) {
				t.Errorf("%s does not say %q:\n%s", command, w, log)
			}
		}
		if n := len(regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(s.config)+`:\d+:\d+: `).FindAllString(log, -1)); n < 3 {
			t.Errorf("%s names %d places:\n%s", command, n, log)
		}
	}
	s.configure("localhost:9092", nil)
	if out, log, code := s.command("check"); code != 0 || !strings.Contains(out, "is right") {
		t.Errorf("check of what is right: exit code %d\n%s%s", code, out, log)
	}
}

// `plantgate decode` reads what devices sent, as it stands in the corpora of all
// dialects, each message by the one whose it is.
func TestDecodeReadsTheCorpora(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../drivers/dialect/*/testdata/payloads.jsonl")
	if err != nil || len(files) < 10 {
		t.Fatalf("corpora: %v, %v", files, err)
	}
	for _, file := range files {
		corpus, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, log, code := run(t, string(corpus), raceProgram(t), nil, "decode")
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s", file, code, log)
		}
		messages, answers := strings.Split(strings.TrimSpace(string(corpus)), "\n"), strings.Split(strings.TrimSpace(out), "\n")
		if len(messages) != len(answers) {
			t.Fatalf("%s: %d lines for %d messages", file, len(answers), len(messages))
		}
		for i := range messages {
			compareDecoded(t, messages[i], answers[i])
		}
	}
}

// nativeWins are messages that Home Assistant's discovery describes and a
// dialect of the device's own reads: it comes first.
var nativeWins = map[string]bool{"ha-discovery-005": true, "ha-discovery-006": true, "ha-discovery-007": true}

func compareDecoded(t *testing.T, message, answer string) {
	t.Helper()
	type value struct {
		Device, Channel, Quantity, Unit string
		Value                           float64
		Suspect, Optional               bool
	}
	var want struct {
		ID             string
		Expect         []value
		Error, Lenient bool
	}
	var got struct {
		Readings []struct {
			Device, Channel, Source string
			Values                  []value
		}
		Ignored bool
		Error   string
	}
	if err := json.Unmarshal([]byte(message), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	if nativeWins[want.ID] {
		want.Expect = nil
	}
	if want.Error != (got.Error != "") && !want.Lenient {
		t.Errorf("%s: error %q, want one: %v", want.ID, got.Error, want.Error)
	}
	found := map[[3]string]value{}
	for _, r := range got.Readings {
		for _, v := range r.Values {
			found[[3]string{r.Device, r.Channel, v.Quantity}] = v
		}
	}
	if got.Ignored != (len(found) == 0 && got.Error == "") {
		t.Errorf("%s: ignored %v in %s", want.ID, got.Ignored, answer)
	}
	for _, w := range want.Expect {
		v, ok := found[[3]string{w.Device, w.Channel, w.Quantity}]
		if !ok && (w.Optional || want.Lenient) {
			continue
		}
		if !ok || v.Unit != w.Unit || v.Suspect != w.Suspect || math.Abs(v.Value-w.Value) > 1e-6*math.Max(1, math.Abs(w.Value)) {
			t.Errorf("%s: got %+v, want %+v", want.ID, v, w)
		}
	}
}

// A person who wonders why a device does not appear sees each message and why
// it gave no reading.
func TestTailShowsWhatArrives(t *testing.T) {
	t.Parallel()
	s := newStation(t, fakeKafka(t), nil)
	p := s.start()
	tail := func(args ...string) *process {
		return launch(t, s.program, s.env, append([]string{"tail", "--config", s.config}, args...)...)
	}
	all, lamp, raw := tail("--json"), tail("--device", "lamp"), tail("--raw")
	c := connect(t, s.mqtt, greeting{id: "house", version: 4})
	// tail shows what comes after it began, and nothing outside says when it has.
	eventually(t, time.Minute, "each tail shows its lines", func() bool {
		c.publish("tele/lamp/SENSOR", `{"ENERGY":{"Power":7.5}}`, false)
		c.publish("tele/washer/SENSOR", `{"ENERGY":{"Power":2000}}`, false)
		c.publish("tele/lamp/SENSOR", "{broken\x1b[2J", false)
		return strings.Contains(all.out.String(), `"device":"washer"`) && strings.Contains(lamp.out.String(), "power 7.5 W") &&
			strings.Contains(raw.out.String(), "no reading: ")
	})
	if out := lamp.out.String(); strings.Contains(out, "washer") {
		t.Errorf("tail --device lamp shows another device:\n%s", out)
	}
	if out := raw.out.String(); strings.Contains(out, "\x1b") || !strings.Contains(out, "tele/lamp/SENSOR {broken") {
		t.Errorf("tail --raw: %q", out)
	}
	lamp.signal(syscall.SIGINT)
	if lamp.awaitEnd(30 * time.Second); lamp.err != nil {
		t.Errorf("tail ended by Ctrl-C: %v", lamp.err)
	}
	p.stop()
	if all.awaitEnd(30 * time.Second); !strings.Contains(all.log.String(), "the gateway has stopped") {
		t.Errorf("tail says at the end of the gateway: %q", all.log.String())
	}
}

// The buffer can be looked at beside a running gateway and without one.
func TestBufferCommands(t *testing.T) {
	t.Parallel()
	s := newStation(t, fakeKafka(t), nil)
	p := s.start()
	play(t, s, []*device{{name: "washer", version: 4, qos: 1, window: 10, limit: 100}})
	s.awaitForwarded(time.Minute)
	expect := func(code int, says string, args ...string) {
		t.Helper()
		out, log, got := s.command(args...)
		if got != code || !strings.Contains(out+log, says) {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s%s", args, got, code, says, out, log)
		}
	}
	expect(0, "unsent 0", "buffer", "status")
	expect(0, "all is well", "status")
	expect(1, "stop the gateway first", "buffer", "fsck")
	p.stop()
	expect(0, "stopped in order: true", "buffer", "status")
	expect(0, ", ok", "buffer", "fsck")
	expect(1, "no running gateway answers", "status")
	expect(0, "missing without explanation: none", "verify")
}

// A user that was made while the gateway runs can log in at once, with the
// right password only, until the user is removed.
func TestUsersLogIn(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	kafka := fakeKafka(t)
	s := newStation(t, kafka, nil)
	s.configure(kafka, sections{"mqtt": fmt.Sprintf("{listen: %q}", s.mqtt)})
	s.start()
	user := func(stdin string, args ...string) string {
		t.Helper()
		out, log, code := run(t, stdin, s.program, s.env, append(append([]string{"mqtt", "user"}, args...), "--config", s.config)...)
		if code != 0 {
			t.Fatalf("mqtt user %v: exit code %d\n%s%s", args, code, out, log)
		}
		return out
	}
	mayLogIn := func(password string) bool {
		t.Helper()
		return mosquitto(t, s, "pub", "-q", "1", "-u", "washer", "-P", password, "-t", "tele/washer/SENSOR", "-m", `{"ENERGY":{"Power":1}}`) == nil
	}
	if mayLogIn("secret") {
		t.Error("a user that does not exist may log in")
	}
	user("secret\n", "add", "washer", "--password-file", "-")
	eventually(t, 30*time.Second, "washer may log in", func() bool { return mayLogIn("secret") })
	if mayLogIn("wrong") {
		t.Error("a wrong password is good enough")
	}
	if list := user("", "list"); !regexp.MustCompile(`(?m)^washer\s+device$`).MatchString(list) {
		t.Errorf("list: %q", list)
	}
	made := regexp.MustCompile(`password (\S+)`).FindStringSubmatch(user("", "passwd", "washer"))
	if made == nil {
		t.Fatal("passwd shows no password")
	}
	eventually(t, 30*time.Second, "washer may log in with the new password", func() bool { return mayLogIn(made[1]) })
	if mayLogIn("secret") {
		t.Error("the old password is still good")
	}
	user("", "remove", "washer")
	eventually(t, 30*time.Second, "washer may no longer log in", func() bool { return !mayLogIn(made[1]) })
}

func needMosquitto(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("mosquitto_pub")
	switch {
	case err != nil && os.Getenv("PLANTGATE_REQUIRE_MOSQUITTO") == "1":
		t.Fatal(err)
	case err != nil:
		t.Skip("mosquitto's clients are not on this machine")
	}
}

// mosquitto runs mosquitto_pub or mosquitto_sub against the gateway.
func mosquitto(t *testing.T, s *station, which string, args ...string) error {
	t.Helper()
	_, err := mosquittoOutput(t, s, which, args...)
	return err
}

func mosquittoOutput(t *testing.T, s *station, which string, args ...string) (string, error) {
	t.Helper()
	host, port, _ := strings.Cut(s.mqtt, ":")
	out, err := exec.CommandContext(t.Context(), "mosquitto_"+which, append([]string{"-h", host, "-p", port}, args...)...).Output()
	return string(out), err
}
