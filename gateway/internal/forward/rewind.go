package forward

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/reading"
)

// A broker that loses power loses what was only in its page cache: it comes
// back with a shorter log and takes new records at offsets that it had already
// given out. The same happens when a topic is deleted and made again, or a disk
// is replaced by a backup. Nothing in the protocol says so to a producer.

// A placed record is one that Kafka confirmed at an offset.
type placed struct {
	offset int64
	id     string
}

// lookForRewind checks, after a connection was made, whether Kafka still has
// what it confirmed, and arranges for what is lost to be sent again. It runs
// before the positions are next written, for they are the evidence. w is the
// window that was just sent, if any: a part of it may have been confirmed
// before the broker went away.
func (f *Forwarder) lookForRewind(ctx context.Context, c *client, w *window) error {
	if !f.witness.away.Swap(false) {
		return nil
	}
	err := f.compare(ctx, c, f.expected(w), w)
	if err != nil {
		f.witness.away.Store(true)
		return fmt.Errorf("look whether kafka has what it confirmed: %w", err)
	}
	return nil
}

// expected lists, for each partition, what must be there in the order in which
// it was sent.
func (f *Forwarder) expected(w *window) map[lane][]placed {
	want := map[lane][]placed{}
	for l, at := range f.positions.last {
		want[l] = []placed{{at.offset, at.id}}
	}
	if w == nil {
		return want
	}
	for i := range w.items {
		it := &w.items[i]
		if it.confirmed() {
			want[it.lane()] = append(want[it.lane()], placed{it.record.Offset, string(recordID(&it.record))})
		}
	}
	return want
}

// compare arranges for a refill of each partition that lacks something of what
// it should have.
func (f *Forwarder) compare(ctx context.Context, c *client, want map[lane][]placed, w *window) error {
	logs, err := listLogs(ctx, c, want)
	if err != nil {
		return err
	}
	ids, err := f.readIDs(ctx, spans(want, logs))
	if err != nil {
		return err
	}
	for l, records := range want {
		r := rewind{lane: l, log: logs[l], records: records, lost: lostRecords(records, logs[l], ids[l])}
		if len(r.lost) == 0 {
			continue
		}
		count, counted := f.positions.counts[l.topic]
		r.moved = counted && count != c.facts[l.topic].partitions
		if err := f.rewound(ctx, r, w); err != nil {
			return err
		}
	}
	for topic, fact := range c.facts {
		f.positions.counts[topic] = fact.partitions
	}
	return nil
}

// A log is where a partition begins and ends; its last offset is end-1.
type log struct{ start, end int64 }

