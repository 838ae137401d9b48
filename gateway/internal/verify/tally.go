package verify

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/reading"
)

// A streamName is a gateway and one of its streams.
type streamName struct{ gateway, stream string }

// A tally adds up what is read.
type tally struct {
	topics  forward.Topics
	streams map[streamName]*stream
	order   map[deviceName]uint64 // last number of each device
	whole   bool                  // no partition has lost its beginning
	foreign uint64                // records that are not ours

	unordered uint64 // records of devices beyond maxDevices
}

type deviceName struct {
	streamName
	device string
}

// maxDevices bounds the check of the order: names of devices come from outside.
const maxDevices = 100_000

// A stream is what was seen of one stream.
type stream struct {
	found StreamReport // counts so far
	seen  set

	explained []Span
	tidyAt    int      // number of explained spans at which they are merged
	unclean   []uint64 // last numbers before unclean starts
	begins    uint64   // first number by its stream_started event; 0: not seen
}

func newTally(topics forward.Topics) *tally {
	return &tally{topics: topics, streams: map[streamName]*stream{}, order: map[deviceName]uint64{}, whole: true}
}

// bounds takes note of where a partition begins.
func (t *tally) bounds(p partition) { t.whole = t.whole && p.start == 0 }

// recordJSON is what of a record counts here.
type recordJSON struct {
	ID       string `json:"id"`
	Seq      uint64 `json:"seq"`
	Gateway  string `json:"gateway"`
	Device   string `json:"device"`
	Replayed bool   `json:"replayed"`

	Event   string          `json:"event"`
	From    json.RawMessage `json:"from"` // numbers in some events, text in others
	To      json.RawMessage `json:"to"`
	Count   json.RawMessage `json:"count"`
	First   json.RawMessage `json:"first"`
	LastSeq json.RawMessage `json:"last_seq"`
}

