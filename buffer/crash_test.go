package buffer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/plantgate/plantgate/buffer"
)

// A power cut in the middle of a commit leaves any of its pages on the card, in
// any order, as long as there was no sync between them; the meta page comes
// after one. Nothing that was acknowledged may suffer.
func TestPowerCutInTheMiddleOfACommit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, size := range []int{50, 3000} {
		before, after, last := beforeAndAfter(t, size)
		path := filepath.Base(segments(t, before)[0])
		old, err := os.ReadFile(filepath.Join(before, path))
		if err != nil {
			t.Fatal(err)
		}
		done, err := os.ReadFile(filepath.Join(after, path))
		if err != nil {
			t.Fatal(err)
		}
		pages := changed(old, done)
		for n := range 60 {
			state := append([]byte(nil), old...)
			if n%2 == 0 { // cut before the first sync: some sectors of the data pages
				for _, page := range pages {
					if page >= 2 {
						copySectors(r, state, done, page)
					}
				}
			} else { // cut before the second one: all data pages, some sectors of the meta page
				for _, page := range pages {
					if page >= 2 {
						copy(state[page*4096:(page+1)*4096], done[page*4096:])
					} else {
						copySectors(r, state, done, page)
					}
				}
			}
			t.Run(fmt.Sprintf("size %d state %d", size, n), func(t *testing.T) {
				dir := crash(t, before)
				if err := os.WriteFile(filepath.Join(dir, path), state, 0o600); err != nil {
					t.Fatal(err)
				}
				cutAt(t, dir, last, size)
			})
		}
	}
}

func sized(size int) func(uint64) []byte { return func(n uint64) []byte { return noise(n)[:size] } }

// beforeAndAfter returns the files around the commit of number last+1.
func beforeAndAfter(t *testing.T, size int) (before, after string, last uint64) {
	t.Helper()
	dir := tempDir(t)
	b, _ := start(t, dir, small())
	last = 20
	putEach(t, b, sized(size), 1, last)
	before = crash(t, dir)
	putEach(t, b, sized(size), last+1, last+1)
	return before, crash(t, dir), last
}

func changed(a, b []byte) (pages []int) {
	for page := range len(a) / 4096 {
		if string(a[page*4096:(page+1)*4096]) != string(b[page*4096:(page+1)*4096]) {
			pages = append(pages, page)
		}
	}
	return pages
}

// copySectors copies all, none or some of a page's sectors of 512 bytes.
func copySectors(r *rand.Rand, to, from []byte, page int) {
	share := r.IntN(3)
	for sector := page * 8; sector < (page+1)*8; sector++ {
		if share == 0 || share == 1 && r.IntN(2) == 0 {
			copy(to[sector*512:(sector+1)*512], from[sector*512:])
		}
	}
}

// cutAt starts after the cut: the commit of last+1 is whole or not there, and if
// not, its number is given to another record.
func cutAt(t *testing.T, dir string, last uint64, size int) {
	t.Helper()
	b, stop := start(t, dir, small())
	durable, _ := b.Durable()
	if durable != last && durable != last+1 {
		t.Errorf("durable %d, want %d or one more", durable, last)
	}
	if _, gaps := readAll(t, b, sized(size), 1); gaps != nil {
		t.Errorf("gaps: %v", gaps)
	}
	of := func(n uint64) []byte {
		if n <= durable {
			return sized(size)(n)
		}
		return record(n)
	}
	putEach(t, b, of, durable+1, durable+5)
	stop()
	// Much later the first file is damaged. What is saved from it must not be the
	// record that was given up, under a number that is another one's now.
	flip(t, segments(t, dir)[0], 70, 1)
	b, _ = start(t, dir, small())
	if _, gaps := readAll(t, b, of, 1); gaps != nil {
		t.Errorf("gaps after a repair: %v", gaps)
	}
}

