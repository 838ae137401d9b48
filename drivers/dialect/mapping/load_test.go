package mapping_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
)

// folder writes files and returns where they are.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// only loads one mapping, which must be right.
func only(t testing.TB, text string) *mapping.Decoder {
	t.Helper()
	d, errs := mapping.Load(folder(t, map[string]string{"10-test.yaml": text}))
	for _, err := range errs {
		t.Fatal(err)
	}
	return d
}

const small = `name: small
match: "garden/{device}"
device: "{device}"
read: [{path: p, quantity: power}]
`

var mistakes = []struct{ text, want string }{
	{small + "formt: json\n", "10-test.yaml:5:1: a mapping has no key `formt`; did you mean `format`?"},
	{strings.Replace(small, "quantity: power", "quantitty: power", 1), ":4:18: an element of `read` has no key `quantitty`; did you mean `quantity`?"},
	{strings.Replace(small, "power}", "pwer}", 1), ":4:28: there is no quantity `pwer`; did you mean `power`?"},
	{strings.Replace(small, "power}", "buffer_bytes}", 1), "there is no quantity `buffer_bytes`"},
	{strings.Replace(small, "power}", "x_Bad}", 1), "there is no quantity `x_Bad`"},
	{strings.Replace(small, "power}", "power, unit: kWh}", 1), "power is not given in `kWh`, but for example in W"},
	{strings.Replace(small, "power}", "x_own, unit: kWh}", 1), "no unit at all"},
	{strings.Replace(small, "power}", "power, scale: 0}", 1), "`scale` 0"},
	{strings.Replace(small, "power}", "power, scale: nan}", 1), "`scale` is a number"},
	{strings.Replace(small, "power}", "power, scale: [1]}", 1), "`scale` is a number"},
	{strings.Replace(small, "power}", "power, min: 5, max: 1}", 1), "`max` is below `min`"},
	{strings.Replace(small, "power}", "energy, kind: delta}", 1), "energy is a counter"},
	{strings.Replace(small, "power}", "power, kind: gage}", 1), "did you mean `gauge`?"},
	{strings.Replace(small, "power}", "power, reset: daily}", 1), "only `kind: counter`"},
	{strings.Replace(small, "power}", "power, invert: yes}", 1), "`invert` is true or false"},
	{strings.Replace(small, "power}", "power, for: {devise: a}}", 1), "did you mean `device`?"},
	{strings.Replace(small, "power}", "power, drop: 5}", 1), "`drop` is a list"},
	{strings.Replace(small, "power}", "power, calibrate: {dry: 1, wet: 2}}", 1), "a calibration gives soil_moisture"},
	{strings.Replace(small, "power}", "soil_moisture, calibrate: {dry: 1}}", 1), "`dry` and `wet`, or `points`"},
	{strings.Replace(small, "power}", "soil_moisture, calibrate: {dry: 1, wet: 1}}", 1), "rise or fall"},
	{strings.Replace(small, "power}", "soil_moisture, unit: W, calibrate: {dry: 1, wet: 2}}", 1), "counts (raw) or volts"},
	{strings.Replace(small, "power}", "soil_moisture, calibrate: {points: [{raw: 1, moisture: 0}, {raw: 2, moisture: 50}, {raw: 3, moisture: 40}]}}", 1), "rise or fall"},
	{strings.Replace(small, "power}", "soil_moisture, calibrate: {points: [{raw: 1, moisture: 0}]}}", 1), "1 points are given, not 2 to 8"},
	{strings.Replace(small, "power}", "soil_moisture, calibrate: {points: [{raw: 1, moisture: 0}, {raw: 2, moisture: 101}]}}", 1), "not within 0 to 100"},
	{strings.Replace(small, "path: p", "expr: 'p +'", 1), "`expr`: unexpected token"},
	{strings.Replace(small, "path: p", "expr: 'now()'", 1), "there is no function now"},
	{strings.Replace(small, "path: p", "expr: 'map([1], # + 1)'", 1), "there is no function map"},
	{strings.Replace(small, "path: p", "expr: '$env.p'", 1), "$env"},
	{strings.Replace(small, "path: p", "path: p, expr: p", 1), "keep one"},
	{strings.Replace(small, "path: p, ", "", 1), "`path` is missing"},
	{strings.Replace(small, "path: p", "path: 'a{n}.b'", 1), "{n} belongs to the last key"},
	{strings.Replace(small, "path: p", "path: 'a{x}'", 1), "knows one {n}"},
	{strings.Replace(small, "garden/{device}", "garden/#/x", 1), "`match`: "},
	{strings.Replace(small, "\"{device}\"\nread", "\"{device\"\nread", 1), "`device`: a {place} is not closed"},
	{strings.Replace(small, "read: [{path: p, quantity: power}]", "", 1), "`read` is missing"},
	{small + "format: number\n", "leave `path` out"},
	{small + "version: 2\n", "version is 1"},
	{small + "dedupe: 5\n", "`dedupe` is a time with its unit"},
	{small + "extends: tasmota\nsource: mine\n", "takes its `source`"},
	{small + "name: again\n", "`name` is written twice"},
	{small + "---\n" + small, "another mapping with the name small"},
	{small + "time: {path: t, layout: '2006-01-02', use: authoritative}\n", "needs `zone`"},
	{small + "time: {path: t, layout: unix, zone: Mars/Olympus, use: authoritative}\n", "Mars/Olympus is not known"},
	{small + "when: [1]\n", "`when` is a text"},
	{small + "test: [{topic: garden/a, payload: '{\"p\":1}', expect: [{quantity: power, value: 2}]}]\n", ":5:55: test: got power 1 (suspect: false), want 2 (suspect: false)"},
	{small + "test: [{topic: garden/a, payload: '{\"p\":1}', expect: [{quantity: energy, value: 2}]}]\n", "is not read, but a/ power_w=1"},
	{small + "test: [{topic: garden/a, payload: '{\"p\":1}', expect: []}]\n", "want nothing"},
	{small + "test: [{topic: garden/a, payload: '{\"p\":1}', error: true}]\n", "got error <nil>, want one: true"},
	{small + "test: [{topic: other/a, payload: '{\"p\":1}', expect: [{quantity: power, value: 1}]}]\n", "does not match"},
	{small + "test: [{topic: garden/a, payload: '{}'}]\n", "`expect` is missing"},
	{small + "test: [{topic: garden/a, payload: '{}', expect: [{quantity: power, value: 1, unit: kW}]}]\n", "records hold power in W"},
	{small + "test: [{topic: garden/a, payload_b64: '!', expect: []}]\n", "no Base64"},
	{"- a\n- b\n", ":1:1: a mapping is lines of"},
	{"name: {a\n", "no YAML: "},
	{"name: a\n\tmatch: b\n", "no YAML: "},
	{"a: &x [1]\nb: *x\n", "put the text in quotes"},
	{"name: \xff\n", "not UTF-8"},
	{strings.Repeat("# text\n", 200_000), "larger than 1 MiB"},
}

