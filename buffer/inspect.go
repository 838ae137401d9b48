package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A Report is what Inspect found in a directory.
type Report struct {
	Stream    string // the newest one; "": not known
	Confirmed uint64
	Clean     bool  // the buffer was closed in order
	Err       error // why the positions cannot be read
	Gaps      []Gap // that were noticed
	Files     []FileReport
	Damaged   []string // paths of files that were set aside
}

// A FileReport is what is in one segment.
type FileReport struct {
	Path        string
	Stream      string
	First, Last uint64 // numbers; 0: no records
	Records     uint64
	Blocks      int
	Bytes       int64 // of the file
	Err         error // what is wrong with it
}

// Inspect reads a buffer that no process has, without changing anything, and
// checks every file: with check, which may run CheckFile in a child process, or
// by itself when check is nil. ErrLocked: a process has it.
func Inspect(dir string, check func(path string) error) (r Report, err error) {
	lock, err := lockForLook(dir)
	if err != nil {
		return Report{}, fmt.Errorf("inspect buffer %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if check == nil {
		check = CheckFile
	}
	files, err := listDir(dir)
	if err != nil {
		return Report{}, fmt.Errorf("inspect buffer: %w", err)
	}
	r.Damaged = files.damaged
	r.readPositions(dir)
	for _, s := range files.segments {
		r.Files = append(r.Files, inspectFile(s, check))
	}
	return r, nil
}

func (r *Report) readPositions(dir string) {
	f, err := os.Open(filepath.Join(dir, positionsName))
	if err != nil {
		r.Err = err
		return
	}
	defer f.Close()
	p, err := readSlots(f)
	if p == nil {
		r.Err = err
		return
	}
	r.Stream, r.Confirmed, r.Clean = streamName(p.stream), p.confirmed, p.clean
	for _, g := range p.gaps {
		r.Gaps = append(r.Gaps, g.gap(g.first, g.last))
	}
}

func inspectFile(s *segment, check func(string) error) FileReport {
	t, err := checkTree(s.path)
	f := FileReport{Path: s.path, Bytes: s.size, First: t.first, Last: t.last, Records: t.records, Blocks: t.blocks, Err: err}
	if t.hasHead {
		f.Stream = streamName(t.head.stream)
	}
	if err == nil { // else it says less
		f.Err = check(s.path)
	}
	return f
}