// listLogs asks for the extent of each partition. One that does not exist any
// more is empty: its topic was deleted and made again with fewer of them.
func listLogs(ctx context.Context, c *client, want map[lane][]placed) (map[lane]log, error) {
	logs := map[lane]log{}
	if len(want) == 0 {
		return logs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	topics := map[string]bool{}
	for l := range want {
		topics[l.topic] = true
	}
	names := slices.Sorted(maps.Keys(topics))
	starts, err := c.admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := c.admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	for l := range want {
		if int(l.partition) >= c.facts[l.topic].partitions {
			logs[l] = log{}
			continue
		}
		start, ok := starts.Lookup(l.topic, l.partition)
		end, also := ends.Lookup(l.topic, l.partition)
		if !ok || !also {
			return nil, fmt.Errorf("partition %s: %w", l, kerr.UnknownTopicOrPartition)
		}
		if err := errors.Join(start.Err, end.Err); err != nil {
			return nil, fmt.Errorf("partition %s: %w", l, err)
		}
		logs[l] = log{start.Offset, end.Offset}
	}
	return logs, nil
}

// A span is a part of a partition, both ends included.
type span struct{ from, to int64 }

// spans are the parts of the logs in which the records should be.
func spans(want map[lane][]placed, logs map[lane]log) map[lane]span {
	parts := map[lane]span{}
	for l, records := range want {
		log := logs[l]
		s := span{from: math.MaxInt64, to: math.MinInt64} // nothing; the extent of a lying log proves nothing
		for _, r := range records {
			if r.offset >= log.start && r.offset < log.end {
				s.from, s.to = min(s.from, r.offset), max(s.to, r.offset)
			}
		}
		if s.from <= s.to {
			parts[l] = s
		}
	}
	return parts
}

// lostRecords returns the indices of the records that are not where Kafka put
// them. What lies before the start of the log went by retention. Without ids
// (they cannot be read) only the end can tell, and what was sent behind a lost
// record counts as lost with it.
func lostRecords(records []placed, log log, ids map[int64]string) []int {
	var lost []int
	for i, r := range records {
		switch {
		case r.offset < log.start:
		case r.offset >= log.end, ids == nil && len(lost) > 0, ids != nil && ids[r.offset] != r.id:
			lost = append(lost, i)
		}
	}
	return lost
}

// A rewind is what was found out about a partition that lost records.
type rewind struct {
	lane    lane
	log     log
	records []placed // that should be there
	lost    []int    // indices of those that are not
	moved   bool     // the topic has another number of partitions than before
}

// rewound arranges for a partition to be filled again: from behind the last
// record of ours that is still there, through the last one that is not.
func (f *Forwarder) rewound(ctx context.Context, r rewind, w *window) error {
	survivor, from, err := f.survivor(ctx, r)
	if err != nil {
		return err
	}
	to := f.confirmed
	if w != nil {
		to = max(to, forget(w, r))
	}
	delete(f.positions.last, r.lane)
	if survivor.id != "" {
		f.positions.last[r.lane] = position(survivor)
	}
	missing := refill{lane: r.lane, next: from, to: to}
	if r.moved {
		missing.lane = wholeTopic(r.lane)
	}
	f.replayLost()
	if from > to {
		// Only what had been sent again is lost again; the first copies lie
		// before the cut.
		f.write()
		return nil
	}
	f.positions.addRefill(missing)
	f.write()
	f.tellRewound(r, missing)
	return nil
}

func (f *Forwarder) tellRewound(r rewind, missing refill) {
	f.status.rewound.Add(1)
	confirmed := r.records[r.lost[0]].offset
	f.o.Log.Warn("kafka lost records that it had confirmed; sending them again", "event", "kafka_rewound",
		"topic", r.lane.topic, "partition", r.lane.partition, "confirmed", confirmed, "end", r.log.end, "from", missing.next, "to", missing.to)
	f.o.Event(reading.Event{Type: reading.KafkaRewound, Fields: []reading.Field{
		{Name: "topic", Value: r.lane.topic},
		{Name: "partition", Value: int64(r.lane.partition)},
		{Name: "confirmed_offset", Value: confirmed},
		{Name: "end_offset", Value: r.log.end},
		{Name: "from", Value: missing.next},
		{Name: "to", Value: missing.to},
	}})
}

// forget makes the positions not follow what the window believes to have placed
// in a partition and is lost. It returns the highest number of it.
func forget(w *window, r rewind) uint64 {
	gone := map[string]bool{}
	for _, i := range r.lost {
		gone[r.records[i].id] = true
	}
	highest := uint64(0)
	for i := range w.items {
		it := &w.items[i]
		if it.lane() == r.lane && gone[string(recordID(&it.record))] {
			it.record.Offset = -1
			highest = max(highest, it.number)
		}
	}
	return highest
}

// survivor returns the last record of ours that is still there from before the
// loss, with an empty id when there is none or it is not known, and the number
// from which the partition lacks records. All that was sent after the loss lies
// behind the point at which the log was cut, and so does everything that is
// missing; what is still ours before that point is what survived.
func (f *Forwarder) survivor(ctx context.Context, r rewind) (at placed, from uint64, err error) {
	if first := r.lost[0]; first > 0 {
		at = r.records[first-1]
		return at, numberOf(at.id) + 1, nil
	}
	cut := r.log.end
	for _, p := range r.records {
		cut = min(cut, p.offset)
	}
	at, err = f.lastOwn(ctx, r.lane, max(r.log.start, cut-maxLook), cut)
	switch {
	case err != nil && !errors.Is(err, errUnreadable):
		return placed{}, 0, err
	case at.id == "" && (err != nil || cut-r.log.start > maxLook):
		// All that is on the card goes again.
		return placed{}, max(f.buffer.Stats().Oldest, 1), nil
	default:
		return at, numberOf(at.id) + 1, nil
	}
}

// How far back lastOwn looks among the records of other gateways.
const (
	firstLook = 500
	maxLook   = 200_000
)

// lastOwn returns the last record of this gateway in a part of a partition; its
// id is empty when there is none.
func (f *Forwarder) lastOwn(ctx context.Context, l lane, start, cut int64) (found placed, err error) {
	for step := int64(firstLook); cut > start && found.id == ""; step *= 4 {
		from := max(start, cut-step)
		err := f.read(ctx, map[lane]span{l: {from, cut - 1}}, func(r *kgo.Record) {
			if id := string(recordID(r)); f.isOwn(id) {
				found = placed{r.Offset, id}
			}
		})
		if err != nil {
			return placed{}, err
		}
		cut = from
	}
	return found, nil
}

// isOwn: GATEWAY-STREAM-NUMBER with our name. A gateway "pi" is not "pi-2".
func (f *Forwarder) isOwn(id string) bool {
	rest, ok := strings.CutPrefix(id, f.o.Place.Gateway+"-")
	return ok && strings.Count(rest, "-") == 1 && numberOf(id) > 0
}
