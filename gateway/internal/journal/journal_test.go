package journal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/gateway/internal/journal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// speak logs what a gateway says in a bad hour.
func speak(log *slog.Logger) {
	log.Debug("asked the chip", journal.KeyChip, "ads1115@0x48")
	log.Info("plantgate has started", journal.Event(journal.Started), journal.KeyVersion, "1.2.3")
	log.With(journal.KeyTask, "forward").Warn("kafka does not take records; keeping them",
		journal.Event(journal.KafkaUnreachable), journal.KeyBroker, "kafka.home:9092", journal.Error(errors.New("dial tcp: connection refused")))
	log.Info("kafka takes records again", journal.Event(journal.KafkaBack), journal.KeyRecords, 4201, journal.KeyAfter, 72*time.Hour)
	log.Error("the store is gone", slog.Group("card", "file", "/var/lib/plantgate", "free", 0.5), "since", time.Date(2026, 11, 24, 8, 12, 31, 123456789, time.FixedZone("CET", 3600)))
	log.WithGroup("mqtt").With("user", "lamp").Info("odd values", "empty", "", "quoted", `a "b" c=d`, "nil", nil, "address", netip.MustParseAddr("::1"), "bytes", []byte("ab"), "ok", true)
	log.Log(context.Background(), slog.LevelWarn+2, "between two levels")
}

var when = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name + ".golden"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// People read these lines and scripts cut them: they change knowingly.
func TestTextGolden(t *testing.T) {
	var b bytes.Buffer
	speak(journal.New(journal.Options{Format: journal.Text, Level: slog.LevelDebug, Out: &b}))
	golden(t, "text", when.ReplaceAllStringFunc(b.String(), func(s string) string {
		if s == "2026-11-24T07:12:31.123Z" {
			return s // a value, not the time of the line
		}
		return "TIME"
	}))
}

func TestJSONGolden(t *testing.T) {
	var b bytes.Buffer
	speak(journal.New(journal.Options{Format: journal.JSON, Out: &b}))
	golden(t, "json", regexp.MustCompile(`"time":"[^"]*"`).ReplaceAllString(b.String(), `"time":"TIME"`))
}

func TestLevelIsObeyed(t *testing.T) {
	var b bytes.Buffer
	var level slog.LevelVar
	log := journal.New(journal.Options{Format: journal.Text, Level: &level, Out: &b})
	log.Debug("quiet")
	level.Set(slog.LevelDebug)
	log.Debug("loud")
	if got := b.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "loud") {
		t.Errorf("got %q", got)
	}
}

// The rules that every slog.Handler keeps, checked through the JSON format,
// whose dotted keys are turned into groups again.
func TestHandlerKeepsSlogsRules(t *testing.T) {
	var b bytes.Buffer
	log := journal.New(journal.Options{Format: journal.JSON, Out: &b})
	err := slogtest.TestHandler(log.Handler(), func() []map[string]any {
		var all []map[string]any
		for d := json.NewDecoder(&b); ; {
			var flat map[string]any
			if err := d.Decode(&flat); errors.Is(err, io.EOF) {
				return all
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, nested(flat))
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func nested(flat map[string]any) map[string]any {
	root := map[string]any{}
	for key, value := range flat {
		at := root
		for {
			group, rest, ok := strings.Cut(key, ".")
			if !ok {
				break
			}
			if at[group] == nil {
				at[group] = map[string]any{}
			}
			at, key = at[group].(map[string]any), rest
		}
		at[key] = value
	}
	return root
}

// A client chooses its id, its topics and its last will. None of them may look
// like another entry, another field or another level, nor blind a terminal.
func FuzzNoClientForgesALine(f *testing.F) {
	for _, evil := range []string{
		"x\n<0>2026-11-24T08:12:31.123Z kafka is fine", "x\r\n<0>all is well", "x\u2028<0>line separator", "x\u0085next line", "x\x1b[2J\x1b]0;title\x07",
		"x\x00y", "x\u202egnp.exe", "x user=admin", `x" user="admin`, `x\" user=admin`, "=", " ", "", "\xff\xfe", "x\x9b31m", "x\ufffd", strings.Repeat("é", 70000),
	} {
		f.Add(evil)
	}
	f.Fuzz(func(t *testing.T, evil string) {
		var b bytes.Buffer
		log := journal.New(journal.Options{Format: journal.Text, Out: &b})
		log.Warn("client refused", journal.KeyClient, evil, journal.KeyReason, "password")
		log.Warn("client refused: "+evil, journal.KeyReason, "password")
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines:\n%s", len(lines), b.String())
		}
		for _, line := range lines {
			if !strings.HasPrefix(line, "<4>") || !strings.HasSuffix(line, " reason=password") || len(line) > 12<<10 {
				t.Errorf("got %.200q", line)
			}
			if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("unprintable in %.200q", line)
			}
		}
		if got := fields(lines[0]); len(got) != 2 {
			t.Errorf("fields %q", got)
		}
	})
}

// fields parts a line as a careful script would: at blanks outside of quotes.
func fields(line string) []string {
	return regexp.MustCompile(`[a-z]+=("(\\.|[^"\\])*"|[^ "]+)`).FindAllString(line, -1)
}

// A library that logs a packet which it refused would put the password of a
// socket into the journal, where every member of a group reads it.
func TestSecretsAreNotWritten(t *testing.T) {
	type account struct{ User, Password string }
	for _, format := range []string{journal.Text, journal.JSON} {
		var b bytes.Buffer
		log := journal.New(journal.Options{Format: format, Out: &b})
		log.Info("user added", "user", "lamp", "password", "hunter2", slog.Group("g", "token", []byte("hunter2")), "packet", account{"lamp", "hunter2"})
		log.With("pk", "hunter2").WithGroup("g").Info("again", "PASSWORD", "hunter2")
		if got := b.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, "lamp") {
			t.Errorf("%s: %s", format, got)
		}
	}
}

type refusedError struct{}

func (*refusedError) Error() string { return "refused" }

// A nil pointer in an error path must not turn a log line into a crash.
func TestNilValuesAreSurvived(t *testing.T) {
	var b bytes.Buffer
	log := journal.New(journal.Options{Format: journal.Text, Out: &b})
	var none *refusedError
	log.Info("nil", journal.Error(nil), "pointer", none, "valuer", slog.LogValuer(nil), "stringer", (*netip.Addr)(nil))
	if got := strings.Count(b.String(), "\n"); got != 1 {
		t.Errorf("got %q", b.String())
	}
}

func TestMessageIDsAreFixedAndDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, m := range journal.Messages() {
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(m.ID) || m.Subject == "" || m.Body == "" {
			t.Errorf("%+v", m)
		}
		for _, key := range []string{m.ID, m.Name} {
			if seen[key] != "" {
				t.Errorf("%s stands for %s and %s", key, seen[key], m.Name)
			}
			seen[key] = m.Name
		}
	}
	golden(t, "catalog", journal.Catalog()) // the ids are searched for by alerts outside of this tree
}
