// Package forward brings what is durable in the buffer to Kafka.
//
// It guarantees: a number is confirmed to the buffer only once Kafka has
// confirmed it and all before it with acks=all; per device, records reach Kafka
// in the order of their numbers while the number of partitions stays the same;
// a record that Kafka refuses for good is in the dead-letter topic or explained
// by a gap event, and does not keep others waiting; missing numbers are
// explained; what Kafka lost after it had confirmed it is sent again from the
// replay window, marked as replayed. Whatever Kafka answers, and for however
// long it does not, memory stays bounded by three windows.
//
// It does not guarantee that a record arrives once: after a stop, a crash or a
// rebuilt client what was in flight comes again, with the same id. It does not
// know what a body says, and never decodes one.
package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
)

// A Forwarder is made once and run once.
type Forwarder struct {
	o       Options
	buffer  *buffer.Buffer
	clock   *clock.Clock
	maker   *maker
	status  *status
	witness *witness
	source  *source
	desk    replayDesk

	// The rest belongs to the sending goroutine.
	delivery  delivery
	current   *window // taken from the source and not yet settled
	again     window  // of a refill or a replay
	positions positions
	confirmed uint64 // all through here is in Kafka
	stalls    int    // clients in a row that were given up because nothing moved
	unread    int    // attempts in a row in which records could not be read back
	said      sayings
}

// sayings are log lines that must not come with every record or attempt.
type sayings struct {
	devices    bool // the devices topic is missing
	unreadable bool // records cannot be read back
	poison     time.Time
}

// New prepares a forwarder; it does not reach for Kafka before Run.
func New(o Options, b *buffer.Buffer, c *clock.Clock) *Forwarder {
	o = o.withDefaults()
	f := &Forwarder{
		o: o, buffer: b, clock: c,
		maker:   newMaker(o),
		status:  newStatus(o.Log),
		witness: newWitness(o),
	}
	f.source = newSource(o, b, c, f.maker, f.status)
	f.desk.call = make(chan struct{}, 1)
	f.delivery = newDelivery(f)
	return f
}

// Stats may be called at any time, also before Run.
func (f *Forwarder) Stats() Stats { return f.status.stats(f.maker.topics) }

// Run forwards until ctx ends, and then returns nil within about a second. Any
// error means that the options can never work, or that a client hangs so that
// only a new process helps. It is ready at once: whether Kafka is there says
// Stats.
func (f *Forwarder) Run(ctx context.Context, ready func()) error {
	defer f.stopReplays()
	if err := f.o.Validate(); err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	f.restore()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.source.run(ctx, f.confirmed+1) })
	g.Go(func() error { return f.send(ctx) })
	if ready != nil {
		ready()
	}
	return g.Wait()
}

// restore takes up where the last process stopped.
func (f *Forwarder) restore() {
	number, blob := f.buffer.Confirmed()
	p, err := parsePositions(blob)
	if err != nil {
		f.o.Log.Warn("kafka positions cannot be read; whether kafka lost records meanwhile is not known", "error", err)
	}
	p.keepOnly(f.maker.topics)
	f.positions, f.confirmed = p, number
	f.status.confirmed.Store(number)
}

// send keeps a client at work until ctx ends.
func (f *Forwarder) send(ctx context.Context) error {
	for try := 0; ctx.Err() == nil; {
		before := f.delivery.moved.Load()
		c, err := f.connect(ctx)
		if err == nil {
			err = errors.Join(f.session(ctx, c), c.close(ctx))
		}
		switch {
		case ctx.Err() != nil:
			return f.stop()
		case errors.Is(err, errStuck):
			return fmt.Errorf("forward: %w", err)
		}
		f.status.rebuilt.Add(1)
		f.status.block(f.because(err))
		try++
		if f.delivery.moved.Load() != before {
			try, f.stalls = 1, 0
		}
		if errors.Is(err, errStalled) {
			f.noteStall()
		}
		if sleep(ctx, f.o.Backoff(try)) != nil {
			break
		}
	}
	return f.stop()
}

// connect returns a client that found its topics. It tries for ever; the error
// is that of ctx, or errStuck.
func (f *Forwarder) connect(ctx context.Context) (*client, error) {
	var c *client
	for try := 1; ; try++ {
		var err error
		if c, err = f.open(ctx, c); err == nil {
			return c, nil
		}
		wait := f.o.Backoff(try)
		if errors.Is(err, errJustMade) {
			wait = justMadeWait
		} else if ctx.Err() == nil {
			f.status.block(f.because(err))
		}
		if c != nil && isAnswer(err) && classify(err) == rebuild {
			if stuck := c.close(ctx); stuck != nil {
				return nil, stuck
			}
			c = nil
		}
		if err := sleep(ctx, wait); err != nil {
			if c != nil {
				err = errors.Join(err, c.close(ctx))
			}
			return nil, err
		}
	}
}

