package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/history"
)

// answered is an answer of a gateway that holds one of everything.
func answered(t *testing.T) []byte {
	t.Helper()
	answer, err := os.ReadFile(filepath.Join("internal", "history", "testdata", "answer.golden"))
	if err != nil {
		t.Fatal(err)
	}
	gap := history.Line{Gap: &history.Gap{First: 7, Last: 9, Reason: "damaged", Detail: "block 7 has a wrong checksum\x1b[2J"}}.Append(nil)
	gap = history.Line{Gap: &history.Gap{First: 10, Last: 10, Reason: "expired"}}.Append(gap)
	return bytes.Replace(answer, []byte(`{"end"`), append(gap, `{"end"`...), 1)
}

func TestPeekShowsEachKindOfRecordInALine(t *testing.T) {
	var out strings.Builder
	err := history.Read(bytes.NewReader(answered(t)), func(l history.Line) error {
		if l.Span == nil {
			out.WriteString(peekText(l, time.UTC) + "\n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "peek.golden", out.String())
}

// What is piped into another program is records only; what is missing among
// them is said beside it.
func TestExportTellsWhatIsMissing(t *testing.T) {
	var out, notes strings.Builder
	e := export{out: bufio.NewWriter(&out), notes: &notes}
	if err := history.Read(bytes.NewReader(answered(t)), e.line); err != nil {
		t.Fatal(err)
	}
	if err := e.end(); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "\n") != 6 || strings.Contains(out.String(), "#") {
		t.Errorf("exported:\n%s", out.String())
	}
	golden(t, "export_notes.golden", notes.String())
}

// A person who sends a week again sees how far it is, why it waits, and at the
// end what was sent, or where to go on.
func TestReplayIsFollowed(t *testing.T) {
	for _, tc := range []struct{ lines, says, progress, fails string }{
		{`{"from":5,"to":9,"through":4}` + "\n" + `{"from":5,"to":9,"through":9,"sent":4,"missing":1,"done":true}`, "4 records of the numbers 5..9 were sent again; 1 numbers are no longer on the card", "", ""},
		{`{"from":5,"to":4,"through":4,"done":true}`, "nothing in this range has been confirmed", "", ""},
		{`{"from":1,"to":9,"waiting":"Kafka does not take records: refused"}` + "\n" + `{"from":1,"to":9,"through":9,"sent":9,"done":true}`, "9 records of the numbers 1..9", "refused; waiting (Ctrl-C gives up)", ""},
		{`{"from":1,"to":9,"through":3,"sent":3,"done":true,"error":"another replay is under way"}`, "", "", "another replay is under way"},
		{`{"from":1,"to":9,"through":3,"sent":3}`, "", "", "go on with --from 4"},
	} {
		var progress strings.Builder
		last, err := followReplay(strings.NewReader(tc.lines), &progress)
		switch {
		case tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)):
			t.Errorf("%s: got %v, want %q", tc.lines, err, tc.fails)
		case tc.fails == "" && (err != nil || !strings.Contains(last.summary(), tc.says)):
			t.Errorf("%s: got %q, %v, want %q", tc.lines, last.summary(), err, tc.says)
		}
		if !strings.Contains(progress.String(), tc.progress) {
			t.Errorf("%s: progress %q, want %q", tc.lines, progress.String(), tc.progress)
		}
	}
}

// Commands that hang in front of a stopped pager must not add up in the memory
// of the gateway.
func TestOnlySoManyLookAtOnce(t *testing.T) {
	var l looks
	for range maxLooks {
		if !l.begin() {
			t.Fatal("turned away too early")
		}
	}
	for range 2 {
		if l.begin() {
			t.Error("one too many")
		}
	}
	l.end()
	if !l.begin() {
		t.Error("a place that became free is not given away")
	}
}
