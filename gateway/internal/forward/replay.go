package forward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/reading"
)

// A ReplayRange is what Replay sends again: the numbers From through To, both
// included. To is brought down to the last confirmed number; 0 means that one.
type ReplayRange struct {
	From, To uint64
	Device   string // only the records with this key; "": all
	Reason   string // for the event, in words; "": "command"
}

// ReplayProgress is how far a replay is.
type ReplayProgress struct {
	From, To uint64 // what is sent again, To being confirmed
	Through  uint64 // all through here is done; From-1 at the beginning
	Sent     uint64 // records that Kafka has confirmed again
	Missing  uint64 // numbers that are no longer on the card, of whatever device
}

// Errors of Replay.
var (
	ErrReplayBusy = errors.New("another replay is under way")
	ErrStopped    = errors.New("the forwarder has stopped")
)

// Replay sends confirmed records again, with the ids that they had and marked as
// replayed, while new ones go on between its windows. It waits, also for Kafka,
// until that is done, ctx ends (what is in flight still goes out) or the
// forwarder stops (ErrStopped). One replay runs at a time; a second one gets
// ErrReplayBusy. report, which may be nil, is called by this goroutine after
// some windows. Events tell the range when the replay begins and when it ends.
func (f *Forwarder) Replay(ctx context.Context, r ReplayRange, report func(ReplayProgress)) (ReplayProgress, error) {
	r.From, r.To = max(r.From, 1), cmp.Or(r.To, math.MaxUint64)
	r.Reason = cmp.Or(r.Reason, "command")
	if r.From > r.To {
		return ReplayProgress{}, fmt.Errorf("replay from %d to %d: the range is empty", r.From, r.To)
	}
	job := &replay{ReplayRange: r, moved: make(chan struct{}, 1), done: make(chan struct{})}
	if err := f.desk.put(job); err != nil {
		return ReplayProgress{}, fmt.Errorf("replay from %d: %w", r.From, err)
	}
	for {
		select {
		case <-job.moved:
			if report != nil {
				report(job.now())
			}
		case <-job.done:
			return job.now(), job.err
		case <-ctx.Done():
			f.desk.cancel(job)
			return job.now(), fmt.Errorf("replay from %d: %w", r.From, context.Cause(ctx))
		}
	}
}

// A replay is one on its way.
type replay struct {
	ReplayRange
	moved chan struct{} // progress has grown; room for one
	done  chan struct{} // closed by the sending goroutine
	err   error         // why it ended early; once done is closed

	// The sending goroutine's.
	begun, told bool
	lost        bool   // Kafka has lost a part of it
	handed      uint64 // last number that was given to the client

	mu        sync.Mutex
	progress  ReplayProgress
	cancelled bool
	taken     bool // by the sending goroutine
}

func (r *replay) now() ReplayProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}

func (r *replay) isCancelled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancelled
}

// begin settles once what is sent again: nothing that is not confirmed, for that
// will come by itself.
func (r *replay) begin(confirmed uint64) ReplayProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun || r.lost {
		r.begun, r.lost = true, false
		r.progress = ReplayProgress{From: r.From, To: min(r.To, confirmed), Through: r.From - 1}
	}
	return r.progress
}

func (r *replay) advance(through, sent, missing uint64) {
	r.mu.Lock()
	r.progress.Through = max(r.progress.Through, through)
	r.progress.Sent += sent
	r.progress.Missing += missing
	r.mu.Unlock()
	select {
	case r.moved <- struct{}{}:
	default: // it has not yet looked at the last step
	}
}

// A replayDesk hands one replay at a time to the sending goroutine.
type replayDesk struct {
	call chan struct{} // there is a new one; room for one

	mu     sync.Mutex
	job    *replay // nil: none is under way
	closed bool
}

func (d *replayDesk) put(job *replay) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return ErrStopped
	case d.job != nil:
		return ErrReplayBusy
	}
	d.job = job
	select {
	case d.call <- struct{}{}:
	default: // nobody has answered the last call
	}
	return nil
}

// take returns the replay that is under way, if any.
func (d *replayDesk) take() *replay {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job != nil {
		d.job.mu.Lock()
		d.job.taken = true
		d.job.mu.Unlock()
	}
	return d.job
}

// cancel withdraws a replay. One that has begun ends with its present window.
func (d *replayDesk) cancel(job *replay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	job.mu.Lock()
	defer job.mu.Unlock()
	job.cancelled = true
	if d.job == job && !job.taken {
		d.job = nil
	}
}

