package forward

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/reading"
)

// positions are what forward keeps with the confirmed number: where Kafka had
// put the last record of each partition, and what has to be sent again. From
// them a later start sees whether Kafka still has what it confirmed.
type positions struct {
	last    map[lane]position
	refills []refill
	counts  map[string]int // partitions of each topic
}

// A position is the last confirmed record of one partition.
type position struct {
	offset int64
	id     string
}

// A refill is a part of one partition that Kafka lost: the records with numbers
// from next through to that belong there. Of the whole topic, when it has another
// number of partitions than it had: nobody can tell what lay where.
type refill struct {
	lane     lane
	next, to uint64
}

// The blob is JSON, so that "buffer status" can show it: a few lines for a home
// with a few partitions. Lists, not maps, keep it small.
type blobJSON struct {
	V      int            `json:"v"`
	Counts map[string]int `json:"partitions,omitempty"`
	Last   []lastJSON     `json:"last,omitempty"`
	Refill []refillJSON   `json:"refill,omitempty"`
}

type lastJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	ID        string `json:"id"`
}

type refillJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      uint64 `json:"next"`
	To        uint64 `json:"to"`
}

const blobVersion = 1

// parsePositions reads a blob. What cannot be read counts as no positions: the
// only harm is that a Kafka which rewound meanwhile goes unnoticed.
func parsePositions(blob []byte) (positions, error) {
	p := positions{last: map[lane]position{}, counts: map[string]int{}}
	if len(blob) == 0 {
		return p, nil
	}
	var j blobJSON
	if err := json.Unmarshal(blob, &j); err != nil {
		return p, fmt.Errorf("parse kafka positions: %w", err)
	}
	if j.V != blobVersion {
		return p, fmt.Errorf("parse kafka positions: format %d is not known", j.V)
	}
	maps.Copy(p.counts, j.Counts)
	for _, l := range j.Last {
		p.last[lane{l.Topic, l.Partition}] = position{l.Offset, l.ID}
	}
	for _, r := range j.Refill {
		p.refills = append(p.refills, refill{lane{r.Topic, r.Partition}, r.Next, r.To})
	}
	return p, nil
}

// keepOnly forgets topics that the configuration no longer names.
func (p *positions) keepOnly(topics [topicCount]string) {
	known := func(l lane) bool { return slices.Contains(topics[:], l.topic) }
	maps.DeleteFunc(p.last, func(l lane, _ position) bool { return !known(l) })
	maps.DeleteFunc(p.counts, func(topic string, _ int) bool { return !known(lane{topic: topic}) })
	p.refills = slices.DeleteFunc(p.refills, func(r refill) bool { return !known(r.lane) })
}

// encode returns the blob, at most as long as the buffer keeps. Refills come
// before positions: they are records that Kafka lacks. With some hundred
// partitions the positions that were not written to for longest go.
func (p *positions) encode() []byte {
	j := blobJSON{V: blobVersion, Counts: p.counts}
	for _, r := range p.refills {
		j.Refill = append(j.Refill, refillJSON{r.lane.topic, r.lane.partition, r.next, r.to})
	}
	for l, at := range p.last {
		j.Last = append(j.Last, lastJSON{l.topic, l.partition, at.offset, at.id})
	}
	slices.SortFunc(j.Last, func(a, b lastJSON) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for {
		blob, err := json.Marshal(j)
		if err != nil {
			return nil // structs of text and numbers always marshal
		}
		if len(blob) <= buffer.MaxBlob || len(j.Last)+len(j.Refill) == 0 {
			return blob
		}
		j.shorten()
	}
}

// shorten drops a quarter.
func (j *blobJSON) shorten() {
	if len(j.Last) == 0 {
		j.Refill = j.Refill[:len(j.Refill)*3/4]
		return
	}
	slices.SortFunc(j.Last, func(a, b lastJSON) int { return cmp.Compare(numberOf(b.ID), numberOf(a.ID)) })
	j.Last = j.Last[:len(j.Last)*3/4]
}

// advance takes note of records that Kafka confirmed.
func (p *positions) advance(items []item) {
	// Only the last one of each partition counts, and the partitions are few:
	// going backwards, nearly every look is at a lane already seen.
	seen := map[lane]bool{}
	for i := len(items) - 1; i >= 0; i-- {
		r := &items[i].record
		if !items[i].confirmed() || seen[lane{r.Topic, r.Partition}] {
			continue
		}
		seen[lane{r.Topic, r.Partition}] = true
		p.last[lane{r.Topic, r.Partition}] = position{r.Offset, string(recordID(r))}
	}
}

// confirmed: Kafka has it, and said where.
func (it *item) confirmed() bool { return it.done && it.record.Partition >= 0 && it.record.Offset >= 0 }

// addRefill adds what a partition lost to what it still lacked.
func (p *positions) addRefill(r refill) {
	for i := range p.refills {
		if p.refills[i].lane == r.lane {
			p.refills[i].next = min(p.refills[i].next, r.next)
			p.refills[i].to = max(p.refills[i].to, r.to)
			return
		}
	}
	p.refills = append(p.refills, r)
}

// refilled notes that all through number has been sent again, for those refills
// that are still as they were when it was sent.
func (p *positions) refilled(number uint64, were []refill) {
	for i := range p.refills {
		if slices.Contains(were, p.refills[i]) {
			p.refills[i].next = max(p.refills[i].next, number+1)
		}
	}
	p.refills = slices.DeleteFunc(p.refills, func(r refill) bool { return r.next > r.to })
}

// wholeTopic is the lane that stands for all partitions of a topic.
func wholeTopic(l lane) lane { return lane{l.topic, unknownPartition} }

// refillFrom returns the lowest number that any partition lacks.
func (p *positions) refillFrom() uint64 {
	from := p.refills[0].next
	for _, r := range p.refills {
		from = min(from, r.next)
	}
	return from
}

// lacks reports whether the record with this number belongs to a refill.
func (p *positions) lacks(l lane, number uint64) bool {
	return slices.ContainsFunc(p.refills, func(r refill) bool {
		return (r.lane == l || r.lane == wholeTopic(l)) && r.next <= number && number <= r.to
	})
}

// lacking names the partitions that lack something.
func (p *positions) lacking() string {
	var names []string
	for _, r := range p.refills {
		names = append(names, r.lane.String())
	}
	return strings.Join(names, ", ")
}

// recordID finds the identity of a record of ours, in whichever topic it is.
func recordID(r *kgo.Record) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == headerID || r.Headers[i].Key == letterID {
			return r.Headers[i].Value
		}
	}
	return nil
}

// numberOf returns the number in an identity; that of a gap event is the last
// one that it explains. 0: not an identity.
func numberOf(id string) uint64 {
	_, n, err := reading.SplitID(id)
	if err != nil {
		return 0
	}
	return n
}
