//go:build linux

package proof_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A station is one gateway as it stands on a shelf: its folder, its
// configuration and its address, which stay while programs come and go.
type station struct {
	t       *testing.T
	program string
	env     []string
	data    string // data_dir
	config  string // file
	mqtt    string // address
}

// sections of a configuration: key and value as YAML.
type sections map[string]string

// newStation writes the configuration; nothing runs yet. What changes replaces
// the usual sections.
func newStation(t *testing.T, brokers string, changes sections) *station {
	t.Helper()
	dir := t.TempDir()
	s := &station{
		t: t, program: raceProgram(t), data: filepath.Join(dir, "data"), config: filepath.Join(dir, "plantgate.yaml"),
		mqtt: freeAddress(t), env: []string{"RUNTIME_DIRECTORY=" + filepath.Join(dir, "run")},
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil { // as systemd does
		t.Fatal(err)
	}
	s.configure(brokers, changes)
	return s
}

func (s *station) configure(brokers string, changes sections) {
	s.t.Helper()
	all := sections{
		"gateway": "pi1", "site": "home", "data_dir": s.data,
		"kafka": fmt.Sprintf("{brokers: [%q]}", brokers),
		"mqtt":  fmt.Sprintf("{listen: %q, anonymous: true}", s.mqtt),
		"clock": "{trust: true}",
		"http":  `{listen: "off"}`,
		"log":   "{format: text}",
	}
	maps.Copy(all, changes)
	s.data = all["data_dir"]
	var b strings.Builder
	for key, value := range all {
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	if err := os.WriteFile(s.config, []byte(b.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// raceProgram is the program built as this test is.
func raceProgram(t *testing.T) string {
	t.Helper()
	return programFrom(t, buildRace)
}

// plainProgram is the program as it is installed: the race detector multiplies
// memory and time, which are measured here.
func plainProgram(t *testing.T) string {
	t.Helper()
	return programFrom(t, buildPlain)
}

func programFrom(t *testing.T, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	buildPlain = sync.OnceValues(func() (string, error) { return build("plantgate", false) })
	buildRace  = sync.OnceValues(func() (string, error) {
		if !withRace {
			return buildPlain()
		}
		return build("plantgate-race", true)
	})
)

func build(name string, race bool) (path string, err error) {
	path = filepath.Join(os.Getenv("PLANTGATE_TEST_DIR"), name)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if race {
		cmd.Args = slices.Insert(cmd.Args, 2, "-race")
		cmd.Env = os.Environ()
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return path, nil
}

// claimed are the addresses that freeAddress has given: tests that run side by
// side must not get the same one before either listens.
var claimed sync.Map

// freeAddress is an address that nothing listens on, below the ports that the
// system gives to outgoing connections: one of those could sit on it while the
// gateway is down.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, taken := claimed.LoadOrStore(address, true); taken {
			continue
		}
		return address
	}
	t.Fatal("no free port")
	return ""
}

// launch starts the gateway without waiting for it.
func (s *station) launch() *process {
	s.t.Helper()
	return launch(s.t, s.program, s.env, "run", "--config", s.config)
}

// start returns once the gateway is ready.
func (s *station) start() *process {
	s.t.Helper()
	p := s.launch()
	p.awaitReady()
	return p
}

// command runs one of the program's commands as a person beside the gateway
// does.
func (s *station) command(args ...string) (out, log string, code int) {
	s.t.Helper()
	return run(s.t, "", s.program, s.env, append(args, "--config", s.config)...)
}

// A report is what the tests use of `plantgate status --json`.
type report struct {
	Problems []struct {
		What, Remedy string
		Blocks       bool
	}
	Buffer *struct {
		Stream                                    string
		Next, Durable, Confirmed, Unsent, Dropped uint64
		Segments                                  int
		Full                                      bool
	}
	Kafka *struct {
		State     string
		LastError string `json:"last_error"`
	}
	Clock struct{ Synchronised, Trusted, Holding bool }
	MQTT  struct {
		Clients, Retained int
		Refused           map[string]uint64
	}
	Devices []struct {
		Name, Source string
		Readings     uint64
		Offline      bool
	}
}

// status is false while no gateway answers.
func (s *station) status() (r report, ok bool) {
	s.t.Helper()
	out, _, code := s.command("status", "--json")
	if code != 0 {
		return r, false
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		s.t.Fatalf("status: %v in %s", err, out)
	}
	return r, true
}

// awaitStatus returns the first status that fits.
func (s *station) awaitStatus(within time.Duration, what string, fits func(report) bool) report {
	s.t.Helper()
	var last report
	if !becomes(within, func() bool {
		r, ok := s.status()
		if ok {
			last = r
		}
		return ok && fits(r)
	}) {
		text, _ := json.MarshalIndent(last, "", " ")
		s.t.Fatalf("status not within %s: %s; the last one was\n%s", within, what, text)
	}
	return last
}

// hasProblem reports whether status names something, in lower case, as wrong.
func (r report) hasProblem(what string) bool {
	for _, p := range r.Problems {
		if strings.Contains(strings.ToLower(p.What), what) {
			return true
		}
	}
	return false
}

// awaitForwarded returns when Kafka has confirmed all that is in the buffer
// now.
func (s *station) awaitForwarded(within time.Duration) {
	s.t.Helper()
	now := s.awaitStatus(time.Minute, "a buffer", func(r report) bool { return r.Buffer != nil })
	last := now.Buffer.Next - 1
	s.awaitStatus(within, fmt.Sprintf("everything through %d confirmed", last), func(r report) bool {
		return r.Buffer != nil && r.Buffer.Confirmed >= last
	})
}

// verify runs `plantgate verify` and expects that everything is explained.
func (s *station) verify() string {
	s.t.Helper()
	out, log, code := s.command("verify")
	if code != 0 {
		s.t.Errorf("plantgate verify: exit code %d\n%s%s", code, out, log)
	}
	return out
}