func number(raw json.RawMessage) uint64 {
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (t *tally) see(r *kgo.Record) {
	if r.Topic == t.topics.DeadLetter {
		t.seeLetter(r)
		return
	}
	var j recordJSON
	if err := json.Unmarshal(r.Value, &j); err != nil {
		t.foreign++
		return
	}
	isGap := r.Topic == t.topics.Events && j.Event == string(reading.Gap)
	if !isNumber(j.Seq) && !(isGap && j.Seq == 0) {
		t.foreign++
		return
	}
	s, ok := t.stream(j.ID, j.Gateway)
	if !ok {
		t.foreign++
		return
	}
	if isGap {
		s.explain(Span{number(j.From), number(j.To)})
		if j.Seq == 0 {
			return
		}
	}
	if r.Topic == t.topics.Events {
		s.found.Events++
		s.seeEvent(j)
	} else {
		s.found.Readings++
	}
	if fresh := s.count(j.Seq, j.Replayed); fresh && !j.Replayed && r.Topic == t.topics.Readings {
		t.checkOrder(s, j)
	}
}

// seeLetter reads the headers: the value is whatever could not be read.
func (t *tally) seeLetter(r *kgo.Record) {
	var id string
	replayed := false
	for _, h := range r.Headers {
		switch h.Key {
		case "id":
			id = string(h.Value)
		case "replayed":
			replayed = string(h.Value) == "true"
		}
	}
	_, seq, err := reading.SplitID(id)
	if err != nil || !isNumber(seq) {
		t.foreign++
		return
	}
	s, ok := t.stream(id, "")
	if !ok {
		t.foreign++
		return
	}
	s.found.DeadLetters++
	s.count(seq, replayed)
}

// stream finds the stream of an identity. A gap's identity goes on behind the
// stream; the gateway's name, where it is known, tells where it begins.
func (t *tally) stream(id, gateway string) (*stream, bool) {
	if gateway == "" {
		rest, _, _ := cutLast(id)
		gateway, _, _ = cutLast(rest)
	}
	rest, ok := strings.CutPrefix(id, gateway+"-")
	name, _, more := strings.Cut(rest, "-")
	if !ok || !more || !isName(gateway) || !isName(name) {
		return nil, false
	}
	key := streamName{gateway, name}
	s := t.streams[key]
	if s == nil {
		s = &stream{found: StreamReport{Gateway: gateway, Stream: name}}
		t.streams[key] = s
	}
	return s, true
}

// isNumber tells numbers that a gateway can have given from those that somebody
// else wrote: a million records a second reach the limit in 100,000 years.
func isNumber(seq uint64) bool { return 0 < seq && seq < 1<<62 }

// isName: the report shows it to a person, on whose terminal it must not write.
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// count reports whether the number was new.
func (s *stream) count(seq uint64, replayed bool) bool {
	if replayed {
		s.found.Replayed++
	}
	fresh := s.seen.add(seq)
	if !fresh && !replayed {
		s.found.Duplicates++
		s.found.DuplicateExamples.add(seq)
	}
	if s.found.First == 0 || seq < s.found.First {
		s.found.First = seq
	}
	s.found.Last = max(s.found.Last, seq)
	return fresh
}

func (s *stream) explain(gap Span) {
	if !isNumber(gap.First) || !isNumber(gap.Last) || gap.Last < gap.First {
		return
	}
	s.explained = append(s.explained, gap)
	if len(s.explained) >= s.tidyAt {
		// Gaps repeat with every replay; merged, they take no more room.
		s.explained = merge(s.explained)
		s.tidyAt = 2*len(s.explained) + 1000
	}
}

func (s *stream) seeEvent(j recordJSON) {
	switch reading.EventType(j.Event) {
	case reading.Refused:
		s.found.Refused += number(j.Count)
	case reading.UncleanStart:
		s.found.UncleanStarts++
		s.unclean = append(s.unclean, number(j.LastSeq))
	case reading.StreamStarted:
		s.begins = number(j.First)
	case reading.KafkaRewound:
		s.found.Rewound++
	}
}

// checkOrder compares with the device's last number. Repeated ids never come
// here: they are duplicates, which a consumer drops.
func (t *tally) checkOrder(s *stream, j recordJSON) {
	key := deviceName{streamName{s.found.Gateway, s.found.Stream}, j.Device}
	last, known := t.order[key]
	switch {
	case !known && len(t.order) >= maxDevices:
		t.unordered++
	case j.Seq < last:
		s.found.Disorder++
		s.found.DisorderExamples.add(j.Seq)
	default:
		t.order[key] = j.Seq
	}
}

func (t *tally) report() Report {
	r := Report{Foreign: t.foreign, NotOrdered: t.unordered, BeginningGone: !t.whole}
	for _, s := range slices.SortedFunc(maps.Values(t.streams), func(a, b *stream) int {
		return cmp.Or(strings.Compare(a.found.Gateway, b.found.Gateway), cmp.Compare(a.found.First, b.found.First))
	}) {
		r.Streams = append(r.Streams, s.finish(t.whole))
	}
	return r
}

// finish finds the holes. Numbers before the first one that is there are
// missing only if the stream began earlier and nothing was deleted.
func (s *stream) finish(whole bool) StreamReport {
	r := s.found
	explained := merge(s.explained)
	first := r.First
	if whole && s.begins > 0 {
		first = min(first, s.begins)
	}
	if r.Last > 0 {
		holes := s.seen.missing(first, r.Last)
		r.Holes = without(holes, explained)
		r.Holes, r.Unclean = s.splitUnclean(r.Holes)
	}
	r.Explained = explained
	return r
}

// splitUnclean takes out the holes that begin where a start after a crash found
// the last number.
func (s *stream) splitUnclean(holes []Span) (left, unclean []Span) {
	for _, h := range holes {
		if slices.Contains(s.unclean, h.First-1) {
			unclean = append(unclean, h)
			continue
		}
		left = append(left, h)
	}
	return left, unclean
}
