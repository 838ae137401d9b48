package mapping_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect/mapping"
)

// page is what a user learns to write mappings from.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "mappings.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page explains every key that the program knows, and no other: a key that
// is only in one of the two is a riddle or a lie.
func TestThePageExplainsEveryKey(t *testing.T) {
	for place, keys := range mapping.Keys() {
		heading := "## Keys of `" + place + "`\n"
		switch place {
		case "mapping":
			heading = "## Keys of a mapping\n"
		case "points", "expect":
			heading = "Each element of `" + place + "` has:\n"
		}
		_, after, found := strings.Cut(page(t), heading)
		if !found {
			t.Errorf("the page has no %q", heading)
			continue
		}
		var explained []string
		_, table, _ := strings.Cut(after, "| key |")
		table, _, _ = strings.Cut(table, "\n\n")
		for _, row := range strings.Split(table, "\n")[2:] {
			cell := strings.Split(row, "|")[1]
			for _, name := range regexp.MustCompile("`[a-z_0-9]+`").FindAllString(cell, -1) {
				explained = append(explained, strings.Trim(name, "`"))
			}
		}
		slices.Sort(explained)
		if want := slices.Sorted(slices.Values(keys)); !slices.Equal(explained, want) {
			t.Errorf("%s: the page explains %v, the program knows %v", place, explained, want)
		}
	}
}

func TestThePageNamesEveryFunction(t *testing.T) {
	_, after, _ := strings.Cut(page(t), "\nFunctions: ")
	listed, _, _ := strings.Cut(after, ". ")
	var named []string
	for _, name := range regexp.MustCompile("`[a-zA-Z]+`").FindAllString(listed, -1) {
		named = append(named, strings.Trim(name, "`"))
	}
	if !slices.Equal(named, mapping.Functions()) {
		t.Errorf("the page names %v, the program knows %v", named, mapping.Functions())
	}
}

// The example of the page is copied, so it works as it stands.
func TestTheExampleOfThePageLoads(t *testing.T) {
	_, after, _ := strings.Cut(page(t), "```yaml\n")
	text, _, _ := strings.Cut(after, "```")
	if got := only(t, text).Names(); len(got) != 3 {
		t.Errorf("got the mappings %v, want three", got)
	}
}