// open makes a client, or takes the one that only could not reach Kafka, and
// looks for the topics. It returns the client in any case.
func (f *Forwarder) open(ctx context.Context, c *client) (*client, error) {
	f.witness.forget()
	if c == nil {
		var err error
		if c, err = f.newClient(); err != nil {
			return nil, err
		}
	}
	return c, f.ensureTopics(ctx, c)
}

// because prefers what the client saw below to what it made of it, unless Kafka
// itself has answered.
func (f *Forwarder) because(err error) error {
	var missing *topicMissing
	if cause := f.witness.lastCause(); cause != nil && !isAnswer(err) && !errors.As(err, &missing) {
		return cause
	}
	return err
}

// errStalled gives up a client in which nothing moves.
var errStalled = errors.New("nothing moved for too long")

// stallLimit grows while Kafka stays away, so that a client is not given up
// every other minute for days.
func (f *Forwarder) stallLimit() time.Duration { return f.o.Stalled << min(f.stalls, maxStalls) }

const maxStalls = 3 // doublings

// noteStall counts a client in which nothing moved, and says so for the first of
// them in a row.
func (f *Forwarder) noteStall() {
	if f.stalls == 0 {
		f.o.Log.Warn("no record got through to kafka; trying with a new client", "after", f.stallLimit())
	}
	f.stalls++
	f.status.stalled.Add(1)
}

// session sends window after window until the client has to go or ctx ends.
func (f *Forwarder) session(ctx context.Context, c *client) error {
	f.witness.away.Store(true)
	if err := f.lookForRewind(ctx, c, f.current); err != nil {
		return err
	}
	if f.current == nil {
		// There was nothing to refuse, so Kafka counts as back; with a window
		// it does once it takes that.
		f.takesAgain()
	}
	for {
		var err error
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case len(f.positions.refills) > 0:
			err = f.refill(ctx, c)
		case f.current != nil:
			err = f.settle(ctx, c)
		default:
			err = f.next(ctx, c)
		}
		if err != nil {
			return err
		}
	}
}

// next waits for something to do, and takes the window when it is one. While it
// waits, it looks after a Kafka that was away.
func (f *Forwarder) next(ctx context.Context, c *client) error {
	if job := f.desk.take(); job != nil {
		return f.takeTurns(ctx, c, job)
	}
	select {
	case f.current = <-f.source.ready:
	case <-f.desk.call:
	case <-f.witness.wake:
		return f.lookForRewind(ctx, c, nil)
	case <-ctx.Done():
	}
	return nil
}

// takeTurns sends one window of a replay and lets a new one, if there is any,
// come next.
func (f *Forwarder) takeTurns(ctx context.Context, c *client, job *replay) error {
	if err := f.replayWindow(ctx, c, job); err != nil {
		return err
	}
	select {
	case f.current = <-f.source.ready:
	default:
	}
	return nil
}

// settle sends the current window and confirms it.
func (f *Forwarder) settle(ctx context.Context, c *client) error {
	w := f.current
	f.buffer.Pin(w.first)
	f.status.begin(w)
	if err := f.delivery.run(ctx, c, w); err != nil {
		return err
	}
	if err := f.lookForRewind(ctx, c, w); err != nil {
		return err
	}
	f.advance(w, w.last)
	f.current = nil
	f.status.end()
	f.source.free <- w // has room: this window came from there
	f.buffer.Pin(0)
	f.write()
	return nil
}

// advance takes note that all of w through number is in Kafka.
func (f *Forwarder) advance(w *window, number uint64) {
	items := w.itemsTo(number)
	f.positions.advance(items)
	f.status.count(items, f.maker.topics)
	f.confirmed = max(f.confirmed, number)
	f.status.confirmed.Store(f.confirmed)
}

// write hands the positions to the buffer, which writes them to the card at
// most once a second.
func (f *Forwarder) write() {
	if err := f.buffer.Confirm(f.confirmed, f.positions.encode()); err != nil {
		// The buffer itself reports what is wrong with the card. Unwritten
		// positions cost duplicates after a restart, nothing else.
		f.o.Log.Debug("positions are not written", "error", err)
	}
}

// stop writes down what was achieved. A window in which Kafka was away may have
// lost its first half again, and there is no time to look: it is sent anew.
func (f *Forwarder) stop() error {
	w := f.current
	if w != nil && !f.witness.away.Load() && w.settled() >= w.first {
		f.advance(w, w.settled())
		f.write()
	}
	return nil
}

// takesAgain is called when Kafka took all of a round.
func (f *Forwarder) takesAgain() {
	f.witness.curious.Store(false)
	f.stalls = 0
	if !f.status.isBlocked() {
		return
	}
	durable, _ := f.buffer.Durable()
	f.status.unblock(durable - min(f.confirmed, durable))
}
