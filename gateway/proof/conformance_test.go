//go:build linux

package proof_test

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// A statement is what a standard asks of a broker.
type statement struct {
	id, says string
	how      verdict
}

// A verdict says how a statement is held. It cannot claim what no test shows.
type verdict struct {
	kind  string
	note  string
	tests []func(*exam)      // against the running program
	whole func(t *testing.T) // a test that needs a program of its own
}

func holds(tests ...func(*exam)) verdict { return verdict{kind: "held", tests: tests} }

// holdsThough has something to say about how.
func holdsThough(note string, tests ...func(*exam)) verdict {
	return verdict{kind: "held", note: note, tests: tests}
}

func holdsElsewhere(test func(t *testing.T)) verdict { return verdict{kind: "held", whole: test} }

// deviates has tests too: they show what is done instead.
func deviates(reason string, tests ...func(*exam)) verdict {
	return verdict{kind: "**deviates**", note: reason, tests: tests}
}

func clientOnly() verdict          { return verdict{kind: "client", note: "Binds the client only."} }
func absent(reason string) verdict { return verdict{kind: "does not apply", note: reason} }

// An MQTT client of any maker must be able to rely on the standard, and its
// owner to know where the gateway departs from it. All statements that a test
// can show run against one program, over TCP.
func TestConformance(t *testing.T) {
	t.Parallel()
	brokers := fakeKafka(t)
	s := newStation(t, brokers, nil)
	s.configure(brokers, sections{"mqtt": fmt.Sprintf("{listen: %q, anonymous: true, limits: {connections_per_address: 500}}", s.mqtt)})
	p := s.start()
	all := append(statements(), properties5()...)
	ran := make(map[string]bool)
	for _, st := range all {
		for _, test := range st.how.tests {
			name := nameOf(test)
			if ran[name] {
				continue
			}
			ran[name] = true
			t.Run(name, func(t *testing.T) { test(&exam{T: t, address: s.mqtt, name: name}) })
		}
	}
	if !p.running() {
		t.Fatalf("the program ended: %v", p.err)
	}
	kinds := tally(statements())
	proved(t, "conformance", "%d statements of MQTT 3.1.1: %d held, %d deviate, %d bind the client, %d do not apply; %d properties of MQTT 5; %d tests",
		len(statements()), kinds["held"], kinds["**deviates**"], kinds["client"], kinds["does not apply"], len(properties5()), len(ran))
	p.stop()
}

func tally(all []statement) map[string]int {
	kinds := make(map[string]int)
	for _, s := range all {
		kinds[s.how.kind]++
	}
	return kinds
}

func nameOf(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}

// The list has each statement of the standard once, in its order.
func TestConformanceListIsComplete(t *testing.T) {
	left := counts()
	next := make(map[string]int)
	for _, s := range statements() {
		section, number, _ := strings.Cut(s.id, "-")
		next[section]++
		if number != fmt.Sprint(next[section]) {
			t.Errorf("%s stands where number %d of its section should", s.id, next[section])
		}
		left[section]--
	}
	for section, n := range left {
		if n != 0 {
			t.Errorf("section %s: %d statements are missing", section, n)
		}
	}
	for _, s := range append(statements(), properties5()...) {
		tested := len(s.how.tests) > 0 || s.how.whole != nil
		if claims := s.how.kind == "held" || s.how.kind == "**deviates**"; claims != tested || s.how.kind != "held" && s.how.note == "" {
			t.Errorf("%s is %s, with %d tests and the note %q", s.id, s.how.kind, len(s.how.tests), s.how.note)
		}
	}
}

// docs/mqtt-conformance.md is written from what the tests hold, so it cannot
// say anything else. Run with -update after a change.
func TestConformanceDocument(t *testing.T) {
	const path = "../../docs/mqtt-conformance.md"
	text := conformanceDocument()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != text {
		t.Errorf("%s is not what the tests say: go test ./gateway/proof -run ConformanceDocument -update", path)
	}
}

func conformanceDocument() string {
	var b strings.Builder
	kinds := tally(statements())
	fmt.Fprintf(&b, `# MQTT conformance

Written by TestConformanceDocument from the tables that TestConformance runs
against the program: do not edit. The words are ours; the numbers are those of
the OASIS standards.

## MQTT 3.1.1

%d normative statements: %d held, %d deviate, %d bind the client only, %d do not
apply. The last column names the tests in gateway/proof.

`, len(statements()), kinds["held"], kinds["**deviates**"], kinds["client"], kinds["does not apply"])
	writeStatements(&b, "MQTT-", statements())
	b.WriteString(`
## MQTT 5

What the clients of a gateway use of it, by section of the standard.

`)
	writeStatements(&b, "", properties5())
	b.WriteString(`
## Differences to mosquitto

TestDifferential sends the same bytes to Debian's mosquitto 2.0 and to the
gateway, and compares what each acknowledges. These differences are known; any
other fails the test.

| difference | why |
|---|---|
`)
	for _, d := range differences() {
		fmt.Fprintf(&b, "| %s | %s |\n", d.what, d.why)
	}
	return b.String()
}

func writeStatements(b *strings.Builder, prefix string, all []statement) {
	b.WriteString("| statement | in short | | tests, remarks |\n|---|---|---|---|\n")
	for _, s := range all {
		var names []string
		for _, test := range s.how.tests {
			names = append(names, nameOf(test))
		}
		if s.how.whole != nil {
			names = append(names, nameOf(s.how.whole))
		}
		remarks := strings.TrimSpace(s.how.note + " " + strings.Join(names, ", "))
		fmt.Fprintf(b, "| %s%s | %s | %s | %s |\n", prefix, s.id, s.says, s.how.kind, remarks)
	}
}
