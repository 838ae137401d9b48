package clock_test

import (
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/plantgate/plantgate/gateway/internal/clock"
)

// FuzzBoots lets the lines of the state file be anything behind a checksum that
// is right: the clock opens, an answer of it is for ever, and no time that it
// calls good is one that a record cannot hold.
func FuzzBoots(f *testing.F) {
	f.Add(`[{"boot":42,"id":"a","offset_ms":1795507951123,"uncorrected_before_ms":7}]`, uint32(42), int64(77_000))
	f.Add(`[{"boot":1,"id":"fuzz","stated_ms":-5},{"boot":1,"id":"fuzz"},{"boot":4294967295,"id":"b","offset_ms":0}]`, uint32(1), int64(0))
	f.Add(`[{"boot":7,"id":"c","offset_ms":9223372036854775807}]`, uint32(7), int64(math.MaxInt64))
	f.Add(`[{"boot":7,"id":"c","offset_ms":-9223372036854775808,"uncorrected_before_ms":-9223372036854775808}]`, uint32(7), int64(math.MinInt64))
	f.Add(`null`, uint32(0), int64(0))
	path := filepath.Join(f.TempDir(), "clock.json")
	f.Fuzz(func(t *testing.T, boots string, boot uint32, boottime int64) {
		sum := crc32.Checksum([]byte(boots), crc32.MakeTable(crc32.Castagnoli))
		text := fmt.Sprintf(`{"version":1,"crc32c":%s,"boots":%s}`, strconv.FormatUint(uint64(sum), 10), boots)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o := clock.Options{Path: path, BootID: "fuzz", Trust: true, Sync: func(*os.File) error { return nil }}
		c, err := clock.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		taken := clock.Instant{Wall: boottime, Boottime: boottime, Boot: boot}
		first, quality, ok := c.Resolve(taken)
		if c, err = clock.Open(o); err != nil {
			t.Fatal(err)
		}
		if second, also, again := c.Resolve(taken); !second.Equal(first) || again != ok || also != quality {
			t.Errorf("%v %v %v became %v %v %v by opening again", first, quality, ok, second, also, again)
		}
		now := c.Now()
		if at, _, known := c.Resolve(now); !known || at.UnixMilli() != now.Wall {
			t.Errorf("now is %v, and resolves to %v, %v", now, at, known)
		}
		removeAside(t, path)
	})
}

// removeAside keeps the folder small: a file that cannot be used is set aside
// under a name of its own.
func removeAside(t *testing.T, path string) {
	t.Helper()
	damaged, err := filepath.Glob(path + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range damaged {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}
