package clock_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

var errCard = errors.New("card does not answer")

// countSaves counts the state files that are written from now on.
func countSaves(b *board) *atomic.Int64 {
	saves := new(atomic.Int64)
	b.sync = func(f *os.File) error {
		if strings.HasSuffix(f.Name(), ".tmp") {
			saves.Add(1)
		}
		return f.Sync()
	}
	return saves
}

// A record that left and whose time was not on the card yet would, after a
// power cut, leave again with another time. Each write has two syncs, of the
// file and of its folder, and both must have been answered.
func TestNothingLeavesBeforeItsTimeSurvivesAPowerCut(t *testing.T) {
	for _, failing := range []string{"file", "folder"} {
		if failing == "folder" && runtime.GOOS == "windows" {
			continue
		}
		for _, end := range []string{"set", "held for long"} {
			t.Run(failing+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBoard(t, -day)
					var broken atomic.Bool
					var attempts atomic.Int64
					b.sync = func(f *os.File) error {
						attempts.Add(1)
						if broken.Load() && strings.HasSuffix(f.Name(), ".tmp") == (failing == "file") {
							return errCard
						}
						return f.Sync()
					}
					b.start(t)
					defer b.stop()
					early := b.Now()
					broken.Store(true)
					b.network.Store(true)
					if end == "set" {
						b.set()
					}
					time.Sleep(time.Hour)
					wantHeld(t, b.Clock, early)
					if err := b.State().Err; !errors.Is(err, errCard) {
						t.Errorf("state says %v, want the card's error", err)
					}
					// A dying card is not hammered either.
					if n := attempts.Load(); n > 150 {
						t.Errorf("%d attempts in an hour", n)
					}
					if end == "set" {
						wantLeaves(t, b.Clock, b.Now(), time.Now(), reading.Good)
					}

					broken.Store(false)
					time.Sleep(time.Minute + 2*time.Second)
					if _, _, ok := b.Resolve(early); !ok || b.State().Err != nil {
						t.Errorf("still held after the card was mended: %+v", b.State())
					}
				})
			})
		}
	}
}

// A mark that never reached the card let nothing out; when the clock is set in
// the meantime, everything gets the true time.
func TestMarkThatWasNotStoredDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		var broken atomic.Bool
		b.sync = func(f *os.File) error {
			if broken.Load() {
				return errCard
			}
			return f.Sync()
		}
		b.start(t)
		defer b.stop()
		truth, early := time.Now(), b.Now()
		broken.Store(true)
		b.network.Store(true)
		time.Sleep(time.Hour)
		b.set()
		time.Sleep(2 * time.Second)
		broken.Store(false)
		time.Sleep(time.Minute + 2*time.Second)
		wantLeaves(t, b.Clock, early, truth, reading.Good)
	})
}

// A clock is opened on whatever the card gives back, and by older programs
// after newer ones. Nothing of that may stop the gateway.
func TestUnusableStateIsSetAside(t *testing.T) {
	var good []byte
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		b.set()
		time.Sleep(2 * time.Second)
		b.stop()
		good, _ = os.ReadFile(b.path)
	})
	at := strings.Index(string(good), `"offset_ms":`) + len(`"offset_ms":`)
	for name, text := range map[string]string{
		"empty":              "",
		"zeros":              strings.Repeat("\x00", 4096),
		"cut short":          string(good[:len(good)/2]),
		"a digit flipped":    string(good[:at]) + "5" + string(good[at+1:]),
		"of a newer program": `{"version":2,"something":"else"}`,
		"not boots":          `{"version":1,"crc32c":0}`,
		"huge":               strings.Repeat(" ", 2<<20) + string(good),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, -day)
				if err := os.WriteFile(b.path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				b.start(t)
				truth, early := time.Now(), b.Now()
				b.set()
				time.Sleep(2 * time.Second)
				wantLeaves(t, b.Clock, early, truth, reading.Good)
				events := b.noted(t, reading.FileSetAside)
				if len(events) != 1 {
					t.Fatalf("%d events, want one file_set_aside", len(events))
				}
				kept, err := os.ReadFile(field(events[0], "file").(string))
				if err != nil || string(kept) != text {
					t.Errorf("set aside: %d bytes, %v; want %d", len(kept), err, len(text))
				}
				b.restart(t)
				defer b.stop()
				wantLeaves(t, b.Clock, early, truth, reading.Good)
			})
		})
	}
}

