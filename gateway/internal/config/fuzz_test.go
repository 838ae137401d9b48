package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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

// FuzzSecretLine: who writes the password itself beside a key that wants the
// path of a file, in whichever style and wherever it does not belong, finds it
// neither in the error nor in the dump.
func FuzzSecretLine(f *testing.F) {
	f.Add("kafka: {brokers: [a:1], sasl: {mechanism: plain, user: u, ", "password: ", "}}")
	f.Add("kafka:\n  sasl:\n    ", "password: \"", "\"\n")
	f.Add("kafka:\n  sasl:\n    ", "Password_File: ", " # mine\nmqtt: [")
	f.Add("", "mqtt_token=", "\n")
	f.Add("kafka:\n  brokers: [", "gate:", "@kafka:9092]")
	f.Add("x: ", "'secret': '", "'")
	f.Add("kafka:\n  sasl:\n    ", "password:\n      ", "")
	f.Fuzz(func(t *testing.T, before, key, after string) {
		const secret = "hunter2-correct-horse"
		if !secretKey.MatchString(key) || strings.Contains(before+after, secret) {
			return
		}
		_, err := config.Parse("p.yaml", []byte(before+key+secret+after), options())
		if err == nil {
			return // it stands where a name, a path or a comment may stand
		}
		printable(t, err)
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret:\n%v", err)
		}
	})
}

// secretKey is how such a line begins: a key alone on its line that means a
// secret, to the letter, and the beginning of a plain or quoted value.
var secretKey = regexp.MustCompile(`^(?i)(password|passwd|secret|token|api_key)["']?: ["']?$`)

// A secret's file holds anything; whatever it is, at most one line break of it
// is lost, and an error tells nothing of it.
func FuzzSecret(f *testing.F) {
	for _, text := range []string{"hunter2", "hunter2\r\n", "\n", "", "\x00", strings.Repeat("hunter2", 10000)} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "secret")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := config.Secret(path)
		if err != nil {
			if len(content) > 8 && strings.Contains(err.Error(), string(content[:8])) {
				t.Errorf("the error tells the secret: %v", err)
			}
			return
		}
		if lost, ok := strings.CutPrefix(string(content), got); !ok || lost != "" && lost != "\n" && lost != "\r\n" {
			t.Errorf("%q became %q", content, got)
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
