//go:build linux

package proof_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// A complaint collects what an oracle finds.
type complaint []string

func (c *complaint) Helper() {}

func (c *complaint) Errorf(format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

// told is a reading as it comes from Kafka.
func told(seq, n int, more string) arrival {
	text := fmt.Sprintf(`{"v":1,"id":"pi1-s-%d","seq":%d,"ts_ms":%d,"device":"washer","source":"tasmota"%s,"energy_kwh":%d.%03d}`, seq, seq, 1_000_000+seq, more, n/1000, n%1000)
	return arrival{readingsTopic, "washer", gjson.Parse(text)}
}

// The oracle of all proofs with devices finds each thing that a gateway can do
// wrong, and finds nothing wrong with what the contract allows.
func TestLedgerFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dup := `,"dup":true`
	good := []arrival{told(1, 1, ""), told(2, 2, ""), told(3, 3, "")}
	tests := []struct {
		what     string
		arrivals []arrival
		want     string // part of the one complaint; "": none
	}{
		{"all is well", good, ""},
		{"the device sent one again and says so", append(good, told(4, 3, dup)), ""},
		{"one came twice with its id", append(good, told(3, 3, "")), ""},
		{"an acknowledged one is missing", []arrival{good[0], good[2]}, "1 of 3 acknowledged messages are not in Kafka: [2]"},
		{"the last acknowledged one is missing", good[:2], "1 of 3 acknowledged messages are not in Kafka: [3]"},
		{"two changed places", []arrival{good[1], good[0], good[2]}, "out of order"},
		{"one is there under two ids", append(good, told(4, 3, "")), "not marked dup"},
		{"an id came with two contents", append(good, told(3, 4, "")), "came with two contents"},
		{"one that was never sent", append(good, told(4, 4, "")), "Kafka holds message 4 of 3"},
		{"one under a wrong key", []arrival{good[0], good[1], {readingsTopic, "dryer", good[2].value}}, `has the key "dryer"`},
	}
	for _, test := range tests {
		var found complaint
		book(&found, test.arrivals).hold(&device{name: "washer", told: []int{1, 2, 3}, sent: 3})
		expectComplaint(t, test.what, found, test.want)
	}
	proved(t, "control: the ledger", "%d made up histories, %d of them wrong, each judged right", len(tests), len(tests)-3)
}

// What comes again although positions that cover it were written, or more often
// than the program was killed, is found.
func TestRepeatsWithoutReasonAreFound(t *testing.T) {
	t.Parallel()
	marks := []mark{{at: time.UnixMilli(1_000_500), confirmed: 1, last: 3}, {at: time.UnixMilli(1_000_900), confirmed: 2, last: 4}}
	once := []arrival{told(1, 1, ""), told(2, 2, ""), told(3, 3, ""), told(4, 4, ""), told(5, 5, "")}
	late := []mark{{at: time.UnixMilli(1_000_000).Add(time.Hour), last: 5}}
	tests := []struct {
		what     string
		arrivals []arrival
		marks    []mark
		want     string
	}{
		{"nothing came twice", once, marks, ""},
		{"what no position covered came twice", append(once, once[1], once[2], once[2], once[3]), marks, ""},
		{"a covered one came twice", append(once, once[0]), marks, "number 1 came 2 times, the written positions explain 1"},
		{"one came more often than there were kills", append(once, once[1], once[1]), marks, "number 2 came 3 times, the written positions explain 2"},
		{"one that the kill did not find came twice", append(once, once[4]), marks, "number 5 came 2 times, the written positions explain 1"},
		{"positions were not written for an hour", append(once, once[0]), late, "positions are written too late"},
		{"one is marked replayed", append(once, told(6, 6, `,"replayed":true`)), marks, "marked replayed"},
	}
	for _, test := range tests {
		var found complaint
		holdRepeats(&found, test.arrivals, test.marks)
		expectComplaint(t, test.what, found, test.want)
	}
}

func expectComplaint(t *testing.T, what string, found complaint, want string) {
	t.Helper()
	switch {
	case want == "" && len(found) > 0:
		t.Errorf("%s: complaints %q, want none", what, found)
	case want != "" && (len(found) != 1 || !strings.Contains(found[0], want)):
		t.Errorf("%s: complaints %q, want one with %q", what, found, want)
	}
}