// A power cut between any two steps of making, renaming and filling a file.
func TestPowerCutWhileASegmentBegins(t *testing.T) {
	dir := tempDir(t)
	b, _ := start(t, dir, small())
	putEach(t, b, noise, 1, 30)
	eventually(t, "the next file", func() bool { return b.Stats().Bytes > 2*segment })
	for name, cut := range map[string]func(dir string) error{
		"renamed and empty": func(dir string) error {
			return os.Rename(filepath.Join(dir, "next.seg"), filepath.Join(dir, fmt.Sprintf("%020d.seg", 31)))
		},
		"not prepared":     func(dir string) error { return os.Remove(filepath.Join(dir, "next.seg")) },
		"half prepared":    func(dir string) error { return os.WriteFile(filepath.Join(dir, "next.seg.tmp"), []byte("x"), 0o600) },
		"prepared and bad": func(dir string) error { return os.Truncate(filepath.Join(dir, "next.seg"), 9000) },
		"no positions yet": func(dir string) error {
			return os.Rename(filepath.Join(dir, "positions"), filepath.Join(dir, "positions.tmp"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := crash(t, dir)
			if err := cut(dir); err != nil {
				t.Fatal(err)
			}
			b, _ := start(t, dir, small())
			if n, gaps := readAll(t, b, noise, 1); n != 30 || gaps != nil {
				t.Errorf("%d records, gaps %v", n, gaps)
			}
			putEach(t, b, noise, 31, 60)
			readAll(t, b, noise, 1)
		})
	}
}

// The power goes during the very first start, with nothing but remains there.
func TestPowerCutDuringTheFirstStart(t *testing.T) {
	for name, content := range map[string][]byte{"positions": make([]byte, 256<<10), "positions.tmp": nil, "next.seg.tmp": make([]byte, 100), "lock": nil} {
		dir := tempDir(t)
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		var told notices
		o := small()
		o.Notify = told.add
		b, _ := start(t, dir, o)
		put(t, b, record, 1, 3)
		if n, gaps := readAll(t, b, record, 1); n != 3 || gaps != nil || told.kinds() != "stream_started" {
			t.Errorf("%s: %d records, gaps %v, told %q", name, n, gaps, told.kinds())
		}
	}
}

// Unclean stops in a row must not leave a large file each.
func TestUncleanStopsCostLittleSpace(t *testing.T) {
	dir := tempDir(t)
	for n := uint64(1); n <= 20; n++ {
		b, _ := start(t, dir, small())
		put(t, b, record, n, n)
		dir = crash(t, dir)
	}
	b, _ := start(t, dir, small())
	if s := b.Stats(); s.Dropped > 0 || s.Bytes > 3*segment {
		t.Errorf("stats: %+v", s)
	}
	if n, gaps := readAll(t, b, record, 1); n != 20 || gaps != nil {
		t.Errorf("%d records, gaps %v", n, gaps)
	}
}

// FuzzDamage lets bytes of a segment be anything: no start fails, no wrong record
// comes back.
func FuzzDamage(f *testing.F) {
	dir := tempDir(f)
	b, stop := start(f, dir, small())
	putEach(f, b, record, 1, 30)
	putEach(f, b, noise, 31, 36)
	stop()
	of := func(n uint64) []byte {
		if n > 30 {
			return noise(n)
		}
		return record(n)
	}
	f.Add(uint32(0), []byte{1}, false)
	f.Add(uint32(4096*3+10), []byte{255, 255}, true)
	f.Add(uint32(4096*5+12), []byte{0, 0, 0, 255}, true)
	f.Fuzz(func(t *testing.T, at uint32, xor []byte, clean bool) {
		dir := crash(t, dir)
		path := segments(t, dir)[0]
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range xor {
			content[(int(at)+i)%len(content)] ^= x
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if !clean {
			if err := os.Remove(filepath.Join(dir, "positions")); err != nil {
				t.Fatal(err)
			}
		}
		b, _ := start(t, dir, small())
		readAll(t, b, of, 1)
		last, err := b.Append(context.Background(), []byte("more"))
		if err == nil {
			err = b.Wait(context.Background(), last)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzPositions lets the positions be anything: all is sent, again if need be.
func FuzzPositions(f *testing.F) {
	f.Add([]byte("PGPS\x01"), uint16(0))
	f.Add(make([]byte, 300), uint16(5))
	dir := tempDir(f)
	b, stop := start(f, dir, small())
	put(f, b, record, 1, 5)
	if err := b.Confirm(3, []byte("blob")); err != nil {
		f.Fatal(err)
	}
	stop()
	f.Fuzz(func(t *testing.T, slot []byte, at uint16) {
		dir := crash(t, dir)
		path := filepath.Join(dir, "positions")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			copy(content[i*(128<<10)+int(at)%4096:], slot)
			if at%2 == 1 { // right in form, wrong in content
				sealSlot(content[i*(128<<10):], 1)
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := buffer.Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if n, _ := b.Confirmed(); n > b.Stats().Durable {
			t.Errorf("confirmed %d of %d", n, b.Stats().Durable)
		}
	})
}