// A slip in a file is shown where it is, with the word that was meant, and never
// becomes a mapping that reads something else.
func TestEveryMistakeIsShownAtItsPlace(t *testing.T) {
	for _, c := range mistakes {
		d, errs := mapping.Load(folder(t, map[string]string{"10-test.yaml": c.text}))
		found := false
		for _, err := range errs {
			found = found || strings.Contains(err.Error(), c.want)
		}
		if !found || len(d.Names()) > 0 {
			t.Errorf("%.200s\ngot %v and the mappings %v, want %q", c.text, errs, d.Names(), c.want)
		}
	}
}

// A folder is read in the order of its names, and a file that is wrong costs
// nobody but itself.
func TestOneBadFileStopsNoOther(t *testing.T) {
	named := func(name string) string { return strings.Replace(small, "name: small", "name: "+name, 1) }
	dir := folder(t, map[string]string{
		"30-c.yaml": named("c"), "10-a.yaml": named("a"), "20-bad.yaml": small + "nonsense: 1\n", "15-b.yml": named("b"),
		"40-again.yaml": named("a"), ".hidden.yaml": "x", "readme.txt": "x", "05-empty.yaml": "# nothing\n", "06-three.yaml": "---\n---\n" + named("three"),
	})
	d, errs := mapping.Load(dir)
	if got := strings.Join(d.Names(), " "); got != "three a b c" {
		t.Errorf("got the mappings %q, want three a b c", got)
	}
	if len(errs) != 2 {
		t.Errorf("got %v, want one error of 20-bad.yaml and one of 40-again.yaml", errs)
	}
	if err := mapping.Check(filepath.Join(dir, "10-a.yaml")); err != nil {
		t.Error(err)
	}
	if err := mapping.Check(filepath.Join(dir, "20-bad.yaml")); err == nil || !strings.Contains(err.Error(), "20-bad.yaml:5:1:") {
		t.Errorf("got %v, want the place in 20-bad.yaml", err)
	}
	if err := mapping.Check(filepath.Join(dir, "none.yaml")); err == nil {
		t.Error("a file that is not there is not wrong")
	}
	if d, errs := mapping.Load(filepath.Join(dir, "none")); len(d.Names())+len(errs) > 0 {
		t.Errorf("got %v, %v of a folder that is not there, want nothing", d.Names(), errs)
	}
}

func TestAUsersMappingTakesThePlaceOfAPreset(t *testing.T) {
	user := only(t, strings.Replace(small, "small", "grott", 1))
	left := mapping.Presets().Without(user.Names()...)
	if len(left.Names()) != len(mapping.Presets().Names())-1 {
		t.Errorf("got %v", left.Names())
	}
	if _, mine := left.Decode(dialect.Message{Topic: "energy/growatt", Payload: []byte(`{"device":"a","values":{"pvpowerout":1}}`)}); mine {
		t.Error("the preset still reads")
	}
}

// Whatever stands in a file, loading it neither panics nor hangs, and what is
// loaded keeps the promises of a dialect.
func FuzzLoad(f *testing.F) {
	presets, err := filepath.Glob("presets/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range presets {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(small))
	f.Add([]byte(all))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "a.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		d, errs := mapping.Load(filepath.Dir(path))
		if (mapping.Check(path) == nil) != (len(errs) == 0) {
			t.Errorf("Check and Load disagree: %v", errs)
		}
		for _, topic := range []string{"garden/a", "energy/growatt", "a/data"} {
			d.Decode(dialect.Message{Topic: topic, Payload: []byte(`{"p":1,"device":"x"}`)})
		}
	})
}
