package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/gateway/internal/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// chips are what a gateway with three drivers would hand in.
func chips() map[string]config.Chip {
	return map[string]config.Chip{
		"ads1115": {
			Bus: "i2c", Lowest: 0x48, Highest: 0x4b, Usual: 0x48, Channels: 4,
			Probes: []string{"capacitive", "resistive"},
			Gains:  []float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256},
			Rates:  []int{8, 16, 32, 64, 128, 250, 475, 860},
		},
		"mcp3008": {Bus: "spi", Channels: 8, Probes: []string{"capacitive"}},
		"chirp":   {Bus: "i2c", Lowest: 0x08, Highest: 0x77},
	}
}

func options() config.Options { return config.Options{Chips: chips(), Hostname: "pi1"} }

// Somebody edits the file over ssh, sees the service fail, and must find out
// from the text alone what to change. Each golden file is such a text.
func TestErrorsSayWhereAndWhatToDo(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := errorText(t, text)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("error text differs (-want +got):\n%s", diff)
			}
		})
	}
}

func errorText(t *testing.T, text []byte) string {
	t.Helper()
	_, err := config.Parse("plantgate.yaml", text, options())
	var problems config.Errors
	if !errors.As(err, &problems) {
		t.Fatalf("got error %v, want config.Errors", err)
	}
	for i, p := range problems {
		if p.File != "plantgate.yaml" || p.Line < 1 || p.Column < 1 || p.Message == "" {
			t.Errorf("problem %d has no place or no message: %+v", i, p)
		}
		if i > 0 && (p.Line < problems[i-1].Line || p.Line == problems[i-1].Line && p.Column < problems[i-1].Column) {
			t.Errorf("problem %d at %d:%d is out of order", i, p.Line, p.Column)
		}
	}
	return err.Error() + "\n"
}
