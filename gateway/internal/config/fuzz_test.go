package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/plantgate/plantgate/gateway/internal/config"
)

// FuzzParse holds what everybody relies on: any file gives a valid
// configuration or errors that can be printed, and a configuration survives its
// own dump.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, true)
	}
	f.Add([]byte(everything), true)
	f.Add([]byte(config.Reference()), false)
	f.Add([]byte(credential), false)
	f.Fuzz(func(t *testing.T, text []byte, emulate bool) {
		o := options()
		o.Emulate, o.NoKafka = emulate, emulate
		c, err := config.Parse("p.yaml", text, o)
		if err != nil {
			printable(t, err)
			return
		}
		again, err := config.Parse("dump.yaml", []byte(c.String()), o)
		if err != nil {
			t.Fatalf("the dump is no configuration: %v\n%s", err, c.String())
		}
		if c.Kafka.SASL.User != "" {
			c.Kafka.SASL.User = again.Kafka.SASL.User
		}
		c.Warnings, again.Warnings = nil, nil
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("the dump is another configuration:\n%+v\n%+v", c, again)
		}
	})
}

func printable(t *testing.T, err error) {
	t.Helper()
	var problems config.Errors
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("got %T %v, want config.Errors", err, err)
	}
	bad := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
	if i := strings.IndexFunc(err.Error(), bad); i >= 0 {
		t.Fatalf("error text holds %q", err.Error()[i:])
	}
	for _, p := range problems {
		if strings.Contains(p.Message, "\n") || strings.Contains(p.Quote, "\n") {
			t.Fatalf("message or quote breaks the line: %q", p.Error())
		}
	}
}
