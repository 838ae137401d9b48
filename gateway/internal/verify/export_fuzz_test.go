package verify

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// Tally reports on records as Run does, without a Kafka to read them from.
func Tally(topics forward.Topics, records []*kgo.Record) Report {
	t := newTally(topics)
	for _, r := range records {
		t.see(r)
	}
	return t.report()
}
