package buffer

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Errors that callers tell apart.
var (
	ErrFull     = errors.New("buffer is full")                                         // no room on the card under this policy
	ErrBusy     = errors.New("buffer is busy: the card does not keep up")              // the queue stayed full
	ErrBroken   = errors.New("buffer is broken: the card failed; restart to check it") // final for the process
	ErrClosed   = errors.New("buffer is closed")
	ErrTooLarge = errors.New("record is too large")
	ErrLocked   = errors.New("buffer is in use by another process")
)

// A queue numbers records and holds them until they are durable. Its lock is
// the only one that Append takes.
type queue struct {
	maxBlock int
	limit    int64         // bytes
	wake     chan struct{} // one slot: the committer has something to look at

	mu      sync.Mutex
	next    uint64   // number of the next record
	durable uint64   // all through here survive a power cut
	wanted  uint64   // somebody waits for all through here
	batches []*batch // oldest first; the last one may be open
	open    bool     // the last batch takes more
	used    int64    // bytes queued and reserved
	waiting []*roomWaiter
	changed chan struct{} // closed when durable grows; nil: nobody asked
	refuse  error         // what Append returns instead of queueing: ErrFull, or why it is dead
	dead    chan struct{} // closed when nothing will become durable any more
	spare   []byte
}

// A batch becomes one block.
type batch struct {
	first  uint64
	count  int
	raw    []byte
	weight int64 // bytes of the queue it takes
	since  time.Time
	done   chan struct{} // closed when it is durable
}

func (b *batch) last() uint64 { return b.first + uint64(b.count) - 1 }

// A roomWaiter is an Append that waits for room. Room is given in the order of
// asking, so that a large record is not overtaken for ever.
type roomWaiter struct {
	weight int64
	ready  chan struct{} // closed when room is reserved for it, or err is set
	err    error
}

func newQueue(o Options, next uint64) *queue {
	return &queue{
		maxBlock: o.maxBlock(), limit: o.QueueBytes,
		next: next, durable: next - 1,
		wake: make(chan struct{}, 1), dead: make(chan struct{}),
	}
}

// weigh is what records take in the queue; too large ones are turned down.
func (q *queue) weigh(records [][]byte) (int64, error) {
	var n int64
	for _, r := range records {
		if len(r)+maxRecordOverhead > q.maxBlock {
			return 0, fmt.Errorf("%d bytes, at most %d: %w", len(r), q.maxBlock-maxRecordOverhead, ErrTooLarge)
		}
		n += int64(len(r)) + maxRecordOverhead
	}
	if n > q.limit {
		return 0, fmt.Errorf("%d bytes at once, at most %d: %w", n, q.limit, ErrTooLarge)
	}
	return n, nil
}

// tryAppend queues records if that is possible without waiting.
func (q *queue) tryAppend(records [][]byte) (uint64, error) {
	weight, err := q.weigh(records)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		return 0, q.refuse
	}
	if !q.fits(weight) {
		return 0, ErrBusy
	}
	q.used += weight
	return q.put(records), nil
}

func (q *queue) fits(weight int64) bool { return len(q.waiting) == 0 && q.used+weight <= q.limit }

func (q *queue) append(ctx context.Context, records [][]byte, timeout time.Duration) (uint64, error) {
	last, err := q.tryAppend(records)
	if !errors.Is(err, ErrBusy) {
		return last, err
	}
	weight, _ := q.weigh(records) // tryAppend has taken them
	w := q.enqueue(weight)
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-w.ready:
	case <-ctx.Done():
		return 0, q.giveUp(w, ctx.Err())
	case <-t.C:
		return 0, q.giveUp(w, ErrBusy)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := cmp.Or(w.err, q.refuse); err != nil {
		q.unreserve(w)
		return 0, err
	}
	return q.put(records), nil
}

func (q *queue) enqueue(weight int64) *roomWaiter {
	w := &roomWaiter{weight: weight, ready: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, w)
	q.grant() // room may have come since it was asked for
	q.signal()
	return w
}

// giveUp takes a waiter out of the line, with what it was given meanwhile.
func (q *queue) giveUp(w *roomWaiter, cause error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.waiting {
		if other == w {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			q.grant() // a smaller one behind it may fit
			return cause
		}
	}
	q.unreserve(w)
	return cmp.Or(w.err, cause)
}

// unreserve gives back the room of a waiter that was called.
func (q *queue) unreserve(w *roomWaiter) {
	if w.err == nil {
		q.used -= w.weight
		q.grant()
	}
}