func (d *replayDesk) end(job *replay, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.job = nil
	job.err = err
	close(job.done)
}

func (d *replayDesk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.job != nil {
		d.job.err = ErrStopped
		close(d.job.done)
		d.job = nil
	}
}

// replayWindow sends the next window of job.
func (f *Forwarder) replayWindow(ctx context.Context, c *client, job *replay) error {
	p := job.begin(f.confirmed)
	next := p.Through + 1
	switch {
	case job.isCancelled():
		f.endReplay(job, "cancelled")
		return nil
	case next > p.To:
		f.endReplay(job, "done")
		return nil
	}
	f.status.set(Replaying)
	defer f.status.set(Idle)
	records := int(min(p.To-next+1, uint64(f.o.MaxWindowRecords)))
	part, err := f.readAgain(ctx, next, records)
	if err != nil {
		return err
	}
	if part.Gap == nil && len(part.Records) == 0 {
		// The end of what was confirmed is no longer there, or could not be
		// read just now.
		f.endReplay(job, "the card no longer holds number "+fmt.Sprint(next))
		return nil
	}
	w := &f.again
	missing := f.fillReplay(w, part, job, p.To)
	if len(w.items) > 0 {
		f.tellReplay(job)
	}
	job.handed = w.last
	if err := f.delivery.run(ctx, c, w); err != nil {
		return err
	}
	if err := f.lookForRewind(ctx, c, w); err != nil {
		return err
	}
	f.positions.advance(w.items)
	f.status.count(w.items, f.maker.topics)
	f.write()
	if !job.lost {
		job.advance(w.last, w.confirmedItems(), missing)
	}
	return nil
}

func (w *window) confirmedItems() (n uint64) {
	for i := range w.items {
		if w.items[i].confirmed() {
			n++
		}
	}
	return n
}

// replayLost makes a replay begin again: Kafka has lost records, and among them may
// be some that it had just got for the second time.
func (f *Forwarder) replayLost() {
	if job := f.desk.take(); job != nil && job.begun {
		job.lost = true
	}
}

// fillReplay makes w of what job wants of part, and returns how many numbers are
// gone from the card.
func (f *Forwarder) fillReplay(w *window, part buffer.Window, job *replay, to uint64) (missing uint64) {
	if part.Gap == nil {
		f.replay(w, part, func(it *item) bool { return job.Device == "" || string(it.record.Key) == job.Device })
		return 0
	}
	g := *part.Gap
	g.Last = min(g.Last, to)
	missing = g.Last - g.First + 1
	if g.Reason != buffer.Expired && job.Device == "" {
		f.replayGap(w, g)
		return missing
	}
	w.reset(g.Stream, g.First)
	w.last = g.Last
	return missing
}

// tellReplay stores the event of the beginning, before the first record leaves:
// after a crash it is the only one.
func (f *Forwarder) tellReplay(job *replay) {
	if job.told {
		return
	}
	job.told = true
	p := job.now()
	f.o.Log.Info("sending confirmed records again", "from", p.From, "to", p.To, "device", job.Device, "reason", job.Reason)
	f.o.Event(reading.Event{Type: reading.Replayed, Device: job.Device, Fields: []reading.Field{
		{Name: "state", Value: "begun"}, {Name: "from", Value: p.From}, {Name: "to", Value: p.To},
		{Name: "reason", Value: job.Reason},
	}})
}

// endReplay gives the desk free and tells what was sent.
func (f *Forwarder) endReplay(job *replay, state string) {
	var err error
	if state != "done" {
		err = fmt.Errorf("replay from %d: %s", job.From, state)
	}
	f.desk.end(job, err)
	f.tellReplayEnd(job, state)
}

func (f *Forwarder) tellReplayEnd(job *replay, state string) {
	if !job.told {
		return
	}
	p := job.now()
	to := max(p.Through, job.handed)
	f.o.Log.Info("confirmed records were sent again", "from", p.From, "to", to, "records", p.Sent, "state", state)
	f.o.Event(reading.Event{Type: reading.Replayed, Device: job.Device, Fields: []reading.Field{
		{Name: "state", Value: state}, {Name: "from", Value: p.From}, {Name: "to", Value: to},
		{Name: "count", Value: p.Sent}, {Name: "reason", Value: job.Reason},
	}})
}

// stopReplays turns away those who wait and those who come later.
func (f *Forwarder) stopReplays() {
	if job := f.desk.take(); job != nil {
		f.tellReplayEnd(job, "stopped")
	}
	f.desk.close()
}
