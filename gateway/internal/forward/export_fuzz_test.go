package forward

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

// ParseBlob reads what forward keeps with the confirmed number and returns how
// it would be written again, with what a start does to it in between.
func ParseBlob(blob []byte, topics Topics) (again []byte, err error) {
	p, err := parsePositions(blob)
	if err != nil {
		return nil, err
	}
	p.keepOnly([topicCount]string{topics.Readings, topics.Events, topics.DeadLetter})
	if len(p.refills) > 0 {
		p.lacks(p.refills[0].lane, p.refillFrom())
		p.lacking()
	}
	return p.encode(), nil
}

// MakeRecord makes of stored bytes what Kafka would get, as number 7 of the
// stream 6f2c9a1e.
func MakeRecord(place reading.Place, stored []byte, at time.Time, replayed bool) kgo.Record {
	m := newMaker(Options{Place: place, Topics: DefaultTopics()})
	w := new(window)
	w.reset("6f2c9a1e", 7)
	s := stamp{stream: "6f2c9a1e", number: 7, time: at, replayed: replayed}
	e, err := envelope.Parse(stored)
	if err != nil {
		m.addUnreadable(w, s, stored, err)
	} else {
		s.quality = e.Quality
		m.add(w, s, e)
	}
	return w.items[0].record
}

// RecordID returns the identity of a record that was read back, and whether a
// gateway of that name takes it for its own.
func RecordID(gateway string, r *kgo.Record) (id string, own bool) {
	f := &Forwarder{o: Options{Place: reading.Place{Gateway: gateway}}}
	id = string(recordID(r))
	return id, f.isOwn(id)
}

// Lost returns which of the records with offsets 10, 20, 30 and 40 are gone from
// a log with this extent and these identities; their own are "id-10" and so on.
func Lost(start, end int64, ids map[int64]string) []int {
	want := []placed{{10, "id-10"}, {20, "id-20"}, {30, "id-30"}, {40, "id-40"}}
	l := lane{"t", 0}
	for _, s := range spans(map[lane][]placed{l: want}, map[lane]log{l: {start, end}}) {
		if s.from > s.to || s.from < start || s.to >= end || s.from < 10 || s.to > 40 {
			return []int{-1}
		}
	}
	return lostRecords(want, log{start, end}, ids)
}
