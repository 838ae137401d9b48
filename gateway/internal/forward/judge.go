package forward

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
)

// maxPatience is how many rounds a client may come back from with errors that
// should pass. Some it keeps to itself for ever: what was answered when it asked
// for its producer id.
const maxPatience = 3

// A refusal is what one lane came back with.
type refusal struct {
	items []*item // from the lowest failed one to the last that was sent
	err   error   // of the lowest failed one
}

// judge decides about what failed in the last round. It returns an error when
// the client has to go.
func (d *delivery) judge(ctx context.Context, c *client) error {
	refusals := d.refusals()
	d.widen(refusals)
	var patient, fatal error
	for l, r := range refusals {
		d.f.status.retries.Add(uint64(len(r.items)))
		switch classify(r.err) {
		case poison:
			if err := d.halve(ctx, c, l, r); err != nil {
				fatal = err
			}
		case restamp:
			if !d.restamp(c, l, r) {
				patient = r.err
			}
		case rebuild:
			fatal = r.err
		default:
			patient = r.err
		}
	}
	switch {
	case fatal != nil:
		d.f.status.block(fatal)
		return fmt.Errorf("kafka client is of no more use: %w", fatal)
	case patient != nil:
		d.f.status.block(patient)
		d.tries++
		if d.tries%maxPatience == 0 {
			return fmt.Errorf("kafka refuses again and again: %w", patient)
		}
		return sleep(ctx, d.f.o.Backoff(d.tries))
	}
	d.tries = 0
	d.f.takesAgain()
	return nil
}

func (d *delivery) refusals() map[lane]*refusal {
	if len(d.failed) == 0 {
		return nil
	}
	found := map[lane]*refusal{}
	for _, it := range d.sent {
		if it.done {
			continue
		}
		r, ok := found[it.lane()]
		if !ok {
			r = &refusal{err: d.failed[&it.record]}
			found[it.lane()] = r
		}
		r.items = append(r.items, it)
	}
	return found
}

// widen lets a lane that got through send twice as much in the next round.
func (d *delivery) widen(refused map[lane]*refusal) {
	for l, limit := range d.limits {
		if refused[l] != nil {
			continue
		}
		if limit >= len(d.w.items) {
			delete(d.limits, l)
			continue
		}
		d.limits[l] = 2 * limit
	}
}

// halve narrows a refused batch down to the record that Kafka will not take.
// That one gets a second chance on its own: a message that was spoilt on its
// way is refused with the same words. The error is the client's own: one that
// has no producer id repeats the answer to its request for one with every
// record, and would put them all aside.
func (d *delivery) halve(ctx context.Context, c *client, l lane, r *refusal) error {
	d.limits[l] = max(len(r.items)/2, 1)
	if len(r.items) > 1 {
		return nil
	}
	it := r.items[0]
	it.refused++
	if it.refused < 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, _, err := c.kafka.ProducerID(ctx); err != nil {
		return err
	}
	d.bringDown(it, r.err)
	return nil
}

// restamp sets CreateTime to now where Kafka can mind it, and says whether that
// changed anything. When the broker's limits are not known, or it does not keep
// to them, all of the refused records get it. ts_ms, in the value, stays.
func (d *delivery) restamp(c *client, l lane, r *refusal) bool {
	now, _ := d.f.clock.Trusted()
	fact := c.facts[l.topic]
	known := stampNow(r.items, now, func(at time.Time) bool { return fact.minds(at, now) })
	return known || stampNow(r.items, now, func(time.Time) bool { return true })
}

// clockMargin is how far two clocks that are right may differ.
const clockMargin = time.Minute

func stampNow(items []*item, now time.Time, minds func(time.Time) bool) (changed bool) {
	for _, it := range items {
		at := it.record.Timestamp
		if now.Sub(at).Abs() < clockMargin || !minds(at) {
			continue
		}
		it.record.Timestamp = now
		changed = true
	}
	return changed
}

// minds reports whether a broker with about the same time as ours refuses a
// record of that time.
func (t topicFact) minds(at, now time.Time) bool {
	return t.before >= 0 && now.Sub(at) > t.before-clockMargin || t.after >= 0 && at.Sub(now) > t.after-clockMargin
}

// bringDown moves a record that Kafka refuses for good one step down: to the
// dead letters, to its first bytes there, to a gap event in its place. Below
// that there is only the log.
func (d *delivery) bringDown(it *item, cause error) {
	it.refused = 0
	m := d.f.maker
	isLetter := it.record.Topic == m.topics[deadLetterTopic]
	switch {
	case it.stage < deadLetter && !isLetter:
		it.stage = deadLetter
		d.f.sayPoison(it, cause)
		it.record = m.refused(d.w, it, cause)
	case it.stage < truncated && isLetter:
		it.stage = truncated
		it.record = m.truncate(d.w, &it.record)
	case it.stage < explained:
		it.stage = explained
		it.record = m.lost(d.w, it, cause)
	default:
		d.giveUp(it, cause)
	}
	it.record.Partition = unknownPartition
}

// sayPoison tells about refused records, at most once a minute: a topic with a
// wrong validator refuses every one.
func (f *Forwarder) sayPoison(it *item, cause error) {
	if time.Since(f.said.poison) < time.Minute {
		return
	}
	f.said.poison = time.Now()
	f.o.Log.Warn("kafka refuses a record for good; it goes to the dead letters", "topic", it.record.Topic,
		"number", it.number, "error", cause)
}

func (d *delivery) giveUp(it *item, cause error) {
	it.done = true
	d.f.status.givenUp.Add(1)
	d.f.o.Log.Error("kafka refuses even the event that a record is lost", "number", it.number, "error", cause)
}

// refused makes the dead letter for a record that Kafka refuses.
func (m *maker) refused(w *window, it *item, cause error) kgo.Record {
	r := &it.record
	l := envelope.Letter{Topic: r.Topic, Error: cause.Error(), Payload: r.Value}
	s := stamp{stream: w.stream, number: it.number, time: r.Timestamp, replayed: it.replayed}
	return m.letter(w, m.head(s), string(r.Key), l)
}

// truncate makes a dead letter that fits everywhere, and says how much there
// was.
func (m *maker) truncate(w *window, r *kgo.Record) kgo.Record {
	const keepValue, keepHeader = 512, 128
	short := kgo.Record{Topic: r.Topic, Key: r.Key, Timestamp: r.Timestamp, Value: r.Value[:min(len(r.Value), keepValue)]}
	start := len(w.headers)
	for _, h := range r.Headers {
		w.headers = append(w.headers, kgo.RecordHeader{Key: h.Key, Value: h.Value[:min(len(h.Value), keepHeader)]})
	}
	w.headers = append(w.headers, kgo.RecordHeader{Key: letterBytes, Value: w.text(strconv.Itoa(len(r.Value)))})
	short.Headers = w.headers[start:len(w.headers):len(w.headers)]
	return short
}

// lost makes the event that a record is in no topic at all.
func (m *maker) lost(w *window, it *item, cause error) kgo.Record {
	s := stamp{stream: w.stream, number: it.number, time: it.record.Timestamp, replayed: it.replayed}
	return m.gap(w, s, buffer.Gap{
		Stream: w.stream, First: it.number, Last: it.number,
		Reason: "kafka_refused", Detail: cause.Error(), Since: it.record.Timestamp,
	})
}

// sleep waits for d and returns the reason when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
