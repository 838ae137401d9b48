//go:build linux

package proof_test

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// export runs `plantgate buffer export` and returns its records by their ids.
func export(t *testing.T, s *station, args ...string) (records map[string]string, notes string) {
	t.Helper()
	out, notes, code := s.command(append([]string{"buffer", "export"}, args...)...)
	if code != 0 {
		t.Fatalf("buffer export %v: exit code %d\n%s", args, code, notes)
	}
	records = map[string]string{}
	for line := range strings.Lines(out) {
		records[gjson.Get(line, "id").Str] = strings.TrimSuffix(line, "\n")
	}
	return records, notes
}

// sameAsKafka holds exported records against those that Kafka has.
func sameAsKafka(t *testing.T, what string, exported map[string]string, arrivals []arrival) {
	t.Helper()
	ids := map[string]bool{}
	for _, a := range arrivals {
		if a.value.Get("replayed").Bool() {
			continue
		}
		ids[a.id()] = true
		if got := exported[a.id()]; got != a.value.Raw {
			t.Errorf("%s of %s:\n%s\nand Kafka has\n%s", what, a.id(), got, a.value.Raw)
			return
		}
	}
	if len(exported) != len(ids) {
		t.Errorf("%s holds %d records, Kafka %d", what, len(exported), len(ids))
	}
}

// Somebody exports everything while sockets publish at full speed, again and
// again, and somebody else leaves an export standing in a pager: no socket waits
// for them, and what is exported, also from the card of a stopped gateway, is
// byte for byte what Kafka has.
func TestExportDisturbsNobody(t *testing.T) {
	t.Parallel()
	kafka := fakeKafka(t)
	s := newStation(t, kafka, nil)
	s.program = plainProgram(t)
	p := s.start()
	alone, _ := measureLoad(t, s, func(context.Context) {})
	var exports atomic.Int64
	beside, worst := measureLoad(t, s, func(ctx context.Context) {
		stalled := standingExports(t, s, 2)
		defer stalled()
		for ctx.Err() == nil {
			if _, notes := export(t, s, "--events"); !strings.Contains(notes, " records of the numbers 1..") {
				t.Errorf("the export says %q", notes)
			}
			exports.Add(1)
		}
	})
	if worst > 2*time.Second {
		t.Errorf("a socket waited %s for its answer", worst)
	}
	s.awaitForwarded(time.Minute)
	arrivals := readBack(t, kafka, readingsTopic, eventsTopic)
	records, _ := export(t, s, "--events", "--to", fmt.Sprint(lastNumber(arrivals)))
	sameAsKafka(t, "the export of the running gateway", records, arrivals)
	top := p.usage().top
	p.stop()
	arrivals = readBack(t, kafka, readingsTopic, eventsTopic)
	records, _ = export(t, s, "--events", "--to", fmt.Sprint(lastNumber(arrivals)))
	sameAsKafka(t, "the export of the stopped gateway", records, arrivals)
	tableHasAll(t, s, arrivals)
	s.verify()
	proved(t, "export beside a load", "%d exports of up to %d records, 2 more left standing, %.0f acknowledged/s beside them and %.0f without, worst wait %s, %d MB resident at most; every record as Kafka has it",
		exports.Load(), len(records), beside, alone, worst.Round(time.Millisecond), top>>20)
}

func lastNumber(arrivals []arrival) (last uint64) {
	for _, a := range arrivals {
		last = max(last, a.seq())
	}
	return last
}

// measureLoad publishes for some seconds while f runs.
func measureLoad(t *testing.T, s *station, f func(context.Context)) (perSecond float64, worst time.Duration) {
	t.Helper()
	duration := 2 * time.Second
	if torture() {
		duration = 20 * time.Second
	}
	var devices []*device
	for i := range 8 {
		devices = append(devices, &device{name: fmt.Sprintf("socket%d-%d", i, time.Now().UnixNano()), version: 4, qos: 1, window: 10})
	}
	begin := time.Now()
	finish := background(t, s, devices)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	f(ctx)
	<-ctx.Done()
	finish()
	told := 0
	for _, d := range devices {
		told += len(d.told)
		worst = max(worst, d.worst)
	}
	return float64(told) / time.Since(begin).Seconds(), worst
}

func (s *station) socket() string {
	return filepath.Join(filepath.Dir(s.config), "run", "control.sock")
}

// standingExports asks for everything and reads nothing of it.
func standingExports(t *testing.T, s *station, n int) (leave func()) {
	t.Helper()
	var conns []net.Conn
	for range n {
		c, err := net.Dial("unix", s.socket())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /buffer?events=true HTTP/1.1\r\nHost: plantgate\r\n\r\n")
		conns = append(conns, c)
	}
	return func() {
		for _, c := range conns {
			c.Close()
		}
	}
}

