//go:build linux && (amd64 || arm64)

package proof_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/plantgate/plantgate/buffer"
)

// A rotten buffer is a copy of a good one in which something was changed. No card
// is needed for that: its files are in memory where that can be.
type rotten struct {
	t     *testing.T
	good  string // directory
	told  uint64
	files map[string][]byte
	names []string

	process *bufferProcess // nil: not started yet
}

// newRotten makes a buffer of some files, the oldest of whose records are
// confirmed, and stops it in order or not.
func newRotten(t *testing.T, seed uint64, clean bool) *rotten {
	t.Helper()
	r := &rotten{t: t, good: filepath.Join(memoryDir(t), "buffer"), files: map[string][]byte{}}
	hear := func(w word) { r.told = max(r.told, w.Durable) }
	if _, err := alone(t, order{Do: "live", Dir: r.good, Life: 1, Seed: seed, Steps: 140, Close: clean, Way: hoarding, Roomy: true}, hear); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(r.good, "0*.seg"))
	if err != nil || len(found) < 3 {
		t.Fatalf("only %d segments, %v", len(found), err)
	}
	for _, path := range append(found, filepath.Join(r.good, "positions")) {
		bytes, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r.files[filepath.Base(path)] = bytes
		r.names = append(r.names, filepath.Base(path))
	}
	return r
}

// memoryDir is a directory that costs no write to a disk, where there is one.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "plantgate")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start starts on a copy in which a file has other bytes.
func (r *rotten) start(name string, bytes []byte) (s survival, err error) {
	r.t.Helper()
	dir := filepath.Join(memoryDir(r.t), "buffer")
	if err := os.CopyFS(dir, os.DirFS(r.good)); err != nil {
		r.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, name), bytes, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if r.process == nil {
		r.process = startBufferProcess(r.t)
	}
	_, err = r.process.do(order{Do: "survive", Dir: dir, Life: survivorLife, Roomy: true}, func(w word) {
		if w.Survival != nil {
			s = *w.Survival
		}
	})
	if err != nil {
		r.process.kill()
		r.process = nil
	}
	return s, err
}

// breaches holds a start against what must be true whatever was changed: each
// record is as it was, or explained as missing, and somebody was told.
func (r *rotten) breaches(s survival, err error) (wrong []string) {
	if err != nil {
		return []string{err.Error()}
	}
	here := uint64(0)
	for _, run := range s.Runs {
		if run.Life != 1 {
			wrong = append(wrong, fmt.Sprintf("a record of life %d", run.Life))
		}
		here += run.Last - run.First + 1
	}
	gone := missing(s)
	if here+gone != s.Durable {
		wrong = append(wrong, fmt.Sprintf("%d records and %d explained as missing of %d", here, gone, s.Durable))
	}
	if s.Durable < r.told && !slices.Contains(s.Told, buffer.StreamStarted) {
		wrong = append(wrong, fmt.Sprintf("numbers through %d were durable, %d are known, and no new stream began", r.told, s.Durable))
	}
	if (gone > 0 || s.Durable < r.told) && !slices.Contains(s.Told, buffer.FileSetAside) {
		wrong = append(wrong, fmt.Sprintf("%d records are missing and no file was set aside: told %v", gone, s.Told))
	}
	return wrong
}

func missing(s survival) (n uint64) {
	for _, g := range s.Gaps {
		n += g.Last - g.First + 1
	}
	return n
}

// Single bits change on the card: in the records, where each must be found, and
// anywhere else in segments and positions. No changed record is ever read, each
// start goes on, and what is missing is a gap.
func TestFlippedBitsAreFound(t *testing.T) {
	t.Parallel()
	flips := 100
	if torture() {
		flips = 1000
	}
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 7))
	inBlocks, costly, aside := 0, 0, 0
	for _, clean := range []bool{true, false} {
		r := newRotten(t, seed, clean)
		for i := range flips / 2 {
			name := r.names[random.IntN(len(r.names))]
			bytes := slices.Clone(r.files[name])
			at, block := r.place(random, name, i%2 == 0)
			bytes[at] ^= 1 << random.IntN(8)
			s, err := r.start(name, bytes)
			wrong := r.breaches(s, err)
			if block != nil {
				inBlocks++
				wrong = append(wrong, block.breaches(s)...)
			}
			for _, w := range wrong {
				t.Errorf("stopped in order %v, bit in byte %d of %s (in block %+v): %s; told %v", clean, at, name, block, w, s.Told)
			}
			if missing(s) > 0 {
				costly++
			}
			if slices.Contains(s.Told, buffer.FileSetAside) {
				aside++
			}
		}
	}
	proved(t, "flipped bits", "%d bits, %d of them in stored blocks: each of those found and a gap, no changed record read; %d files set aside, records missing in %d cases, all explained", flips, inBlocks, aside, costly)
}

// A block is where records lie in a file.
type block struct {
	at, size    int
	first, last uint64
}

// breaches holds that a block with a changed bit, and no other, is a gap.
func (b *block) breaches(s survival) []string {
	if len(s.Gaps) == 1 && s.Gaps[0].First == b.first && s.Gaps[0].Last == b.last && s.Gaps[0].Reason != buffer.Expired && slices.Contains(s.Told, buffer.FileSetAside) {
		return nil
	}
	return []string{fmt.Sprintf("want one gap %d..%d, got %+v", b.first, b.last, s.Gaps)}
}

// place chooses a byte: in a block, or anywhere in what a file has in use.
func (r *rotten) place(random *rand.Rand, name string, inBlock bool) (at int, in *block) {
	bytes := r.files[name]
	if blocks := blocksOf(bytes); inBlock && len(blocks) > 0 {
		b := blocks[random.IntN(len(blocks))]
		return b.at + 33 + random.IntN(b.size-33), &b
	}
	used := len(bytes)
	for used > 1 && bytes[used-1] == 0 {
		used--
	}
	return random.IntN(used), nil
}

// blocksOf finds the blocks that have pages of their own, of which there is no
// second copy (buffer/block.go: magic, number at 9, count at 17, size at 25).
func blocksOf(bytes []byte) (blocks []block) {
	for at := 0; at+33 < len(bytes); at++ {
		if string(bytes[at:at+4]) != "PGB\x01" {
			continue
		}
		first := binary.BigEndian.Uint64(bytes[at+9:])
		size := 33 + int(binary.BigEndian.Uint32(bytes[at+25:]))
		if size > 2000 && at+size <= len(bytes) {
			blocks = append(blocks, block{at, size, first, first + uint64(binary.BigEndian.Uint32(bytes[at+17:])) - 1})
		}
	}
	return blocks
}

// A file ends at any of its pages. The start goes on, and what is missing is
// explained.
func TestFilesCutShort(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 8))
	cuts, costly := 0, 0
	for _, clean := range []bool{true, false} {
		r := newRotten(t, seed, clean)
		for _, name := range r.names {
			bytes := r.files[name]
			pages := sample(random, (len(bytes)-1)/4096, 5)
			for _, page := range append(pages, 0) {
				cuts++
				s, err := r.start(name, bytes[:page*4096])
				for _, w := range r.breaches(s, err) {
					t.Errorf("stopped in order %v, %s cut short at page %d: %s; told %v", clean, name, page, w, s.Told)
				}
				if missing(s) > 0 || s.Durable < r.told {
					costly++
				}
			}
		}
	}
	proved(t, "files cut short", "%d files cut at a page: every start went on; records missing in %d cases, all explained", cuts, costly)
}
