package history

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/plantgate/plantgate/reading"
)

// leading are the columns that every table begins with; trailing are the fields
// that stand at its end when some reading has them. What else a record says
// twice, a table says once.
func leading() []string {
	return []string{"id", "seq", "ts", "quality", "gateway", "site", "device", "channel", "source"}
}

func trailing() []string   { return []string{"suspect", "calibration", "dup", "replayed"} }
func repetition() []string { return []string{"v", "ts_ms", "quality_level"} }

// Columns collects the fields of readings, so that a table has a column for each
// and none for those that nothing measures.
type Columns struct{ seen map[string]bool }

// See takes note of the fields of one reading.
func (c *Columns) See(value []byte) {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	gjson.ParseBytes(value).ForEach(func(key, _ gjson.Result) bool {
		if !c.seen[key.Str] {
			c.seen[key.Str] = true
		}
		return true
	})
}

// Names returns the columns: the leading ones, the metrics in the order of the
// vocabulary, a mapping's own by name, the trailing ones.
func (c *Columns) Names() []string {
	names, left := leading(), maps.Clone(c.seen)
	for _, name := range slices.Concat(names, trailing(), repetition()) {
		delete(left, name)
	}
	for _, d := range reading.Definitions() {
		if left[string(d.Metric)] {
			names = append(names, string(d.Metric))
			delete(left, string(d.Metric))
		}
	}
	names = append(names, slices.Sorted(maps.Keys(left))...)
	for _, name := range trailing() {
		if c.seen[name] {
			names = append(names, name)
		}
	}
	return names
}

// A Table writes readings as CSV (RFC 4180), one row each. Numbers and text
// stand as they do in the record; what a reading does not have is empty.
type Table struct {
	w     *csv.Writer
	index map[string]int
	row   []string
}

// NewTable writes the header. Fields that have no column are left out.
func NewTable(w io.Writer, columns []string) (*Table, error) {
	t := &Table{w: csv.NewWriter(w), index: map[string]int{}, row: make([]string, len(columns))}
	for i, name := range columns {
		t.index[name] = i
	}
	if err := t.w.Write(columns); err != nil {
		return nil, fmt.Errorf("write table: %w", err)
	}
	return t, nil
}

// Add writes one reading.
func (t *Table) Add(value []byte) error {
	clear(t.row)
	gjson.ParseBytes(value).ForEach(func(key, field gjson.Result) bool {
		if i, ok := t.index[key.Str]; ok {
			t.row[i] = fieldText(field)
		}
		return true
	})
	if err := t.w.Write(t.row); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// fieldText keeps a number as it is written: 42.0 must not become 42.
func fieldText(field gjson.Result) string {
	if field.Type == gjson.String {
		return field.Str
	}
	return field.Raw
}

// Flush writes what is still in memory.
func (t *Table) Flush() error {
	t.w.Flush()
	if err := t.w.Error(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}
