package clock

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/plantgate/plantgate/reading"
)

const (
	tableVersion = 1
	// Only boots that were synchronised take a line for good, and a board takes
	// half a minute to get there: a thousand are more than a day of the worst
	// brown-out and years of ordinary life, in less than 100 KiB.
	maxBoots      = 1000
	maxTableBytes = 1 << 20
)

// A boot is one line of the state file.
type boot struct {
	Number uint32 `json:"boot"`
	ID     string `json:"id"`
	Stated *int64 `json:"stated_ms,omitempty"` // wall minus boottime with which it began, if that was unsynchronised
	Offset *int64 `json:"offset_ms,omitempty"` // wall minus boottime at the first synchronisation
	Steady *int64 `json:"steady_ms,omitempty"` // wall minus boottime as last believed, if that is no longer Offset
	Before int64  `json:"uncorrected_before_ms,omitempty"`
}

// steady is what a synchronised boot takes for right after a restart of the
// program.
func (b boot) steady() int64 {
	if b.Steady != nil {
		return *b.Steady
	}
	return *b.Offset
}

func (b boot) equal(other boot) bool {
	return b.Number == other.Number && b.ID == other.ID && b.Before == other.Before &&
		same(b.Stated, other.Stated) && same(b.Offset, other.Offset) && same(b.Steady, other.Steady)
}

func same(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }

// A table is the content of the state file: the boots, the latest last.
type table []boot

type tableJSON struct {
	Version int             `json:"version"`
	CRC     uint32          `json:"crc32c"` // of the text of Boots: cards return wrong bytes without an error
	Boots   json.RawMessage `json:"boots"`
}

// find returns the line of the boot with that id, or a new one.
func (t table) find(id string) boot {
	for _, b := range t {
		if b.ID == id {
			return b
		}
	}
	b := boot{ID: id, Number: numberOf(id)}
	for slices.ContainsFunc(t, func(other boot) bool { return other.Number == b.Number }) {
		b.Number = max(b.Number+1, 1)
	}
	return b
}

func (t table) last() uint32 {
	if len(t) == 0 {
		return 0
	}
	return t[len(t)-1].Number
}

// with returns the table with b as its latest boot. Earlier boots that were
// never synchronised lose their line: without one they resolve as with it.
func (t table) with(b boot) table {
	next := make(table, 0, len(t)+1)
	for _, other := range t {
		if other.ID != b.ID && other.Offset != nil {
			next = append(next, other)
		}
	}
	next = append(next, b)
	return next[max(len(next)-maxBoots, 0):]
}

func (t table) facts() map[uint32]facts {
	m := make(map[uint32]facts, len(t))
	for _, b := range t {
		m[b.Number] = facts{offset: b.Offset, before: b.Before}
	}
	return m
}

// An aside is a state file that could not be used, under its new name.
type aside struct {
	name  string
	cause error
}

func (a aside) event() reading.Event {
	return reading.Event{Type: reading.FileSetAside, Fields: []reading.Field{
		{Name: "file", Value: a.name},
		{Name: "error", Value: a.cause.Error()},
	}}
}

// load reads the state file. One that is not there is an empty table; one that
// cannot be used is renamed and returned as well.
func load(path string) (table, *aside) {
	t, err := read(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	name := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	if renameErr := os.Rename(path, name); renameErr != nil {
		// It is in nobody's way: the next save replaces it.
		name, err = path, errors.Join(err, renameErr)
	}
	return nil, &aside{name: name, cause: err}
}

func read(path string) (table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTableBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxTableBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxTableBytes)
	}
	return parse(text)
}

func parse(text []byte) (table, error) {
	var j tableJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, err
	}
	if j.Version != tableVersion {
		return nil, fmt.Errorf("format %d, this program knows %d", j.Version, tableVersion)
	}
	if crc := checksum(j.Boots); crc != j.CRC {
		return nil, fmt.Errorf("checksum is %08x, want %08x", crc, j.CRC)
	}
	var t table
	if err := json.Unmarshal(j.Boots, &t); err != nil {
		return nil, err
	}
	return t, nil
}

// save replaces the state file. When it returns nil, the new one survives a
// power cut; at any moment the old one or the new one is there, whole.
func (t table) save(path string, sync func(*os.File) error) error {
	text, err := t.encode()
	if err == nil {
		err = write(path+".tmp", text, sync)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path), sync)
	}
	if err != nil {
		return fmt.Errorf("store clock state: %w", err)
	}
	return nil
}

func (t table) encode() ([]byte, error) {
	boots, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return json.Marshal(tableJSON{tableVersion, checksum(boots), boots})
}

func checksum(text []byte) uint32 {
	return crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))
}

func write(path string, text []byte, sync func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = sync(f)
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename survive a power cut.
func syncDir(dir string, sync func(*os.File) error) error {
	if runtime.GOOS == "windows" { // has no such call
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(sync(d), d.Close())
}
