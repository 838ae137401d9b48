package buffer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run commits what is appended and keeps the files in order until ctx ends or
// the buffer is closed; then it commits once more and returns nil. Any other
// error is final for this process: nothing after it becomes durable, and the
// next Open checks the files. It calls ready when records can be taken, or
// cannot for lack of room.
func (b *Buffer) Run(ctx context.Context, ready func()) error {
	if b.stopped() {
		return fmt.Errorf("run buffer: %w", ErrClosed)
	}
	select {
	case b.running <- struct{}{}:
		defer func() { <-b.running }()
	default:
		return errors.New("run buffer: it runs already, or is being closed")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := b.chores(); err != nil {
		return b.fail(err)
	}
	ready()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.commitLoop(ctx) })
	g.Go(func() error { return b.keepLoop(ctx) })
	g.Go(func() error { // Close ends the other two
		defer cancel()
		select {
		case <-ctx.Done():
		case <-b.stop:
		}
		return nil
	})
	err := g.Wait()
	if err == nil {
		err = errors.Join(b.flush(), b.writePositions())
	}
	if err != nil {
		return b.fail(err)
	}
	return nil
}

func (b *Buffer) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// fail makes err final; the first one counts.
func (b *Buffer) fail(err error) error {
	if !errors.Is(err, ErrBroken) {
		err = fmt.Errorf("%w: %w", ErrBroken, explain(b.dir, err))
	}
	b.q.kill(err)
	return err
}

func (b *Buffer) commitLoop(ctx context.Context) error {
	t := time.NewTimer(b.o.CommitEvery)
	defer t.Stop()
	for {
		b.o.Beat()
		batch, wait := b.q.take(b.o.CommitEvery, false)
		switch {
		case ctx.Err() != nil || b.q.isDead():
			return b.q.deathCause()
		case batch != nil:
			if err := b.commit(ctx, batch); err != nil {
				return err
			}
			giveWay()
			continue
		case wait == 0:
			wait = b.o.CommitEvery
		}
		t.Reset(wait)
		select {
		case <-ctx.Done():
		case <-b.q.dead:
		case <-b.q.wake:
		case <-t.C:
		}
	}
}

// giveWay lets those who were woken by a commit append again in time for the next
// one: each commit then carries nearly twice as much. The scheduler runs at most
// 61 of them before it comes back here, hence twice.
func giveWay() {
	runtime.Gosched()
	runtime.Gosched()
}

// commit writes batch. Without room on the card it keeps it, turns new records
// away and tries again until there is room or ctx ends.
func (b *Buffer) commit(ctx context.Context, batch *batch) error {
	for {
		err := b.write(batch)
		if !lacksRoom(err) {
			return err
		}
		if !b.waitForRoom(ctx, err) {
			return nil
		}
	}
}

func lacksRoom(err error) bool { return errors.Is(err, errNoRoom) || isFull(err) }

// waitForRoom returns true when the keeper has prepared a segment, or after a
// while, because room may have come from elsewhere; false when ctx ended. New
// records are turned away once it is known that there is no room; as long as the
// keeper is only slow, they wait in the queue.
func (b *Buffer) waitForRoom(ctx context.Context, cause error) bool {
	if isFull(cause) {
		b.starved.Store(true)
	}
	b.callKeeper()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	if isFull(cause) || b.shortage() != "" {
		b.refuseNew(cause)
	}
	select {
	case <-b.prepared:
	case <-t.C:
		b.o.Beat()
	case <-ctx.Done():
		return false
	}
	return true
}

// flush commits all that is queued, when nobody else does. What the card has no
// room for stays behind, and the next start says so.
func (b *Buffer) flush() error {
	for {
		batch, _ := b.q.take(0, true)
		if batch == nil {
			return nil
		}
		if err := b.chores(); err != nil {
			return err
		}
		err := b.write(batch)
		if lacksRoom(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// write makes batch durable and takes it out of the queue. errNoRoom: there is
// neither room in the active segment nor a prepared one.
func (b *Buffer) write(batch *batch) error {
	stored := b.enc.encode(b.stream, batch.first, batch.count, batch.raw)
	if err := b.o.BeforeSync(); err != nil {
		return fmt.Errorf("commit %d: %w", batch.first, err)
	}
	err := errNoRoom
	if s := b.activeSegment(); s != nil {
		err = b.put(s, batch.first, stored)
	}
	if errors.Is(err, errNoRoom) {
		var s *segment
		if s, err = b.rotate(batch.first); err == nil {
			err = b.put(s, batch.first, stored)
		}
	}
	if err != nil {
		return fmt.Errorf("commit %d: %w", batch.first, err)
	}
	b.takeNew() // before those who waited hear of it and append again
	b.q.committed(batch)
	return nil
}

func (b *Buffer) activeSegment() *segment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active
}

func (b *Buffer) put(s *segment, number uint64, stored []byte) error {
	start := time.Now()
	written, taken, err := s.put(number, stored, b.ops.commit)
	if err != nil {
		return err
	}
	b.count.syncNanos.Add(int64(time.Since(start)))
	b.count.commits.Add(1)
	b.count.written.Add(uint64(written))
	b.count.taken.Add(taken)
	return nil
}
