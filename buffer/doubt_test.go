package buffer_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/plantgate/plantgate/buffer"
)

// A bad contact between board and card gives wrong bytes once and the right ones
// a moment later. Nothing may be set aside for that, and nothing be given up.
func TestFileThatIsGoodTheSecondTimeIsKept(t *testing.T) {
	dir, last := damagedDirs(t)
	var told notices
	calls := 0
	o := buffer.Options{SegmentSize: segment, Limit: 16 * segment, Reserve: -1, Notify: told.add}
	o.Check = func(path string) error {
		if calls++; calls%2 == 1 {
			return errors.New("block 7 has a wrong checksum")
		}
		return buffer.CheckFile(path)
	}
	b, _ := start(t, dir, o)
	if n, gaps := readAll(t, b, mixed, 1); n != int(last) || gaps != nil {
		t.Errorf("%d records of %d, gaps %v", n, last, gaps)
	}
	if told.kinds() != "" || calls < 4 {
		t.Errorf("told %q after %d checks", told.kinds(), calls)
	}
}

// The newest positions are damaged, and those before them tell of a stop in order
// that was the last but one: the newest file may hold a block that was given up
// and must not be written to again.
func TestDamagedPositionsAreNoCleanStop(t *testing.T) {
	dir := tempDir(t)
	b, stop := start(t, dir, small())
	put(t, b, record, 1, 5)
	stop()
	b, _ = start(t, dir, small()) // writes one slot
	put(t, b, record, 6, 7)
	dir = crash(t, dir)
	r, err := buffer.Inspect(dir, nil)
	if err != nil || r.Clean {
		t.Fatalf("clean %v, %v", r.Clean, err)
	}
	for slot := range int64(2) {
		dir := crash(t, dir)
		flip(t, filepath.Join(dir, "positions"), slot*128<<10+30, 1)
		var told notices
		o := small()
		o.Notify = told.add
		b, _ := start(t, dir, o)
		if told.kinds() != buffer.UncleanStart {
			t.Errorf("slot %d: told %q", slot, told.kinds())
		}
		if n, gaps := readAll(t, b, record, 1); n != 7 || gaps != nil {
			t.Errorf("slot %d: %d records, gaps %v", slot, n, gaps)
		}
	}
}
