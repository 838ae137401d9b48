package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module  = "github.com/plantgate/plantgate/"
	program = module + "gateway"
)

// A row says what one package may import besides the standard library. Names
// without a host are this module's; "/..." takes in what lies below, "*" is
// everything.
type row struct {
	pkg string
	may []string
	why string
}

// Data goes one way, drivers -> reading -> buffer -> gateway, and so do imports.
// A new package needs a row, a new dependency a place in one: that is the moment
// to ask whether it belongs there.
var layout = []row{
	{"reading", nil,
		"everything speaks this vocabulary, so it depends on nothing"},
	{"buffer", []string{"go.etcd.io/bbolt/...", "github.com/klauspost/compress/...", "golang.org/x/sys/...", "golang.org/x/sync/..."},
		"it keeps bytes in order and must not know what they say"},

	{"drivers", nil,
		"it is the contract of the drivers in prose"},
	{"drivers/bus", []string{"reading", "periph.io/x/conn/v3/...", "golang.org/x/sys/..."},
		"every chip stands on it, so it knows none"},
	{"drivers/chip/...", []string{"reading", "drivers/bus", "periph.io/x/conn/v3/..."},
		"a chip can be used and tested alone: it knows no other driver"},
	{"drivers/probe", []string{"reading", "periph.io/x/conn/v3/..."},
		"volts come from any converter: it knows no chip"},
	{"drivers/dialect", []string{"reading", "github.com/tidwall/gjson"},
		"every dialect stands on it, so it knows none"},
	{"drivers/dialect/...", []string{"reading", "drivers/dialect", "github.com/tidwall/gjson"},
		"a dialect turns bytes into readings: it knows no other one, no broker and no clock"},
	{"drivers/dialect/mapping", []string{"reading", "drivers/dialect", "github.com/tidwall/gjson", "go.yaml.in/yaml/v4", "github.com/expr-lang/expr/..."},
		"a mapping is a dialect that its user writes: it is given what it adds to, and knows no native one"},
	{"drivers/emulator", []string{"periph.io/x/conn/v3/..."},
		"it is written from datasheets: whatever it shared with a driver could be wrong on both sides and pass"},

	{"gateway/internal/clock", []string{"reading", "golang.org/x/sys/..."},
		"it knows time and neither records nor their store"},
	{"gateway/internal/envelope", []string{"reading", "gateway/internal/clock"},
		"it is a format on the card, shared by the two ends of the buffer"},
	{"gateway/internal/config", []string{"go.yaml.in/yaml/v4"},
		"a configuration is checked without starting anything"},
	{"gateway/internal/users", nil,
		"the broker and the command line share it"},
	{"gateway/internal/broker", []string{"gateway/internal/users", "github.com/mochi-mqtt/server/v2/...", "go.etcd.io/bbolt/...", "golang.org/x/sync/..."},
		"it moves topics and bytes; it alone knows mochi, which can then be replaced"},
	{"gateway/internal/poll", []string{"reading", "golang.org/x/sync/..."},
		"it reads whatever has Read: the table of drivers is in package gateway"},
	{"gateway/internal/ingest", []string{"reading", "buffer", "drivers/dialect", "gateway/internal/clock", "gateway/internal/envelope", "golang.org/x/sync/..."},
		"it is handed its decoders, and knows neither mochi nor Kafka"},
	{"gateway/internal/forward", []string{"reading", "buffer", "gateway/internal/clock", "gateway/internal/envelope",
		"github.com/twmb/franz-go/...", "github.com/klauspost/compress/zstd", "github.com/prometheus/client_golang/prometheus", "golang.org/x/sync/..."},
		"it takes records from the card to Kafka, wherever they came from"},
	{"gateway/internal/history", []string{"reading", "buffer", "gateway/internal/clock", "gateway/internal/envelope", "gateway/internal/config", "github.com/tidwall/gjson"},
		"it shows what the card holds as Kafka gets it, and never writes"},
	{"gateway/internal/verify", []string{"reading", "gateway/internal/forward", "github.com/twmb/franz-go/..."},
		"it judges by what is in Kafka and never looks at the card"},
	{"gateway/internal/control", []string{"golang.org/x/sys/..."},
		"it carries questions and answers; what they are about is the caller's"},
	{"gateway/internal/journal", []string{"github.com/systemd/slog-journal", "github.com/coreos/go-systemd/v22/..."},
		"it writes the log and knows nothing of what is logged"},
	{"gateway/internal/service", []string{"github.com/coreos/go-systemd/v22/..."},
		"it is the gateway's talk with systemd"},

	{"gateway/proof", nil,
		"it knows the program as its user does, from outside"},

	{"gateway/proof/card", []string{"github.com/hanwen/go-fuse/v2/...", "golang.org/x/sys/..."},
		"it is a card for any program: it knows blocks and no files"},
	{"gateway/proof/relay", nil,
		"it spoils connections, whatever is spoken over them"},

	{"scripts/bench", []string{"github.com/mochi-mqtt/server/v2/...", "github.com/twmb/franz-go/...", "go.etcd.io/bbolt", "golang.org/x/sync/..."},
		"it measures programs from outside, and libraries alone"},

	{"gateway", []string{"*"},
		"it puts everything together"},
}

