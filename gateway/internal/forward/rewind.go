package forward

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
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

func (f *Forwarder) compare(ctx context.Context, c *client, want map[lane][]placed, w *window) error {
	if len(want) == 0 {
		return nil
	}
	logs, err := listLogs(ctx, c.admin, want)
	if err != nil {
		return err
	}
	ids, err := f.readIDs(ctx, spans(want, logs))
	if err != nil {
		return err
	}
	changed := false
	for l, records := range want {
		log, known := logs[l]
		if !known {
			continue // the topic has fewer partitions than it had, or another name
		}
		lost := lostRecords(records, log, ids[l])
		if len(lost) == 0 {
			continue
		}
		if err := f.rewound(ctx, l, log, records, lost, w); err != nil {
			return err
		}
		changed = true
	}
	if changed {
		f.write()
	}
	return nil
}

// A log is where a partition begins and ends; its last offset is end-1.
type log struct{ start, end int64 }

func listLogs(ctx context.Context, admin *kadm.Client, want map[lane][]placed) (map[lane]log, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	topics := map[string]bool{}
	for l := range want {
		topics[l.topic] = true
	}
	names := slices.Sorted(maps.Keys(topics))
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	logs := map[lane]log{}
	for l := range want {
		start, ok := starts.Lookup(l.topic, l.partition)
		end, also := ends.Lookup(l.topic, l.partition)
		switch {
		case !ok || !also, errors.Is(start.Err, kerr.UnknownTopicOrPartition):
		case start.Err != nil:
			return nil, start.Err
		case end.Err != nil:
			return nil, end.Err
		default:
			logs[l] = log{start.Offset, end.Offset}
		}
	}
	return logs, nil
}

// A span is a part of a partition, both ends included.
type span struct{ from, to int64 }

// spans are the parts of the logs in which the records should be.
func spans(want map[lane][]placed, logs map[lane]log) map[lane]span {
	parts := map[lane]span{}
	for l, records := range want {
		log, known := logs[l]
		if !known {
			continue
		}
		s := span{from: log.end, to: log.start - 1}
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

// rewound arranges for a partition to be filled again: from behind the last
// record of ours that is still there, through the last one that is not.
func (f *Forwarder) rewound(ctx context.Context, l lane, at log, records []placed, lost []int, w *window) error {
	from, err := f.lostFrom(ctx, l, at, records, lost[0])
	if err != nil {
		return err
	}
	to := f.confirmed
	if w != nil {
		to = max(to, forget(w, l, records, lost))
	}
	f.positions.addRefill(refill{lane: l, next: from, to: to})
	f.status.rewound.Add(1)
	confirmed := records[lost[0]].offset
	f.o.Log.Warn("kafka lost records that it had confirmed; sending them again",
		"topic", l.topic, "partition", l.partition, "confirmed", confirmed, "end", at.end, "from", from, "to", to)
	f.o.Event(reading.Event{Type: reading.KafkaRewound, Fields: []reading.Field{
		{Name: "topic", Value: l.topic},
		{Name: "partition", Value: int64(l.partition)},
		{Name: "confirmed_offset", Value: confirmed},
		{Name: "end_offset", Value: at.end},
		{Name: "from", Value: from},
		{Name: "to", Value: to},
	}})
	return nil
}

// forget makes the positions not follow what the window believes to have placed
// in a partition and is lost. It returns the highest number of it.
func forget(w *window, l lane, records []placed, lost []int) uint64 {
	gone := map[string]bool{}
	for _, i := range lost {
		gone[records[i].id] = true
	}
	highest := uint64(0)
	for i := range w.items {
		it := &w.items[i]
		if it.lane() == l && gone[string(recordID(&it.record))] {
			it.record.Offset = -1
			highest = max(highest, it.number)
		}
	}
	return highest
}

// lostFrom returns the number from which the partition lacks records. All that
// was sent after the loss lies behind the point at which the log was cut, and
// so does everything that is missing; what is still ours before that point is
// what survived.
func (f *Forwarder) lostFrom(ctx context.Context, l lane, at log, records []placed, lost int) (uint64, error) {
	if lost > 0 {
		return numberOf(records[lost-1].id) + 1, nil
	}
	cut := at.end
	for _, r := range records {
		cut = min(cut, r.offset)
	}
	id, err := f.lastOwn(ctx, l, max(at.start, cut-maxLook), cut)
	switch {
	case err != nil && !errors.Is(err, errUnreadable):
		return 0, err
	case id == "" && (err != nil || cut-at.start > maxLook):
		// What survived is not known: all that is on the card goes again.
		return max(f.buffer.Stats().Oldest, 1), nil
	default:
		return numberOf(id) + 1, nil
	}
}

// How far back lastOwn looks among the records of other gateways.
const (
	firstLook = 500
	maxLook   = 200_000
)

// lastOwn returns the identity of the last record of this gateway in a part of
// a partition, "" when there is none.
func (f *Forwarder) lastOwn(ctx context.Context, l lane, start, cut int64) (string, error) {
	found := ""
	for step := int64(firstLook); cut > start && found == ""; step *= 4 {
		from := max(start, cut-step)
		err := f.read(ctx, map[lane]span{l: {from, cut - 1}}, func(r *kgo.Record) {
			if id := string(recordID(r)); f.isOwn(id) {
				found = id
			}
		})
		if err != nil {
			return "", err
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
