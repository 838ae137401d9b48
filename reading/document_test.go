package reading_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/reading"
)

// What stands in the document is what the program does: both come from one
// table.
func TestDocumentListsTheTables(t *testing.T) {
	path := filepath.Join("..", "docs", "record.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := section(t, string(text), "<!-- metrics:", metricTable())
	want = section(t, want, "<!-- events:", eventTable())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s is not up to date: go test ./reading -update", path)
	}
}

// section replaces what stands between the line that begins with marker and
// the next end marker.
func section(t *testing.T, text, marker, table string) string {
	t.Helper()
	before, rest, found := strings.Cut(text, marker)
	head, body, foundHead := strings.Cut(rest, "\n")
	_, after, foundEnd := strings.Cut(body, "<!-- end -->")
	if !found || !foundHead || !foundEnd {
		t.Fatalf("no section %s", marker)
	}
	return before + marker + head + "\n\n" + table + "\n<!-- end -->" + after
}

func metricTable() string {
	var b strings.Builder
	b.WriteString("| field | quantity | unit |\n|---|---|---|\n")
	for _, d := range reading.Definitions() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Metric, d.Quantity, d.Unit)
	}
	return b.String()
}

func eventTable() string {
	var b strings.Builder
	b.WriteString("| event | meaning | fields |\n|---|---|---|\n")
	for _, d := range reading.EventDefinitions() {
		var fields []string
		for _, f := range d.Fields {
			fields = append(fields, fmt.Sprintf("`%s`: %s", f.Name, f.Meaning))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Type, d.Meaning, strings.Join(fields, "; "))
	}
	return b.String()
}
