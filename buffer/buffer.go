package buffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Buffer is a queue of records on disk. Its methods are safe for concurrent
// use.
type Buffer struct {
	dir  string
	o    Options
	ops  *fileOps
	lock *os.File
	q    *queue
	enc  *encoder // the committer's

	chore    chan struct{} // one slot: the keeper has something to look at
	prepared chan struct{} // one slot: a segment was prepared
	running  chan struct{} // one slot: taken while Run or Close works on the files
	stop     chan struct{} // closed by Close
	stopOnce sync.Once

	// Locks are taken in this order: keeping, reader.mu, positionsMu, mu; the
	// queue has its own, which is never held while another one is taken.
	keeping     sync.Mutex // held by whoever prepares and unlinks
	reader      reader
	positionsMu sync.Mutex // serialises writers of the positions
	posFile     *positionsFile

	mu           sync.Mutex // guards what follows; held only for moments
	segments     []*segment // by number
	active       *segment   // the last one, when it takes blocks; nil: none does yet
	next         string     // path of the prepared segment; "": none
	short        string     // why none can be prepared; "": one can
	prepareAt    time.Time  // not tried before
	prepareWait  time.Duration
	damaged      []string // files set aside, oldest first
	damagedBytes int64    // what they take
	positions    positions
	dirty        dirtiness
	written      uint64 // confirmed number in the positions on the card
	pin          uint64 // 0: nothing is in flight
	fill         filling

	stream  uint32      // of new records; never changes
	starved atomic.Bool // a commit found the card full
	count   counters
}

type counters struct {
	commits, written, dropped atomic.Uint64
	syncNanos, taken          atomic.Int64
}

// Append queues records in order, under consecutive numbers, and returns the
// last one. It copies them. They are durable when Wait says so, at the latest after
// CommitEvery. While the queue is full it waits up to AppendTimeout for room,
// then returns ErrBusy. When the card is full under the policy Refuse it returns
// ErrFull at once. After an error none of the records is queued.
func (b *Buffer) Append(ctx context.Context, records ...[]byte) (last uint64, err error) {
	return b.q.append(ctx, records, b.o.AppendTimeout)
}

// TryAppend is Append for those who cannot wait: ErrBusy while the queue is full.
func (b *Buffer) TryAppend(records ...[]byte) (last uint64, err error) {
	return b.q.tryAppend(records)
}

// Wait returns nil when all records through number survive a power cut, if the
// card honours a flush. Asking makes the committer commit at once.
func (b *Buffer) Wait(ctx context.Context, number uint64) error { return b.q.wait(ctx, number) }

// Durable returns the number through which all records survive a power cut, and
// a channel that is closed when it grows. It asks for no commit.
func (b *Buffer) Durable() (number uint64, changed <-chan struct{}) { return b.q.durableNow() }

// Confirm says that all records through number arrived where they belong and
// need not be kept. A lower number than before changes nothing but the blob,
// which is kept with the number; it is the caller's, at most MaxBlob bytes. It
// is on the card within a second or so: after a crash, Confirmed may return an
// earlier pair.
func (b *Buffer) Confirm(number uint64, blob []byte) error {
	if len(blob) > MaxBlob {
		return fmt.Errorf("confirm %d: blob of %d bytes: %w", number, len(blob), ErrTooLarge)
	}
	durable, _, _ := b.q.numbers()
	if number > durable {
		return fmt.Errorf("confirm %d: only records through %d are durable", number, durable)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.positions.confirmed = max(b.positions.confirmed, number)
	b.positions.blob = append([]byte(nil), blob...)
	if !b.dirty.confirmed { // else the keeper knows
		b.dirty.confirmed = true
		b.callKeeper()
	}
	return nil
}

// Confirmed returns the last confirmed number and a copy of its blob.
func (b *Buffer) Confirmed() (number uint64, blob []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.positions.confirmed, append([]byte(nil), b.positions.blob...)
}

// SetNote keeps a second blob of at most MaxNote bytes, on the card within
// CommitEvery.
func (b *Buffer) SetNote(blob []byte) error {
	if len(blob) > MaxNote {
		return fmt.Errorf("set note of %d bytes: %w", len(blob), ErrTooLarge)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.positions.note = append([]byte(nil), blob...)
	if b.dirty.noteSince.IsZero() {
		b.dirty.noteSince = time.Now()
		b.callKeeper()
	}
	return nil
}

// Note returns a copy of what SetNote kept.
func (b *Buffer) Note() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]byte(nil), b.positions.note...)
}