// A listed package is what go list says about it.
type listed struct {
	Dir, ImportPath                    string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

func TestImportsPointOneWay(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, problem := range breaches(list(t, system)) {
			t.Errorf("%s: %s", system, problem)
		}
	}
}

func TestEveryRowOfTheLayoutHasAPackage(t *testing.T) {
	packages := list(t, "linux")
	for i, r := range layout {
		if !slices.ContainsFunc(packages, func(p listed) bool { return rowOf(p.ImportPath) == &layout[i] }) {
			t.Errorf("no package belongs to the row %q: take it out", r.pkg)
		}
	}
}

// A layout that lets everything pass would look the same as one that is kept.
func TestBreachesNamePackageAndImport(t *testing.T) {
	got := breaches([]listed{
		{ImportPath: module + "drivers/emulator", Imports: []string{"time", "periph.io/x/conn/v3/i2c", module + "drivers/bus"}},
		{ImportPath: module + "buffer", Imports: []string{module + "reading"}, XTestImports: []string{module + "gateway"}},
		{ImportPath: module + "reading", Imports: []string{"encoding/json", "golang.org/x/sys/unix"}},
		{ImportPath: module + "drivers/chip/one", Imports: []string{module + "drivers/chip/two", module + "drivers/bus"}},
		{ImportPath: module + "newcomer"},
	})
	want := [][2]string{
		{"drivers/emulator", "drivers/bus"}, {"buffer", "reading"}, {"buffer", "gateway"}, {"reading", "golang.org/x/sys/unix"},
		{"drivers/chip/one", "drivers/chip/two"}, {"newcomer", "no row"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d breaches, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, names := range want {
		if !strings.Contains(got[i], names[0]) || !strings.Contains(got[i], names[1]) {
			t.Errorf("breach %q does not name %q", got[i], names)
		}
	}
}

// Registration from init makes what a binary holds, and in which order, a matter
// of its imports; the tables in package gateway say it instead.
func TestNoPackageHasAnInitFunction(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, p := range list(t, system) {
			for _, name := range p.GoFiles {
				files := token.NewFileSet()
				f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range f.Decls {
					if d, ok := d.(*ast.FuncDecl); ok && d.Name.Name == "init" && d.Recv == nil {
						t.Errorf("%s: func init is not used here: call it from where it is needed", files.Position(d.Pos()))
					}
				}
			}
		}
	}
}

// breaches holds packages against the layout.
func breaches(packages []listed) []string {
	var found []string
	for _, p := range packages {
		r := rowOf(p.ImportPath)
		if r == nil {
			found = append(found, fmt.Sprintf("package %s has no row in the layout: give it one in layout_test.go", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			if !allowed(*r, imported) {
				found = append(found, fmt.Sprintf("package %s imports %s, which its row %q does not allow: %s", p.ImportPath, imported, r.pkg, r.why))
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if imported == program && p.ImportPath != program {
				found = append(found, fmt.Sprintf("the tests of package %s import gateway: nothing imports the program", p.ImportPath))
			}
		}
	}
	return found
}

// rowOf returns the row of a package: its own, else the longest that takes it
// in.
func rowOf(pkg string) *row {
	var best *row
	for i, r := range layout {
		if module+r.pkg == pkg {
			return &layout[i]
		}
		if matches(r.pkg, pkg) && (best == nil || len(r.pkg) > len(best.pkg)) {
			best = &layout[i]
		}
	}
	return best
}

func allowed(r row, imported string) bool {
	if !hasHost(imported) {
		return true // the standard library
	}
	return imported != program && slices.ContainsFunc(r.may, func(pattern string) bool { return pattern == "*" || matches(pattern, imported) })
}

func matches(pattern, pkg string) bool {
	if !hasHost(pattern) {
		pattern = module + pattern
	}
	prefix, below := strings.CutSuffix(pattern, "/...")
	return prefix == pkg || below && strings.HasPrefix(pkg, prefix+"/")
}

func hasHost(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

// list returns the module's packages as they are for one operating system.
func list(t *testing.T, system string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}
