package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

const (
	// lookEvery is how often Run looks after counters and names.
	lookEvery = time.Second

	// saveEvery is how often the names are written at most: each writing wears
	// the card, and a new device is rare.
	saveEvery = 10 * time.Second
)

// Run stores what Put and Event took, and keeps counters and names on the card.
// It returns nil after ctx ended; what it cannot do is a state, logged once,
// and tried again.
func (i *Ingest) Run(ctx context.Context, ready func()) error {
	ready()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var k keeper
	for {
		select {
		case <-ctx.Done():
			i.drain(ctx)
			i.names.keepIntervals()
			i.look(&k, saveEvery)
			return nil
		case <-i.queue.wake:
			i.drain(ctx)
		case <-look.C:
			i.drain(ctx)
			i.look(&k, lookEvery)
		}
	}
}

// A keeper is what Run remembers between two looks.
type keeper struct {
	unsaved    time.Duration // since the names were last written
	sinceSweep time.Duration // since devices were last looked through
	sinceTurn  time.Duration // since the window of intervals was last turned
	saveErr    string
	refused    uint64 // in this run, at the last look
	refusing   bool
	calmFor    time.Duration
}

// drain empties the queue. Readings that the buffer does not take are counted;
// events wait in the queue for the next look. It waits for room once, and not
// at all when the program ends.
func (i *Ingest) drain(ctx context.Context) {
	var held []item
	atOnce := ctx.Err() != nil
	for {
		items := i.queue.take()
		if len(items) == 0 {
			break
		}
		if err := i.flush(ctx, atOnce, items); err != nil {
			held = append(held, i.refuse(items, err)...)
			atOnce = true
		}
	}
	i.queue.putBack(held)
}

// flush stores items together.
func (i *Ingest) flush(ctx context.Context, atOnce bool, items []item) error {
	var records [][]byte
	for _, it := range items {
		records = append(records, it.records...)
	}
	if _, err := i.append(ctx, atOnce, records...); err != nil {
		return err
	}
	for _, it := range items {
		if !it.event {
			i.sources.of(it.source).readings.Add(uint64(len(it.records)))
		}
	}
	return nil
}

// refuse counts the readings among items and returns the events.
func (i *Ingest) refuse(items []item, cause error) (events []item) {
	now := i.o.Now()
	for _, it := range items {
		if it.event {
			events = append(events, it)
			continue
		}
		i.sources.of(it.source).refused.Add(uint64(len(it.records)))
		i.refused.add(reasonOf(cause), len(it.records), it.devices, now)
	}
	return events
}

// look does what is due. passed is the time since the last look.
func (i *Ingest) look(k *keeper, passed time.Duration) {
	now := i.o.Now()
	for _, e := range i.letters.turn(now.Boottime) {
		i.Event(e)
	}
	if b := i.store.Load(); b != nil {
		i.report(b)
		i.saveNote(b)
	}
	k.sinceTurn += passed
	if k.sinceSweep += passed; k.sinceSweep >= sweepEvery {
		k.sinceSweep = 0
		i.sweep(k)
	}
	if k.unsaved += passed; k.unsaved >= saveEvery {
		k.unsaved = 0
		i.saveNames(k)
	}
	i.logRefusals(k, passed)
}

// report tells of refused readings once there is room again, and takes off the
// counters what has arrived on the card.
func (i *Ingest) report(b *buffer.Buffer) {
	durable, _ := b.Durable()
	i.refused.arrived(durable)
	now := i.o.Now()
	spans, from := i.refused.due(now.Boottime, now.Wall)
	if len(spans) == 0 {
		return
	}
	var records [][]byte
	for _, s := range spans {
		body, err := reading.AppendEventBody(nil, i.o.Place, s.event(from))
		if err != nil {
			i.o.Log.Error("refused readings cannot be told", "error", err)
			return
		}
		records = append(records, envelope.Envelope{Kind: envelope.Event, Taken: now, Body: body}.Append(nil))
		from += s.Count
	}
	if last, err := b.TryAppend(records...); err == nil {
		i.refused.sent(last, spans)
	}
}

func (i *Ingest) saveNote(b *buffer.Buffer) {
	text, err := i.refused.unsavedNote()
	if err == nil && text != nil {
		err = b.SetNote(text)
	}
	if err != nil && !errors.Is(err, buffer.ErrClosed) {
		i.o.Log.Error("the counters of refused readings cannot be kept", "error", err)
	}
}

func (i *Ingest) saveNames(k *keeper) {
	var text string
	if err := i.names.save(); err != nil {
		text = err.Error()
	}
	if text != "" && k.saveErr == "" {
		i.o.Log.Warn("device names are not kept over a restart until the card can be written", "error", text)
	}
	k.saveErr = text
}

// logRefusals says when readings begin to be turned away and when that ended.
func (i *Ingest) logRefusals(k *keeper, passed time.Duration) {
	t := i.refused.totals()
	k.calmFor += passed
	if t.thisRun != k.refused {
		k.calmFor = 0
	}
	switch {
	case t.thisRun != k.refused && !k.refusing:
		k.refusing = true
		i.o.Log.Warn("readings are turned away; they are counted, and Kafka will be told", "total", t.total)
	case k.refusing && k.calmFor >= saveEvery && i.store.Load() != nil: // else it is only quiet
		k.refusing = false
		i.o.Log.Info("readings are taken again", "turned_away_total", t.total)
	}
	k.refused = t.thisRun
}
