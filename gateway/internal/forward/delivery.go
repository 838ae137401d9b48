package forward

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A lane is one partition, or a whole topic while a record's partition is not
// known. Within a lane the order counts.
type lane struct {
	topic     string
	partition int32
}

const unknownPartition = -1

// String names the partition as Kafka's tools do.
func (l lane) String() string {
	if l.partition == unknownPartition {
		return l.topic
	}
	return fmt.Sprintf("%s-%d", l.topic, l.partition)
}

// A delivery brings the items of one window to Kafka, in rounds. A round
// buffers records, flushes and awaits every promise; what failed goes again, in
// each partition from its lowest failed record, before anything newer.
type delivery struct {
	f *Forwarder
	w *window

	// limits holds the lanes in which a batch is being halved: how many of
	// its records the next round may send.
	limits map[lane]int
	tries  int // rounds in a row after which Kafka asked for patience

	sent    []*item       // of the present round
	pending atomic.Int64  // promises that are still to be called
	ended   chan struct{} // closed when there are none
	moved   atomic.Uint64
	unlaid  atomic.Int64  // records that have no partition yet
	laid    chan struct{} // closed when there are none

	mu     sync.Mutex
	failed map[*kgo.Record]error
}

func newDelivery(f *Forwarder) delivery {
	return delivery{f: f, limits: map[lane]int{}, failed: map[*kgo.Record]error{}}
}

// run returns nil once every item of w is done, and else the error for which the
// client has to go. Items keep what they have achieved, so the next client goes
// on from there.
func (d *delivery) run(ctx context.Context, c *client, w *window) error {
	d.w, d.tries = w, 0
	clear(d.limits) // a new client may see another number of partitions
	for i := range d.w.items {
		if it := &d.w.items[i]; !it.done {
			it.record.Partition = unknownPartition
		}
	}
	for {
		d.choose(c)
		if len(d.sent) == 0 {
			return nil
		}
		if err := d.round(ctx, c); err != nil {
			return err
		}
		if err := d.judge(ctx, c); err != nil {
			return err
		}
	}
}

// choose collects what the next round sends. What no batch can carry is brought
// down at once: the client would refuse it by itself, and records behind it in
// the same partition would pass it.
func (d *delivery) choose(c *client) {
	d.sent = d.sent[:0]
	taken := map[lane]int{}
	for i := range d.w.items {
		it := &d.w.items[i]
		for !it.done && recordSize(&it.record) > c.recordLimit(it.record.Topic) {
			d.bringDown(it, fmt.Errorf("record of %d bytes is larger than topic %s allows", recordSize(&it.record), it.record.Topic))
		}
		if it.done {
			continue
		}
		if len(d.limits) > 0 {
			l := it.lane()
			if limit, halving := d.limits[l]; halving && taken[l] >= limit {
				continue
			}
			taken[l]++
		}
		d.sent = append(d.sent, it)
	}
}

func (it *item) lane() lane { return lane{it.record.Topic, it.record.Partition} }

// recordSize is an upper bound of a record's part of a batch.
func recordSize(r *kgo.Record) int {
	const lengths = 4 // of key and value in a header
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + lengths
	}
	return n
}

// round returns once every promise was called. Record contexts are never
// cancelled: the client could not know whether Kafka has the record.
func (d *delivery) round(ctx context.Context, c *client) error {
	clear(d.failed)
	d.pending.Store(int64(len(d.sent)))
	d.ended = make(chan struct{})
	d.unlaid.Store(int64(len(d.sent)))
	d.laid = make(chan struct{})
	for _, it := range d.sent {
		it.record.Context = nil
		it.record.Partition = unknownPartition
		c.kafka.Produce(context.Background(), &it.record, d.promise)
	}
	err := d.flush(ctx, c)
	if err != nil {
		// This fails what is still buffered, so that the promises come.
		if stuck := c.close(ctx); stuck != nil {
			return stuck
		}
	}
	if stuck := d.awaitPromises(ctx); stuck != nil {
		return stuck
	}
	d.settle()
	return err
}

func (d *delivery) awaitPromises(ctx context.Context) error {
	limit := closeTimeout
	if ctx.Err() != nil {
		limit = stopTimeout
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-d.ended:
		return nil
	case <-late.C:
		return errStuck
	}
}

// OnProduceRecordPartitioned implements kgo.HookProduceRecordPartitioned.
func (d *delivery) OnProduceRecordPartitioned(*kgo.Record, int32) { d.lay() }

func (d *delivery) lay() {
	if d.unlaid.Add(-1) == 0 {
		close(d.laid)
	}
}

// promise is called by one goroutine of the client, record after record.
func (d *delivery) promise(r *kgo.Record, err error) {
	if err != nil {
		d.mu.Lock()
		d.failed[r] = err
		d.mu.Unlock()
		d.lay() // it may have failed before it got its partition
	} else {
		d.moved.Add(1)
	}
	if d.pending.Add(-1) == 0 {
		close(d.ended)
	}
}

// flush waits until nothing is buffered any more, however long Kafka needs,
// while the watch looks whether anything moves.
func (d *delivery) flush(ctx context.Context, c *client) error {
	watch := d.f.newWatch(&d.moved)
	for {
		slice, cancel := context.WithTimeout(ctx, patience/2)
		err := d.flushLaid(slice, c)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return d.lastFlush(ctx, c)
		}
		if err := watch.look(); err != nil {
			return err
		}
	}
}

// flushLaid does not let anything leave before every record has its partition.
// The client learns of a topic's partitions only after the first record for it,
// and would then send that one while those behind it are not yet buffered: if it
// is refused, they are not, and overtake it.
func (d *delivery) flushLaid(ctx context.Context, c *client) error {
	select {
	case <-d.laid:
		return c.kafka.Flush(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastFlush gives what is in flight a short while: each record that is confirmed
// now is no duplicate after the restart.
func (d *delivery) lastFlush(ctx context.Context, c *client) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if d.flushLaid(last, c) == nil {
		return nil
	}
	return context.Cause(ctx)
}

// settle marks what the round achieved. In a partition with a failure nothing
// behind the lowest failed record counts, should anything have come through: it
// is sent again behind that one, so that the last word of each device is its
// latest.
func (d *delivery) settle() {
	var broken map[lane]bool
	for _, it := range d.sent {
		if len(d.failed) > 0 {
			if _, failed := d.failed[&it.record]; failed {
				if broken == nil {
					broken = map[lane]bool{}
				}
				broken[it.lane()] = true
			}
			if broken[it.lane()] {
				continue
			}
		}
		it.done = true
	}
}

// newWatch starts to watch a counter that grows with every record that came
// through.
func (f *Forwarder) newWatch(moved *atomic.Uint64) *watch {
	f.witness.forget()
	return &watch{f: f, moved: moved, last: moved.Load(), since: time.Now(), limit: f.stallLimit()}
}

// A watch tells a slow Kafka from one that takes nothing.
type watch struct {
	f     *Forwarder
	moved *atomic.Uint64
	last  uint64
	since time.Time
	limit time.Duration
}

// look returns errStalled when nothing moved for so long that the client itself
// is under suspicion.
func (w *watch) look() error {
	if now := w.moved.Load(); now != w.last {
		w.last, w.since = now, time.Now()
		return nil
	}
	stalled := time.Since(w.since)
	w.f.witness.curious.Store(true)
	if stalled >= patience {
		w.f.status.block(w.f.witness.lastCause())
	}
	if stalled >= w.limit {
		return errStalled
	}
	return nil
}
