package history_test

import (
	"testing"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/history"
)

// BenchmarkAnswer is what one exported record costs the gateway.
func BenchmarkAnswer(b *testing.B) {
	const count = 20000
	c := newCard(b, buffer.Options{})
	defer c.end()
	var records [][]byte
	for n := range count {
		records = append(records, power(b, noon, "washer", float64(n)).Append(nil))
	}
	last, err := c.b.Append(b.Context(), records...)
	if err == nil {
		err = c.b.Wait(b.Context(), last)
	}
	if err != nil {
		b.Fatal(err)
	}
	s := c.source()
	b.ReportAllocs()
	for b.Loop() {
		var line []byte
		if err := s.Answer(b.Context(), history.Query{}, func(l history.Line) error {
			line = l.Append(line[:0])
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/record")
}
