package mapping

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

const (
	maxFileBytes = 1 << 20
	maxRules     = 1000 // of a folder
)

//go:embed presets/*.yaml
var presetFiles embed.FS

// presets reads them once: they never change, and whoever decodes in bulk asks
// for them again and again. It also says what is wrong with them; a test sees to
// it that nothing is.
var presets = sync.OnceValues(func() ([]*rule, []error) {
	names, err := fs.Glob(presetFiles, "presets/*.yaml")
	if err != nil {
		return nil, []error{err}
	}
	d, errs := load(names, presetFiles.ReadFile)
	return d.rules, errs
})

// Presets returns the mappings that the program brings along. A preset that
// failed its own test would be missing.
func Presets() *Decoder {
	rules, _ := presets()
	return &Decoder{rules: slices.Clip(rules)}
}

// Load reads the files *.yaml and *.yml of a folder in the order of their names.
// It returns the mappings of the good files, whatever is wrong with the others;
// each error is a Problem, or says why a file could not be read. A folder that
// does not exist holds no mapping.
func Load(dir string) (*Decoder, []error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return new(Decoder), nil
	}
	if err != nil {
		return new(Decoder), []error{fmt.Errorf("read mappings: %w", err)}
	}
	var paths []string
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".")
		if ext := filepath.Ext(e.Name()); !hidden && !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return load(paths, readFile)
}

// Check says what is wrong with a file, its tests included; nil when nothing
// is.
func Check(path string) error {
	_, errs := load([]string{path}, readFile)
	return errors.Join(errs...)
}

// readFile reads no more than a file of mappings can hold: its name may stand
// for a disk.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

func load(paths []string, read func(string) ([]byte, error)) (*Decoder, []error) {
	d := new(Decoder)
	var problems []error
	for _, path := range paths {
		text, err := read(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("read mappings: %w", err))
			continue
		}
		f := &file{name: path}
		rules := f.rules(text, d.Names())
		if len(f.problems) == 0 {
			d.rules = append(d.rules, rules...)
		}
		problems = append(problems, f.problems...)
	}
	return d, problems
}

// rules reads a file and runs its tests. taken are the names in files before.
func (f *file) rules(text []byte, taken []string) []*rule {
	documents := f.documents(text)
	var rules []*rule
	for _, n := range documents {
		r := f.rule(n)
		if r.name != "" && slices.Contains(taken, r.name) {
			f.wrong(n, "there is another mapping with the name %s", shown(r.name))
		}
		taken = append(slices.Clip(taken), r.name)
		rules = append(rules, r)
	}
	if len(taken) > maxRules {
		f.wrong(&yaml.Node{}, "there are more than %d mappings", maxRules)
	}
	if len(f.problems) > 0 { // a test of a broken mapping says nothing new
		return nil
	}
	for _, r := range rules {
		f.try(r)
	}
	return rules
}

// documents parses YAML. Anchors and tags are turned down: a few lines of them
// stand for gigabytes.
func (f *file) documents(text []byte) []*yaml.Node {
	switch {
	case len(text) > maxFileBytes:
		f.wrong(&yaml.Node{}, "the file is larger than 1 MiB")
		return nil
	case !utf8.Valid(text):
		f.wrong(&yaml.Node{}, "the file is not UTF-8")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		f.syntax(err)
		return nil
	}
	var all []*yaml.Node
	for {
		n := new(yaml.Node)
		switch err := loader.Load(n); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			f.syntax(err)
			return nil
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			n = n.Content[0]
		}
		if n.Tag == "!!null" { // nothing between two lines of ---
			continue
		}
		f.refuse(n)
		all = append(all, n)
	}
}

func (f *file) syntax(err error) {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		f.wrong(&yaml.Node{}, "no YAML: %s", shown(err.Error()))
		return
	}
	f.wrong(&yaml.Node{Line: at.Mark.Line, Column: at.Mark.Column}, "no YAML: %s; text with special characters goes in quotes", shown(at.Message))
}

func (f *file) refuse(n *yaml.Node) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		f.wrong(n, "&, * and ! in front of a value mean something in YAML: put the text in quotes")
		return
	}
	for _, child := range n.Content {
		f.refuse(child)
	}
}
