package dialect_test

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// A wrong factor is a wrong reading on every device that uses the unit: watt
// minutes taken for watt hours are off by sixty. The table is compared with the
// list of units that were met in the field.
func TestConversionsAreThoseOfTheField(t *testing.T) {
	metricOf := map[string]reading.Metric{}
	for _, d := range reading.Definitions() {
		metricOf[d.Quantity] = d.Metric
	}
	metricOf["ratio"] = reading.PowerFactor
	rows := 0
	for _, line := range readLines(t, "testdata/units.tsv") {
		f := strings.Split(line, "\t")
		if strings.HasPrefix(line, "#") || f[1] == "signal_strength" { // not a reading
			continue
		}
		alias := strings.TrimSuffix(f[0], "(none)")
		for _, quantity := range strings.Split(f[1], "|") {
			m, ok := metricOf[quantity]
			if !ok || m.Unit() != f[2] {
				t.Fatalf("%s: %s in %s is no metric", line, quantity, f[2])
			}
			got, ok := dialect.ToCanonical(m, alias)
			want := dialect.Conversion{Factor: number(t, f[3]), Offset: number(t, f[4])}
			if !ok || got != want {
				t.Errorf("%s in %q: got %+v, %v, want %+v", m, alias, got, ok, want)
			}
			rows++
		}
	}
	if rows < 60 {
		t.Errorf("only %d rows were compared", rows)
	}
}

// A unit of another quantity is a mistake in a mapping or a message, not a
// factor of one.
func TestForeignUnitsAreRefused(t *testing.T) {
	for _, c := range []struct {
		m    reading.Metric
		unit string
	}{
		{reading.Power, "kWh"}, {reading.Energy, "W"}, {reading.Temperature, "hPa"}, {reading.Power, ""},
		{reading.Power, "w"}, {reading.Voltage, "bananas"}, {reading.Metric("x_own"), ""},
	} {
		if got, ok := dialect.ToCanonical(c.m, c.unit); ok {
			t.Errorf("%s in %q: got %+v, want none", c.m, c.unit, got)
		}
	}
}

func TestConversionsLeaveNoNoise(t *testing.T) {
	for _, c := range []struct {
		m            reading.Metric
		unit         string
		number, want float64
	}{
		{reading.Temperature, "F", 32, 0},
		{reading.Temperature, " \u00b0F ", 212, 100},
		{reading.Temperature, "degC", 21.5, 21.5},
		{reading.Pressure, "inHg", 30, 1015.9166},
		{reading.Energy, "Wh", 5631.61, 5.63161},
		{reading.Energy, "J", 1, 2.77777777777778e-7},
		{reading.PowerFactor, "%", 29, 0.29},
		{reading.Conductivity, "\u03bcS/cm", 120, 120}, // Greek mu
		{reading.Conductivity, "\u00b5S/cm", 120, 120}, // micro sign
		{reading.Irradiance, "W/m\u00b2", 7, 7},
	} {
		conversion, ok := dialect.ToCanonical(c.m, c.unit)
		if got := conversion.Apply(c.number); !ok || got != c.want {
			t.Errorf("%v %s: got %v, %v, want %v", c.number, c.unit, got, ok, c.want)
		}
	}
	if got := (dialect.Conversion{Factor: 1000}).Apply(math.MaxFloat64); !math.IsInf(got, 1) {
		t.Errorf("an overflow gives %v: nobody could tell that it is one", got)
	}
}

// strconv.ParseFloat takes more than a meter writes, and nan is one of them.
func TestOnlyPlainDecimalsAreNumbers(t *testing.T) {
	for text, want := range map[string]float64{
		"0": 0, "12.5": 12.5, "+3": 3, "-0.25": -0.25, "0012345.678": 12345.678, "1.2e+06": 1.2e6, "1E3": 1000, "5e-7": 5e-7,
	} {
		if got, err := dialect.Number(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "nan", "NaN", "inf", "-Inf", "0x1F", "0x1p-2", "1_000", ".5", "5.", "1,5", "12 W", " 1", "1\n", "--1", "1e", "1e+", "e5", "1e400", "١",
	} {
		if got, err := dialect.Number(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
	if got, err := dialect.Number("-0.0"); err != nil || math.Signbit(got) {
		t.Errorf("minus zero: got %v, %v, want 0", got, err)
	}
}

func FuzzNumber(f *testing.F) {
	grammar := regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	for _, text := range []string{"1", "-0", "1e400", "1.5e-3", "nan", "0x1p4"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := dialect.Number(text)
		want, parseErr := strconv.ParseFloat(text, 64)
		if ok := grammar.MatchString(text) && parseErr == nil; ok != (err == nil) || ok && got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	})
}

// What Object takes is JSON to every other program, too.
func FuzzObject(f *testing.F) {
	for _, text := range []string{`{"a":1}`, `{"a":nan}`, `{"a":[{},"\ud800"]}`, "\ufeff{}", `{"a":01}`, "{\"a\":\"\xf1\"}", strings.Repeat(`[`, 99)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		object, err := dialect.Object(payload)
		trimmed := dialect.Trim(payload)
		if err == nil && (!json.Valid(trimmed) || trimmed[0] != '{' || object.Raw != string(trimmed)) {
			t.Errorf("%q is taken for %q", payload, object.Raw)
		}
		if err != nil && json.Valid(trimmed) && trimmed[0] == '{' && len(trimmed) < 2*dialect.MaxDepth && isUTF8(trimmed) {
			t.Errorf("%q: %v", payload, err)
		}
	})
}

// Brackets inside of text are no depth, or a device with an odd name would be
// refused.
func TestDepthCountsOnlyStructure(t *testing.T) {
	fine := `{"a":"` + strings.Repeat(`[{\"`, 100) + `"}`
	if _, err := dialect.Object([]byte(fine)); err != nil {
		t.Error(err)
	}
	wide := "[" + strings.Repeat("{},", 100) + "{}]"
	if _, err := dialect.Object([]byte(`{"a":` + wide + `}`)); err != nil {
		t.Error(err)
	}
	deepest := strings.Repeat(`{"a":`, dialect.MaxDepth) + "1" + strings.Repeat("}", dialect.MaxDepth)
	if _, err := dialect.Object([]byte(deepest)); err != nil {
		t.Error(err)
	}
	if _, err := dialect.Object([]byte(`{"a":` + deepest + `}`)); err == nil {
		t.Error("one level too many is no error")
	}
}

// 999 is a fault on a thermometer and a kettle's power.
func TestRulesAreBoundToTheirMetric(t *testing.T) {
	rules := dialect.Rules{
		{Metric: reading.Temperature, Low: 999, High: 999, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 85, High: 1000, Verdict: dialect.Suspect},
	}
	for _, c := range []struct {
		m      reading.Metric
		number float64
		want   dialect.Verdict
	}{
		{reading.Temperature, 999, dialect.Drop}, {reading.Temperature, 85, dialect.Suspect},
		{reading.Temperature, 84.9, dialect.Keep}, {reading.Power, 999, dialect.Keep},
	} {
		if got := rules.Judge(c.m, c.number); got != c.want {
			t.Errorf("%s %v: got %v, want %v", c.m, c.number, got, c.want)
		}
	}
}

func isUTF8(b []byte) bool { return strings.ToValidUTF8(string(b), "") == string(b) }

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}
