//go:build linux

package proof_test

import (
	"encoding/binary"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// A killPoint is a place between two steps to the card, to a device or to Kafka.
type killPoint struct {
	name   string
	after  bool  // the step was made; else it is about to be
	visits int   // kill at one of so many first visits: what comes about in a second or two
	calls  []int // that the kernel has to tell of
	is     func(c *systemCall, seen *sight) bool
}

// Numbers of calls that belong together.
var (
	appending = []int{unix.SYS_PWRITE64, unix.SYS_FDATASYNC}
	positing  = []int{unix.SYS_PWRITE64, unix.SYS_FDATASYNC}
	preparing = []int{unix.SYS_OPENAT, unix.SYS_FDATASYNC, unix.SYS_FALLOCATE, unix.SYS_FSYNC, unix.SYS_RENAMEAT}
	rotating  = []int{unix.SYS_RENAMEAT, unix.SYS_FSYNC}
	talking   = []int{unix.SYS_WRITE}
	listening = []int{unix.SYS_WRITE, unix.SYS_READ}
	removing  = []int{unix.SYS_UNLINKAT}
)

// killPoints are in the order in which a reading passes them. Between two that
// follow each other nothing is done that a crash could tell apart.
var killPoints = []killPoint{
	{"append: before its data is written", false, 40, appending, writesData},
	{"append: data written, not synced", true, 40, appending, writesData},
	{"append: data synced, before the meta page", true, 40, appending, syncsData},
	{"append: meta page written, not synced", true, 40, appending, writesMeta},
	{"append: meta page synced", true, 40, appending, syncsMeta},
	{"release: before held bytes leave", false, 40, talking, acknowledges},
	{"release: held bytes left, before the forward", true, 40, talking, acknowledges},
	{"forward: before records leave", false, 8, talking, produces},
	{"forward: records left, before Kafka answers", true, 8, talking, produces},
	{"confirm: Kafka has answered", true, 3, listening, hearsKafka},
	{"confirm: before the positions are written", false, 3, positing, writesPositions},
	{"confirm: positions written, not synced", true, 3, positing, writesPositions},
	{"confirm: positions synced", true, 3, positing, syncsPositions},
	{"prepare: file made", true, 2, preparing, prepares(unix.SYS_OPENAT)},
	{"prepare: first pages synced", true, 2, preparing, prepares(unix.SYS_FDATASYNC)},
	{"prepare: space reserved", true, 2, preparing, prepares(unix.SYS_FALLOCATE)},
	{"prepare: file synced", true, 2, preparing, prepares(unix.SYS_FSYNC)},
	{"prepare: before the rename", false, 2, preparing, renamesTo("next.seg")},
	{"prepare: renamed, directory not synced", true, 2, preparing, renamesTo("next.seg")},
	{"prepare: directory synced", true, 2, preparing, syncsAfter("next.seg")},
	{"rotate: before the rename", false, 2, rotating, renamesTo(segmentPattern)},
	{"rotate: renamed, directory not synced", true, 2, rotating, renamesTo(segmentPattern)},
	{"rotate: directory synced, no record yet", true, 2, rotating, syncsAfter(segmentPattern)},
	{"unlink: before it", false, 2, removing, removesSegment},
	{"unlink: after it", true, 2, removing, removesSegment},
}

// A sight is what the tracer remembers of earlier calls.
type sight struct {
	meta    map[string]bool // of a segment: what was written last is a meta page
	renamed string          // name that a file got last
	kafka   map[string]bool // sockets over which records left
}

func newSight() sight { return sight{meta: map[string]bool{}, kafka: map[string]bool{}} }

func (s *sight) note(c *systemCall) {
	switch {
	case c.number == unix.SYS_PWRITE64:
		s.meta[c.path] = c.args[3] < firstDataPage
	case c.number == unix.SYS_RENAMEAT:
		s.renamed = filepath.Base(c.to)
	case produces(c, s):
		s.kafka[c.path] = true
	}
}

// firstDataPage of a bbolt file: the two before it are its meta pages.
const firstDataPage = 2 * 4096

const segmentPattern = `\d{20}\.seg`

var segmentName = regexp.MustCompile(`^` + segmentPattern + `$`)

func isSegment(path string) bool { return segmentName.MatchString(filepath.Base(path)) }

func writesData(c *systemCall, _ *sight) bool {
	return c.number == unix.SYS_PWRITE64 && isSegment(c.path) && c.args[3] >= firstDataPage
}

func writesMeta(c *systemCall, _ *sight) bool {
	return c.number == unix.SYS_PWRITE64 && isSegment(c.path) && c.args[3] < firstDataPage
}

func syncsData(c *systemCall, seen *sight) bool {
	return c.number == unix.SYS_FDATASYNC && isSegment(c.path) && !seen.meta[c.path]
}

func syncsMeta(c *systemCall, seen *sight) bool {
	return c.number == unix.SYS_FDATASYNC && isSegment(c.path) && seen.meta[c.path]
}

func isSocket(c *systemCall) bool { return strings.HasPrefix(c.path, "socket:") }

func acknowledges(c *systemCall, _ *sight) bool {
	return c.number == unix.SYS_WRITE && isSocket(c) && len(c.head) > 1 && c.head[1] >= 2 && (c.head[0] == puback || c.head[0] == pubrec)
}

// produces knows Kafka's request by its head: size, then key 0 and a version.
// No packet of MQTT begins with a zero.
func produces(c *systemCall, _ *sight) bool {
	return c.number == unix.SYS_WRITE && isSocket(c) && len(c.head) == 8 && c.head[0] == 0 && binary.BigEndian.Uint16(c.head[4:]) == 0
}

func hearsKafka(c *systemCall, seen *sight) bool {
	return c.number == unix.SYS_READ && seen.kafka[c.path]
}

func writesPositions(c *systemCall, _ *sight) bool {
	return c.number == unix.SYS_PWRITE64 && filepath.Base(c.path) == "positions"
}

func syncsPositions(c *systemCall, _ *sight) bool {
	return c.number == unix.SYS_FDATASYNC && filepath.Base(c.path) == "positions"
}

func prepares(number int) func(*systemCall, *sight) bool {
	return func(c *systemCall, _ *sight) bool {
		return c.number == number && filepath.Base(c.path) == "next.seg.tmp"
	}
}

func renamesTo(pattern string) func(*systemCall, *sight) bool {
	name := regexp.MustCompile(`^` + pattern + `$`)
	return func(c *systemCall, _ *sight) bool {
		return c.number == unix.SYS_RENAMEAT && name.MatchString(filepath.Base(c.to))
	}
}

func syncsAfter(pattern string) func(*systemCall, *sight) bool {
	name := regexp.MustCompile(`^` + pattern + `$`)
	return func(c *systemCall, seen *sight) bool {
		return c.number == unix.SYS_FSYNC && filepath.Base(c.path) == "buffer" && name.MatchString(seen.renamed)
	}
}

func removesSegment(c *systemCall, _ *sight) bool {
	return c.number == unix.SYS_UNLINKAT && isSegment(c.path)
}
