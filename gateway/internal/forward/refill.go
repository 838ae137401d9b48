package forward

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// refill sends one window of what Kafka lost again, marked as replayed, and
// moves the progress on. All partitions that lack something are filled in one
// pass over the card.
func (f *Forwarder) refill(ctx context.Context, c *client) error {
	f.status.set(Refilling)
	defer f.status.set(Idle)
	from := f.positions.refillFrom()
	part, err := f.readAgain(ctx, from, f.o.MaxWindowRecords)
	if err != nil {
		return err
	}
	w := &f.again
	switch {
	case part.Gap != nil:
		f.replayGap(w, *part.Gap)
	case len(part.Records) > 0:
		f.replay(w, part, func(it *item) bool { return f.isLacking(c, it) })
	default:
		// The card has lost the end of what it had, and begun a new stream
		// with other numbers; the buffer has said so.
		f.positions.refills = nil
		f.write()
		return nil
	}
	if err := f.delivery.run(ctx, c, w); err != nil {
		return err
	}
	were := slices.Clone(f.positions.refills)
	if err := f.lookForRewind(ctx, c, w); err != nil {
		return err
	}
	f.positions.advance(w.items)
	f.positions.refilled(w.last, were)
	f.status.count(w.items, f.maker.topics)
	f.write()
	if len(f.positions.refills) == 0 {
		f.o.Log.Info("kafka has what it had lost again")
	}
	return nil
}

// readAgain reads records that have left before, and tries until it can.
func (f *Forwarder) readAgain(ctx context.Context, from uint64, maxRecords int) (buffer.Window, error) {
	for failing := false; ; failing = true {
		part, err := f.buffer.Read(from, maxRecords, f.o.MaxWindowBytes)
		switch {
		case err == nil:
			return part, nil
		case errors.Is(err, buffer.ErrClosed):
			<-ctx.Done()
			return buffer.Window{}, context.Cause(ctx)
		case !failing:
			f.o.Log.Error("buffer cannot be read to send records again; trying again", "from", from, "error", err)
		}
		if err := sleep(ctx, f.o.Backoff(1)); err != nil {
			return buffer.Window{}, err
		}
	}
}

// replay fills w with those records of part that are wanted.
func (f *Forwarder) replay(w *window, part buffer.Window, wanted func(*item) bool) {
	w.reset(part.Stream, part.First)
	for i, stored := range part.Records {
		number := part.First + uint64(i)
		s := stamp{stream: part.Stream, number: number, replayed: true}
		e, err := envelope.Parse(stored)
		if err != nil {
			s.time, _ = f.clock.Trusted()
			f.maker.addUnreadable(w, s, stored, err)
		} else {
			var q reading.Quality
			// It has left before, so its time is known.
			s.time, q, _ = f.clock.Resolve(e.Taken)
			s.quality = max(e.Quality, q)
			f.maker.add(w, s, e)
		}
		if newest := len(w.items) - 1; !wanted(&w.items[newest]) {
			w.items = w.items[:newest]
		}
	}
	w.last = part.First + uint64(len(part.Records)) - 1
}

// replayGap explains missing numbers once more: the event may be among what was
// lost, or not have spoken of all of them. What is gone because it had been
// confirmed is a loss only now.
func (f *Forwarder) replayGap(w *window, g buffer.Gap) {
	now, _ := f.clock.Trusted()
	if g.Reason == buffer.Expired {
		g.Since = now
		g.Detail = "kafka lost records of " + f.positions.lacking() + " that it had confirmed, and the card no longer holds them"
	}
	if g.Since.IsZero() {
		g.Since = now
	}
	s := stamp{stream: g.Stream, number: g.First, time: g.Since, replayed: true}
	f.maker.addGap(w, s, g)
	f.status.gaps.Add(1)
}

// isLacking reports whether the partition of it needs it.
func (f *Forwarder) isLacking(c *client, it *item) bool {
	l := lane{it.record.Topic, partitionOf(&it.record, c.facts[it.record.Topic].partitions)}
	return f.positions.lacks(l, it.number)
}

// partitionOf is the client's own choice of a partition.
func partitionOf(r *kgo.Record, partitions int) int32 {
	if partitions <= 0 {
		return unknownPartition
	}
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic(r.Topic).Partition(r, partitions))
}
