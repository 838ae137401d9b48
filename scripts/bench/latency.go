//go:build linux

package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// endToEnd publishes a thousand messages a second with one socket and sees each
// of them arrive. When it was sent follows from its number: the load is open.
func (l *lab) endToEnd(ctx context.Context, s *system, r *reader) (*histogram, error) {
	const rate = 1000
	n := l.messages(20_000)
	o := load{address: s.mqtt, name: "slow", clients: 1, qos: 1, total: n, rate: rate}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute+time.Duration(n)*time.Second/rate)
	defer cancel()
	var h histogram
	var bad error
	begin := time.Now() // a connection later than the load's own begin: less than a millisecond
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { _, err := o.run(ctx); return err })
	g.Go(func() error {
		return r.await(ctx, n, func(rec *kgo.Record) {
			i, err := counterOf(rec.Value, s.counter)
			if err != nil {
				bad = err
				return
			}
			h.observe(time.Since(begin.Add(time.Duration(i-1) * time.Second / rate)))
		})
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return &h, bad
}