// Replayed returns the number through which records may have been sent before
// because the positions were lost. Whoever sends them marks them so.
func (b *Buffer) Replayed() (through uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.positions.replayed
}

// Pin keeps the segment that holds number from, and the one behind it, from
// being dropped or unlinked: from is the lowest number in flight. 0: nothing is.
func (b *Buffer) Pin(from uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pin = from
}

// Stats is what a person or a metric wants to know of a buffer.
type Stats struct {
	Stream       string
	Oldest       uint64 // lowest number on the card
	Next         uint64 // number that the next record gets
	Durable      uint64
	Confirmed    uint64
	Unsent       uint64 // durable and not confirmed
	Bytes        int64  // on the card, all files
	UnsentBytes  int64  // of segments that hold unconfirmed records
	Limit        int64
	Queued       int64 // bytes appended and not yet durable
	Segments     int
	Commits      uint64
	BytesWritten uint64  // handed to the card since the start
	SyncSeconds  float64 // spent in commits since the start
	Damaged      int     // files that were set aside and lie in the directory
	Dropped      uint64  // records given up for newer ones since the start
	DaysLeft     float64 // until full at the rate of the last hour; 0: not known
	Full         bool    // new records are turned away
	Err          error   // why: ErrFull, ErrBroken, ErrClosed
}

// Stats returns the present figures.
func (b *Buffer) Stats() Stats {
	durable, next, queued := b.q.numbers()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{
		Stream: streamName(b.stream), Next: next, Durable: durable, Oldest: next,
		Confirmed: b.positions.confirmed, Unsent: durable - min(durable, b.positions.confirmed),
		Bytes: b.bytes(), UnsentBytes: b.unsentBytes(), Limit: b.o.Limit, Queued: queued, Segments: len(b.segments), Damaged: len(b.damaged),
		Commits: b.count.commits.Load(), BytesWritten: b.count.written.Load(),
		SyncSeconds: time.Duration(b.count.syncNanos.Load()).Seconds(), Dropped: b.count.dropped.Load(),
		DaysLeft: b.fill.daysLeft(b.o.Limit - b.unsentBytes()),
		Err:      b.q.refusal(),
	}
	s.Full = errors.Is(s.Err, ErrFull)
	if len(b.segments) > 0 {
		s.Oldest = b.segments[0].first
	}
	return s
}

func streamName(stream uint32) string { return fmt.Sprintf("%08x", stream) }

func (b *Buffer) callKeeper() {
	select {
	case b.chore <- struct{}{}:
	default: // it has not yet looked at the last call
	}
}

// Close ends Run, makes durable what is queued and gives the directory back. A
// buffer that was closed is not announced as unclean by the next Open.
func (b *Buffer) Close() error {
	err := ErrClosed
	b.stopOnce.Do(func() { err = b.close() })
	return err
}

func (b *Buffer) close() error {
	close(b.stop)
	b.running <- struct{}{} // waits for Run; it stays taken
	b.q.shut(ErrClosed)
	var errs []error
	if !b.q.isDead() {
		errs = append(errs, b.flush(), b.writeClean())
	}
	b.q.kill(ErrClosed)
	errs = append(errs, b.closeFiles(), b.posFile.close(), b.lock.Close())
	return errors.Join(errs...)
}

// writeClean writes the positions with the mark of a clean stop, unless
// something stays behind in the queue.
func (b *Buffer) writeClean() error {
	durable, next, _ := b.q.numbers()
	b.mu.Lock()
	b.positions.clean = durable+1 == next
	b.mu.Unlock()
	return b.writePositions()
}

func (b *Buffer) closeFiles() error {
	b.reader.mu.Lock()
	defer b.reader.mu.Unlock()
	b.reader.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, s := range b.segments {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}