// tableHasAll reads the table as a spreadsheet does.
func tableHasAll(t *testing.T, s *station, arrivals []arrival) {
	t.Helper()
	out, notes, code := s.command("buffer", "export", "--format", "csv", "--to", fmt.Sprint(lastNumber(arrivals)))
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || code != 0 || len(rows) == 0 {
		t.Fatalf("table: exit code %d, %v\n%s", code, err, notes)
	}
	byID := map[string][]string{}
	for _, row := range rows[1:] {
		byID[row[0]] = row
	}
	readings := 0
	for _, a := range arrivals {
		if a.topic != readingsTopic {
			continue
		}
		readings++
		row := byID[a.id()]
		for i, name := range rows[0] {
			field := a.value.Get(name)
			want := field.Raw
			if field.Type == gjson.String {
				want = field.Str
			}
			if row == nil || row[i] != want {
				t.Fatalf("row %q, column %s: want %q of %s", row, name, want, a.value.Raw)
			}
		}
	}
	if len(byID) != readings {
		t.Errorf("the table has %d rows, Kafka %d readings", len(byID), readings)
	}
}

// A person looks at the card before there is a Kafka, beside the gateway and
// without it, and is told what to write where a command line is wrong.
func TestPeekAndExportOfUnsentReadings(t *testing.T) {
	t.Parallel()
	s := newStation(t, freeAddress(t), nil)
	p := s.start()
	play(t, s, []*device{
		{name: "washer", version: 4, qos: 1, window: 10, limit: 30},
		{name: "lamp", version: 4, qos: 1, window: 10, limit: 30},
	})
	connect(t, s.mqtt, greeting{id: "odd", version: 4}).publish("tele/odd/SENSOR", "{broken", false)
	for _, running := range []bool{true, false} {
		if !running {
			p.stop()
		}
		out, log, code := s.command("buffer", "peek", "--device", "lamp", "-n", "3")
		if code != 0 || strings.Count(out, "  unsent  good  lamp  ") != 3 {
			t.Errorf("running %v: peek: exit code %d\n%s%s", running, code, out, log)
		}
		out, log, code = s.command("buffer", "peek", "--unsent", "-n", "1000")
		if code != 0 || strings.Count(out, "  lamp  ") != 30 || strings.Count(out, "  washer  ") != 30 || !strings.HasPrefix(out, "#1  ") {
			t.Errorf("running %v: peek --unsent: exit code %d\n%s%s", running, code, out, log)
		}
		records, notes := export(t, s, "--from", "1h", "--device", "washer")
		if len(records) != 30 || !strings.HasPrefix(notes, "# 30 records of the numbers ") {
			t.Errorf("running %v: %d records of the washer\n%s", running, len(records), notes)
		}
	}
	expectOutput(t, s, 0, "tele/odd/SENSOR", "buffer", "export", "--dead-letters")
	expectOutput(t, s, 0, "no records", "buffer", "export", "--from", "2099-01-01")
	expectOutput(t, s, 0, "`plantgate status` lists the devices", "buffer", "peek", "--device", "nobody")
	expectOutput(t, s, 1, "did you mean `2h`", "buffer", "export", "--from", "2H")
	expectOutput(t, s, 1, "the lower number comes first", "buffer", "export", "--from", "7", "--to", "3")
	expectOutput(t, s, 1, "between 1 and 1000", "buffer", "peek", "-n", "0")
	expectOutput(t, s, 1, "use --format jsonl", "buffer", "export", "--format", "csv", "--events")
	expectOutput(t, s, 1, "--from says where to begin", "buffer", "replay")
}

func expectOutput(t *testing.T, s *station, code int, says string, args ...string) {
	t.Helper()
	out, log, got := s.command(args...)
	if got != code || !strings.Contains(out+log, says) {
		t.Errorf("%v: exit code %d, want %d and %q:\n%s%s", args, got, code, says, tail(out), log)
	}
}

// Exports that nobody reads on are few, take no memory that grows, and do not
// keep the gateway from stopping.
func TestStandingExportsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStation(t, fakeKafka(t), nil)
	s.program = plainProgram(t)
	p := s.start()
	play(t, s, []*device{{name: "washer", version: 4, qos: 1, window: 50, limit: 20000}})
	leave := standingExports(t, s, 4)
	eventually(t, time.Minute, "the fifth is turned away", func() bool {
		_, log, code := s.command("buffer", "export")
		return code == 1 && strings.Contains(log, "try again when one has ended")
	})
	leave()
	eventually(t, time.Minute, "there is room again", func() bool {
		_, _, code := s.command("buffer", "peek")
		return code == 0
	})
	defer standingExports(t, s, 4)()
	if took := p.stop(); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if top := p.log.String(); strings.Contains(top, "panic") {
		t.Errorf("log:\n%s", top)
	}
}

// A gateway that is killed during an export does not pass for the end of the
// card.
func TestExportOfADyingGatewayIsAnError(t *testing.T) {
	t.Parallel()
	s := newStation(t, fakeKafka(t), nil)
	s.program = plainProgram(t)
	p := s.start()
	play(t, s, []*device{{name: "washer", version: 4, qos: 1, window: 50, limit: 20000}})
	cmd := exec.CommandContext(t.Context(), s.program, "buffer", "export", "--config", s.config)
	cmd.Env = environment(s.env)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log text
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	p.kill() // while the pipe is full: the export has not come far
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(log.String(), "broke off") {
		t.Errorf("export: %v\n%s", err, log.String())
	}
}
