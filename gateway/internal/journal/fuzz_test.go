package journal_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/journal"
)

// Programs read the JSON lines. Whatever a client calls itself, whatever key a
// library gives an attribute and however deep it nests it, each entry is one
// object with what was said, and a secret is in none of them.
func FuzzJSONLine(f *testing.F) {
	f.Add("client", "x\n{\"level\":\"error\"}", "group", "washer")
	f.Add("password", "\xff", "", "\u2028")
	f.Add("a.b", strings.Repeat("é", 40000), "a", "\x00")
	f.Add("", "", "\x1b", "")
	f.Fuzz(func(t *testing.T, key, value, group, message string) {
		const secret = "hunter2-correct-horse"
		if strings.Contains(key+value+group+message, secret) {
			return
		}
		for _, format := range []string{journal.JSON, journal.Text} {
			var b bytes.Buffer
			log := journal.New(journal.Options{Format: format, Out: &b})
			log.Warn(message, key, value, slog.Group(group, key, value, "password", secret))
			log.WithGroup(group).With("token", secret).Warn(message, key, []byte(value), "Password", []byte(secret))
			if got := b.String(); strings.Count(got, "\n") != 2 || !strings.HasSuffix(got, "\n") || len(got) > 64<<10 {
				t.Fatalf("%d bytes in %d lines: %.300q", len(got), strings.Count(got, "\n"), got)
			}
			if strings.Contains(b.String(), secret) {
				t.Errorf("the log tells the secret: %.300q", b.String())
			}
			if format == journal.JSON {
				checkObjects(t, b.Bytes(), message)
			}
		}
	})
}

func checkObjects(t *testing.T, text []byte, message string) {
	t.Helper()
	for line := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		var entry map[string]any
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("%v: %.300q", err, line)
		}
		if _, said := entry["msg"].(string); !said && message != "" {
			t.Errorf("no message in %.300q", line)
		}
	}
}