// grant calls those at the head of the line for whom there is room now.
func (q *queue) grant() {
	for len(q.waiting) > 0 {
		w := q.waiting[0]
		switch {
		case q.refuse != nil:
			w.err = q.refuse
		case q.used+w.weight > q.limit:
			return
		default:
			q.used += w.weight
		}
		q.waiting = q.waiting[1:]
		close(w.ready)
	}
}

// put numbers and copies records whose room is reserved.
func (q *queue) put(records [][]byte) uint64 {
	if len(q.batches) == 0 && len(records) > 0 {
		defer q.signal() // the committer must learn from when it has to count
	}
	for _, r := range records {
		b := q.batchFor(len(r) + maxRecordOverhead)
		b.raw = binary.AppendUvarint(b.raw, uint64(len(r)))
		b.raw = append(b.raw, r...)
		b.count++
		b.weight += int64(len(r)) + maxRecordOverhead
		q.next++
	}
	if q.used > q.limit/4 {
		q.signal()
	}
	return q.next - 1
}

func (q *queue) batchFor(size int) *batch {
	if q.open {
		if b := q.batches[len(q.batches)-1]; len(b.raw)+size <= q.maxBlock {
			return b
		}
	}
	b := &batch{first: q.next, raw: q.spare[:0], since: time.Now(), done: make(chan struct{})}
	q.spare = nil
	q.batches, q.open = append(q.batches, b), true
	return b
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // it has not yet looked at the last signal
	}
}

// take returns the oldest batch if it is time to commit it, else how long that
// may still be put off; 0: there is none.
func (q *queue) take(every time.Duration, now bool) (*batch, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return nil, 0
	}
	b := q.batches[0]
	left := every - time.Since(b.since)
	if !now && left > 0 && q.wanted <= q.durable && q.used <= q.limit/4 && len(q.batches) == 1 && len(q.waiting) == 0 {
		return nil, left
	}
	if len(q.batches) == 1 {
		q.open = false
	}
	return b, 0
}

// committed takes b, the oldest batch, out of the queue: it is durable.
func (q *queue) committed(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batches = q.batches[1:]
	if len(q.batches) == 0 {
		q.batches = nil
	}
	q.durable = b.last()
	q.used -= b.weight
	if q.spare == nil && cap(b.raw) <= maxSpare {
		q.spare = b.raw
	}
	close(b.done)
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
	q.grant()
}

// kill ends all waiting with err: nothing becomes durable any more. The first
// reason stays.
func (q *queue) kill(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isDead() {
		return
	}
	q.refuse = err
	close(q.dead)
	q.grant()
}

func (q *queue) isDead() bool {
	select {
	case <-q.dead:
		return true
	default:
		return false
	}
}

// wait blocks until all through number are durable.
func (q *queue) wait(ctx context.Context, number uint64) error {
	done, err := q.demand(number)
	if done == nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-q.dead:
	}
	select {
	case <-done: // it became durable before the end
		return nil
	default:
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.refuse
	}
}

// demand asks for a commit through number and returns what is closed after it.
// Each batch has its own channel, so that a commit wakes only those it serves.
func (q *queue) demand(number uint64) (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number <= q.durable {
		return nil, nil
	}
	if number >= q.next {
		return nil, fmt.Errorf("wait for number %d: the last one given is %d", number, q.next-1)
	}
	if q.wanted < number {
		q.wanted = number
		q.signal()
	}
	for _, b := range q.batches {
		if number <= b.last() {
			return b.done, nil
		}
	}
	return nil, fmt.Errorf("wait for number %d: it is in no batch", number)
}

func (q *queue) durableNow() (uint64, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.durable, q.changed
}

func (q *queue) numbers() (durable, next uint64, queued int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.durable, q.next, q.used
}

// deathCause is why the queue is dead; nil: it lives.
func (q *queue) deathCause() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.isDead() {
		return nil
	}
	return q.refuse
}

// refusal is what Append returns instead of queueing; nil: it queues.
func (q *queue) refusal() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refuse
}

// setFull makes Append fail with err; nil: it takes records again. It changes
// nothing once the queue is dead or closed.
func (q *queue) setFull(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil && !errors.Is(q.refuse, ErrFull) {
		return
	}
	q.refuse = err
	q.grant()
}

// shut turns new records away for good, while those queued may still become
// durable.
func (q *queue) shut(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isDead() {
		return
	}
	q.refuse = err
	q.grant()
}
