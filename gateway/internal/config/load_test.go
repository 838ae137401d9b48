package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/config"
)

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plantgate.yaml")
	if _, err := config.Load(path, options()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
		t.Errorf("absent file: %v", err)
	}
	if err := os.WriteFile(path, []byte(config.Minimal()), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := config.Load(path, options()); err != nil || c.Kafka.Brokers == nil {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := os.WriteFile(path, []byte(config.Minimal()+"sites: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, options()); err == nil || !strings.Contains(err.Error(), path+":") {
		t.Errorf("got %v", err)
	}
}

// --config /dev/sda must not be read to its end.
func TestOversizedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plantgate.yaml")
	if err := os.WriteFile(path, slices.Repeat([]byte("# comment\n"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, options()); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("got %v", err)
	}
}

// Whatever a file is full of, its errors fit on a screen or two and come at
// once.
func TestHostileFilesAreCheap(t *testing.T) {
	const size = 256 << 10 // a quarter of what is read at most, to spare the test's time
	for name, unit := range map[string]string{
		"unknown keys":  "",
		"one key":       "site: x\n",
		"sensors":       "sensors:\n" + strings.Repeat("- a: 1\n", size/7),
		"brokers":       "kafka: {brokers: [" + strings.Repeat("a:1,", size/4) + "]}\n",
		"flow brackets": strings.Repeat("[", size),
		"flow braces":   strings.Repeat("{a: ", size/4),
		"sequences":     strings.Repeat("- ", size/2),
		"long line":     "x: " + strings.Repeat("y", size),
		"long keys":     strings.Repeat("k", size) + ": 1\n",
		"aliases":       "a: &a [1]\nb: [" + strings.Repeat("*a,", size/3) + "]\n",
	} {
		t.Run(name, func(t *testing.T) {
			text := unit
			if name == "unknown keys" {
				var b strings.Builder
				for i := 0; b.Len() < size; i++ {
					b.WriteString("key" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String() + ": 1\n")
				}
				text = b.String()
			} else if unit == "site: x\n" {
				text = strings.Repeat(unit, size/len(unit))
			}
			start := time.Now()
			_, err := config.Parse("p.yaml", []byte(text), options())
			if err == nil {
				t.Fatal("no error")
			}
			if got := len(err.Error()); got > 64<<10 {
				t.Errorf("%d bytes of errors", got)
			}
			if took := time.Since(start); took > 20*time.Second { // well below 1 s alone
				t.Errorf("took %v", took)
			}
		})
	}
}
