package buffer

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// A Policy says what happens to new records when the buffer is full.
type Policy int

// The policies.
const (
	DropOldest Policy = iota // the oldest unconfirmed records give way; a Gap says so
	Refuse                   // Append returns ErrFull until there is room
)

// String names the policy as the configuration does.
func (p Policy) String() string {
	if p == Refuse {
		return "refuse"
	}
	return "drop_oldest"
}

// Options say how a buffer behaves. The zero value is what a gateway at home
// needs.
type Options struct {
	// Limit bounds the bytes on the card, in files of SegmentSize; there are at
	// least six. 0: 2 GiB or a quarter of the file system, whichever is less.
	Limit int64
	// Reserve is free space of the file system, in bytes, that is left alone.
	// 0: 64 MiB or 5 %, whichever is less; negative: none.
	Reserve int64
	// Keep is how long confirmed records stay for a replay, as long as they take
	// at most half of Limit. 0: 7 days; negative: not at all.
	Keep     time.Duration
	WhenFull Policy
	// CommitEvery is the longest time until a record is durable when nobody
	// waits for it, and until a changed note is. 0: 5 s.
	CommitEvery time.Duration
	// SegmentSize of one file, in bytes, rounded down to a power of two. 0: 32 MiB,
	// or a sixth of a small Limit.
	SegmentSize int64
	// QueueBytes bounds what is appended and not yet durable. 0: 8 MiB.
	QueueBytes int64
	// AppendTimeout is how long Append waits for room in the queue. 0: 10 s.
	AppendTimeout time.Duration
	// Board identifies the computer. Another one than last time means that the
	// card was cloned or moved, and starts a new stream. "": not known.
	Board string
	// Now is the wall clock and whether it is right. nil: the system's, trusted.
	Now func() (wall time.Time, trusted bool)
	// Check reads a file of the buffer through, as CheckFile does, in a child
	// process that may die of what it finds there. Any error but a shortage of
	// memory or descriptors sets the file aside. nil: CheckFile itself.
	Check func(path string) error
	// Notify is told what a person must know. It must not block nor call the
	// buffer, and is called from Open as well, before there is one.
	Notify func(Notice)
	// Beat is called whenever the committer's loop turns, at least once per
	// CommitEvery, however long the queue: a watchdog can be fed by it.
	Beat func()
	// BeforeSync is a fault point for tests and drills: it runs before each
	// commit. While it blocks, nothing becomes durable; its error is taken for
	// one of the card.
	BeforeSync func() error
}

const (
	pageSize    = 4096      // always: the 16 KiB pages of some kernels would cost four times the wear
	minSegment  = 256 << 10 // bytes; smaller ones would be mostly overhead
	minSegments = 6         // newest, prepared, two pinned by the forwarder, and two to drop or refill
	maxSegment  = 512 << 20 // bytes; it must fit into the address space of a 32-bit board
	maxBlock    = 1 << 20   // bytes of records in a block before compression
	maxSpare    = 512 << 10 // bytes; a larger buffer is not kept for reuse

	// MaxRecord is the longest record in bytes.
	MaxRecord = maxBlock
	// MaxBlob and MaxNote bound what Confirm and SetNote take, in bytes.
	MaxBlob = 64 << 10
	MaxNote = 16 << 10

	maxRecordOverhead = 8 // bytes of a length
)

// withDefaults fills in what is zero and turns down what cannot work.
func (o Options) withDefaults(fs space) (Options, error) {
	if o.Limit == 0 {
		o.Limit = 2 << 30
		if fs.total > 0 {
			o.Limit = min(o.Limit, fs.total/4)
		}
	}
	if o.Reserve == 0 {
		o.Reserve = min(64<<20, fs.total/20)
	}
	if o.Keep == 0 {
		o.Keep = 7 * 24 * time.Hour
	}
	orDuration(&o.CommitEvery, 5*time.Second)
	orDuration(&o.AppendTimeout, 10*time.Second)
	if o.SegmentSize == 0 {
		o.SegmentSize = max(min(32<<20, o.Limit/minSegments), minSegment)
	}
	// bbolt maps a file in powers of two, and finds one of another size full early.
	o.SegmentSize = 1 << (bits.Len64(uint64(max(o.SegmentSize, 1))) - 1)
	if o.QueueBytes == 0 {
		o.QueueBytes = 8 << 20
	}
	o.fillFunctions()
	return o, o.validate()
}

func orDuration(d *time.Duration, standard time.Duration) {
	if *d == 0 {
		*d = standard
	}
}

func (o *Options) fillFunctions() {
	if o.Now == nil {
		o.Now = func() (time.Time, bool) { return time.Now(), true }
	}
	if o.Check == nil {
		o.Check = CheckFile
	}
	if o.Notify == nil {
		o.Notify = func(Notice) {}
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	if o.BeforeSync == nil {
		o.BeforeSync = func() error { return nil }
	}
}

func (o Options) validate() error {
	switch {
	case o.SegmentSize < minSegment || o.SegmentSize > maxSegment:
		return fmt.Errorf("segment size %d is outside %d..%d bytes", o.SegmentSize, minSegment, maxSegment)
	case o.Limit < minSegments*o.SegmentSize:
		return fmt.Errorf("limit %d is less than six segments of %d bytes", o.Limit, o.SegmentSize)
	case o.CommitEvery < 0 || o.AppendTimeout < 0:
		return errors.New("commit interval and append timeout cannot be negative")
	case o.QueueBytes < 64<<10:
		return fmt.Errorf("queue of %d bytes is less than 64 KiB", o.QueueBytes)
	}
	return nil
}

// maxBlock bounds the records of one block so that even incompressible ones
// leave room for several blocks in a segment.
func (o Options) maxBlock() int { return int(min(maxBlock, o.SegmentSize/4)) }