// A clock that is right from the start has nothing to watch; what it met when it
// was opened is told all the same.
func TestFileSetAsideIsToldWhenTheClockIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, 0)
		b.trust = true
		if err := os.WriteFile(b.path, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.start(t)
		defer b.stop()
		if events := b.noted(t, reading.FileSetAside); len(events) != 1 {
			t.Errorf("%d events, want one file_set_aside", len(events))
		}
	})
}

// After its file was lost, a boot must not get the number of an older one: that
// one's readings would be corrected by the wrong offset.
func TestLostStateDoesNotGiveABootsNumberAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		stated, old := time.Now().Add(-day), b.Now()
		b.stop()
		if err := os.Remove(b.path); err != nil {
			t.Fatal(err)
		}
		b.power("second", -day)
		b.start(t)
		defer b.stop()
		b.set()
		time.Sleep(2 * time.Second)
		wantLeaves(t, b.Clock, old, stated, reading.Uncertain)
	})
}

// A boot keeps its number over restarts of the program, else its readings are
// taken for those of a boot that is over, and leave uncorrected.
func TestABootKeepsItsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		b.start(t)
		early := b.Now()
		b.restart(t)
		defer b.stop()
		if got := b.Now().Boot; got != early.Boot {
			t.Errorf("boot %d became %d", early.Boot, got)
		}
		wantHeld(t, b.Clock, early)
	})
}

// A weak supply restarts the board every few seconds for days; years of
// ordinary boots add up too. Neither may fill the card, nor push out what is
// known of boots whose readings may still wait.
func TestTheNumberOfBootsKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, -day)
		writeBoots(t, b.path, 1000)
		for n := range 20 {
			b.power(fmt.Sprintf("ordinary %d", n), -day)
			b.start(t)
			b.set()
			time.Sleep(2 * time.Second)
			b.stop()
		}
		for n := range 20 {
			b.power(fmt.Sprintf("brown-out %d", n), -day)
			b.start(t)
			time.Sleep(2 * time.Second)
			b.stop()
		}
		b.start(t)
		defer b.stop()
		early := clock.Instant{Boottime: 1}
		for n := range 1000 {
			early.Boot = uint32(n) + 1
			_, q, ok := b.Resolve(early)
			// Twenty new ones with a line for good, and the present one.
			if want := n >= 21; !ok || (q == reading.Good) != want {
				t.Fatalf("boot %d of 1000 earlier ones: %v, ok %v; want it known: %v", n, q, ok, want)
			}
		}
		if info, err := os.Stat(b.path); err != nil || info.Size() > 100<<10 {
			t.Errorf("state file: %d bytes, %v", info.Size(), err)
		}
	})
}

// writeBoots writes a state file of that many synchronised boots. Its format is
// on the cards out there: a change of it needs a new version.
func writeBoots(t *testing.T, path string, count int) {
	t.Helper()
	var boots []string
	for n := range count {
		boots = append(boots, fmt.Sprintf(`{"boot":%d,"id":"%08x-1b4e-28ba-2fa1-11d2883b9a76","offset_ms":1795507951123}`, n+1, n))
	}
	text := "[" + strings.Join(boots, ",") + "]"
	sum := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
	state := fmt.Sprintf(`{"version":1,"crc32c":%d,"boots":%s}`, sum, text)
	if err := os.WriteFile(path, []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What lies in the state file is outside input: the card may give back
// anything.
func FuzzStateFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "clock.json")
	c, err := clock.Open(clock.Options{Path: path, BootID: "fuzz", Trust: true})
	if err != nil {
		f.Fatal(err)
	}
	taken := c.Now()
	taken.Synced = false
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"crc32c":1477183183,"boots":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "clock.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		o := clock.Options{Path: path, BootID: "fuzz", Trust: true, Sync: func(*os.File) error { return nil }}
		c, err := clock.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		first, _, ok := c.Resolve(taken)
		if c, err = clock.Open(o); err != nil {
			t.Fatal(err)
		}
		if second, _, again := c.Resolve(taken); !second.Equal(first) || again != ok {
			t.Errorf("%v, %v became %v, %v by opening again", first, ok, second, again)
		}
	})
}
