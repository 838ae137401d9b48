package ingest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
)

var update = flag.Bool("update", false, "write the golden files anew")

const corpus = "../../../drivers/dialect/tasmota/testdata/payloads.jsonl"

func newDialects() []ingest.Dialect { return []ingest.Dialect{tasmota.New(), other{}} }

func decodeLines(t testing.TB, in string) string {
	t.Helper()
	var out bytes.Buffer
	if err := ingest.DecodeLines(strings.NewReader(in), &out, newDialects); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Programs read these lines; a change of their form is a change for them. The
// corpus holds what real devices sent.
func TestDecodedCorpusIsGolden(t *testing.T) {
	in, err := os.ReadFile(corpus)
	if err != nil {
		t.Fatal(err)
	}
	got := decodeLines(t, string(in))
	const golden = "testdata/decoded.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}

// Each line is answered by one line, whatever it is; what comes after a broken
// one is decoded.
func TestEveryLineHasItsAnswer(t *testing.T) {
	long := `{"topic":"other/a","payload":"` + strings.Repeat("1", 1<<20) + `"}`
	large := `{"topic":"other/a","payload":"` + strings.Repeat("1", 70<<10) + `"}`
	const nothing = `{"readings":[],"ignored":`
	for _, c := range []struct{ name, line, want string }{
		{"a reading", `{"topic":"other/a","payload":"5"}`,
			`{"readings":[{"device":"a","channel":"","source":"other","values":[{"quantity":"power","unit":"W","value":5,"suspect":false}]}],"ignored":false,"error":""}`},
		{"a doubtful one", `{"topic":"tele/x/SENSOR","payload":"{\"DS18B20\":{\"Temperature\":85}}","retain":true}`,
			`{"readings":[{"device":"x","channel":"DS18B20","source":"tasmota","values":[{"quantity":"temperature","unit":"degC","value":85,"suspect":true}]}],"ignored":false,"error":""}`},
		{"bytes", `{"topic":"other/a","payload_b64":"LTAuNQ=="}`,
			`{"readings":[{"device":"a","channel":"","source":"other","values":[{"quantity":"power","unit":"W","value":-0.5,"suspect":false}]}],"ignored":false,"error":""}`},
		{"after an announcement", `{"topic":"a/lamp/tele/SENSOR","payload":"{\"DHT11\":{\"Temperature\":2e1}}","setup":[{"topic":"tasmota/discovery/A/config","payload":"{\"t\":\"lamp\",\"ft\":\"a/%topic%/%prefix%/\"}"}]}`,
			`{"readings":[{"device":"lamp","channel":"DHT11","source":"tasmota","values":[{"quantity":"temperature","unit":"degC","value":20,"suspect":false}]}],"ignored":false,"error":""}`},
		{"which the next line has not heard", `{"topic":"a/lamp/tele/SENSOR","payload":"{\"DHT11\":{\"Temperature\":20}}"}`,
			`{"readings":[{"device":"a/lamp","channel":"DHT11","source":"tasmota","values":[{"quantity":"temperature","unit":"degC","value":20,"suspect":false}]}],"ignored":false,"error":""}`},
		{"a command", `{"topic":"cmnd/x/EnergyTotal","payload":"12345"}`, nothing + `true,"error":""}`},
		{"nobody's topic", `{"topic":"nobody/knows","payload":"5"}`, nothing + `true,"error":""}`},
		{"a state", `{"topic":"tele/x/STATE","payload":"{}"}`, nothing + `true,"error":""}`},
		{"a broken payload", `{"topic":"tele/x/SENSOR","payload":"{"}`, nothing + `false,"error":"not JSON at byte 1: unexpected end of JSON input"}`},
		{"no payload", `{"topic":"tele/x/SENSOR"}`, nothing + `false,"error":"payload is empty"}`},
		{"a decoder's mistake", `{"topic":"other/x","payload":"!"}`, nothing + `false,"error":"decoder other panicked: a mistake in the decoder"}`},
		{"too large a payload", large, nothing + `false,"error":"payload is larger than 64 KiB"}`},
		{"too long a line", long, nothing + `false,"error":"line is longer than 1048576 bytes"}`},
		{"no JSON", `topic=x`, nothing + `false,"error":"line is no message: invalid character 'o' in literal true (expecting 'r')"}`},
		{"no object", `[1]`, nothing + `false,"error":"line is no message: json: cannot unmarshal array into Go value of type ingest.line"}`},
		{"no topic", `{"payload":"5"}`, nothing + `false,"error":"line is no message: it has no topic"}`},
		{"a blank line", ``, nothing + `false,"error":"line is no message: unexpected end of JSON input"}`},
		{"a number for payload", `{"topic":"other/a","payload":5}`, nothing + `false,"error":"line is no message: json: cannot unmarshal number into Go struct field line.payload of type string"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			const after = `{"topic":"other/b","payload":"7"}`
			got := strings.Split(decodeLines(t, c.line+"\n"+after), "\n")
			if len(got) != 3 || !strings.Contains(got[1], `"device":"b"`) {
				t.Fatalf("got %.300q: the line after it has no answer", got)
			}
			if diff := cmp.Diff(c.want, got[0]); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		})
	}
}

// A person at a terminal, or a program that asks one thing at a time, gets each
// answer before the next question.
func TestAnswersDoNotWaitForMore(t *testing.T) {
	in, ask := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- ingest.DecodeLines(in, out, newDialects)
		out.Close()
	}()
	lines := bufio.NewScanner(answers)
	for range 3 {
		if _, err := io.WriteString(ask, `{"topic":"other/b","payload":"7"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
	}
	ask.CloseWithError(errors.New("the line is cut"))
	if lines.Scan() {
		t.Errorf("got %s", lines.Text())
	}
	if err := <-done; err == nil || err.Error() != "read messages: the line is cut" {
		t.Errorf("got %v", err)
	}
}

// No input ends the program or makes it skip a line.
func FuzzDecodeLines(f *testing.F) {
	in, err := os.ReadFile(corpus)
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(in)), "\n") {
		f.Add(line)
	}
	f.Add("\n\n")
	f.Add(`{"topic":"other/x","payload":"!"}` + "\n" + `{"topic":"` + "\xff")
	f.Fuzz(func(t *testing.T, in string) {
		out := decodeLines(t, in)
		asked := strings.Count(in, "\n")
		if in != "" && !strings.HasSuffix(in, "\n") {
			asked++
		}
		answers := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if asked != strings.Count(out, "\n") {
			t.Fatalf("%d lines have %d answers", asked, len(answers))
		}
		for _, text := range answers[:asked] {
			var a struct {
				Readings []any
				Ignored  bool
				Error    string
			}
			if err := json.Unmarshal([]byte(text), &a); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			said := 0
			for _, is := range []bool{len(a.Readings) > 0, a.Ignored, a.Error != ""} {
				if is {
					said++
				}
			}
			if said != 1 {
				t.Errorf("%s says %d things, want one of readings, ignored and error", text, said)
			}
		}
	})
}
