package verify_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/verify"
)

// Anybody who may write to the topics can put anything into them; a person who
// asks whether readings are missing must get an answer nevertheless, on one line
// for each thing.
func FuzzTally(f *testing.F) {
	for _, lines := range []string{
		`r{"v":1,"id":"pi1-6f2c9a1e-1","seq":1,"gateway":"pi1","device":"washer"}` + "\n" +
			`r{"v":1,"id":"pi1-6f2c9a1e-3","seq":3,"gateway":"pi1","device":"washer"}` + "\n" +
			`e{"v":1,"id":"pi1-6f2c9a1e-gap-2-2","gateway":"pi1","event":"gap","from":2,"to":2}`,
		`e{"v":1,"id":"pi-1-6f2c9a1e-7","seq":7,"gateway":"pi-1","event":"stream_started","first":7}` + "\n" + "dpi-1-6f2c9a1e-8",
		`e{"id":"a-b-9","seq":9,"gateway":"a","event":"unclean_start","last_seq":8}` + "\n" + `r{"id":"a-b-11","seq":11,"gateway":"a","replayed":true}`,
		`r{"id":"a-b-1","seq":1,"gateway":"a"}` + "\n" + `r{"id":"a-b-18446744073709551615","seq":18446744073709551615,"gateway":"a"}`,
		`e{"id":"a-b-gap-1-18446744073709551615","gateway":"a","event":"gap","from":1,"to":18446744073709551615}` + "\n" +
			`e{"id":"a-b-gap-5-6","gateway":"a","event":"gap","from":5,"to":6}` + "\n" + `r{"id":"a-b-9","seq":9,"gateway":"a"}`,
		`r{"id":"a-b\n-1","seq":1,"gateway":"a"}`, "dx-\x1b[2J-4", "r{}", "r", "",
	} {
		f.Add([]byte(lines))
	}
	topics := forward.DefaultTopics()
	f.Fuzz(func(t *testing.T, input []byte) {
		records := recordsOf(topics, input)
		r := verify.Tally(topics, records)
		checkReport(t, r, len(records))
		text := r.String()
		if i := strings.IndexFunc(text, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) }); i >= 0 {
			t.Errorf("report holds %q", text[i:])
		}
		if lines := strings.Count(text, "\n"); lines > 10*len(r.Streams)+4 {
			t.Errorf("%d lines about %d streams:\n%s", lines, len(r.Streams), text)
		}
	})
}

// recordsOf makes a record of each line: its first letter says of which topic.
func recordsOf(topics forward.Topics, input []byte) []*kgo.Record {
	var records []*kgo.Record
	for line := range bytes.SplitSeq(input, []byte("\n")) {
		r := &kgo.Record{Topic: topics.Readings, Value: line}
		if len(line) > 0 {
			r.Value = line[1:]
			switch line[0] {
			case 'e':
				r.Topic = topics.Events
			case 'd':
				r.Topic = topics.DeadLetter
				r.Headers = []kgo.RecordHeader{{Key: "id", Value: line[1:]}, {Key: "replayed", Value: []byte("true")[:4*(len(line)%2)]}}
			}
		}
		records = append(records, r)
	}
	return records
}

func checkReport(t *testing.T, r verify.Report, records int) {
	t.Helper()
	counted := r.Foreign
	for _, s := range r.Streams {
		counted += s.Readings + s.Events + s.DeadLetters
		before := uint64(0)
		for _, h := range s.Holes {
			if h.First > h.Last || h.First <= before && before > 0 || h.Last > s.Last {
				t.Errorf("stream %s-%s through %d: hole %v behind %d", s.Gateway, s.Stream, s.Last, h, before)
			}
			before = h.Last
		}
		for _, e := range s.Explained {
			for _, h := range s.Holes {
				if h.First <= e.Last && e.First <= h.Last {
					t.Errorf("hole %v is explained by %v", h, e)
				}
			}
		}
	}
	if counted > uint64(records) || counted == math.MaxUint64 {
		t.Errorf("%d records are counted as %d", records, counted)
	}
}
