package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/plantgate/plantgate/buffer"
)

// plantgate buffer fsck shows what is there and what is wrong, and changes
// nothing.
func TestInspectTellsAndTouchesNothing(t *testing.T) {
	dir, last := damagedDirs(t)
	before := names(t, dir)
	r, err := buffer.Inspect(dir, nil)
	if err != nil || r.Err != nil || !r.Clean || r.Stream == "" || len(r.Files) < 3 {
		t.Fatalf("got %+v, %v", r, err)
	}
	records := uint64(0)
	for _, f := range r.Files {
		records += f.Records
		if f.Err != nil || f.Stream != r.Stream || f.Blocks == 0 || f.Bytes == 0 {
			t.Errorf("file %+v", f)
		}
	}
	if first := r.Files[0].First; records != last || first != 1 {
		t.Errorf("%d records from %d, want %d from 1", records, first, last)
	}
	spoilBlock(t, segments(t, dir)[1], r.Files[1].Last)
	bad := errors.New("killed")
	r, err = buffer.Inspect(dir, func(path string) error {
		if filepath.Base(path) == filepath.Base(segments(t, dir)[0]) {
			return bad
		}
		return nil
	})
	if err != nil || r.Files[0].Err != bad || r.Files[1].Err == nil || r.Files[2].Err != nil {
		t.Errorf("got %+v, %v", r.Files, err)
	}
	if err := os.Remove(filepath.Join(dir, "positions")); err != nil {
		t.Fatal(err)
	}
	if r, err = buffer.Inspect(dir, nil); err != nil || r.Err == nil {
		t.Errorf("without positions: %+v, %v", r, err)
	}
	if after := names(t, dir) + " positions"; len(after) != len(before) {
		t.Errorf("files %s became %s", before, after)
	}
}
