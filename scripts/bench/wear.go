//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// measureWear counts what a card is given: at several rates, and per day of one
// reading a second.
func measureWear(ctx context.Context, l *lab) ([]sample, error) {
	c, err := l.mountCard(ctx, "card", 4<<30)
	if err != nil {
		return nil, err
	}
	defer c.remove(ctx)
	var all []sample
	for _, rate := range []float64{1, 10, 100, 10_000} {
		w, err := l.wear(ctx, c, load{qos: 1, rate: rate}, 5*time.Second, 0)
		if err != nil {
			return nil, err
		}
		what := thousands(int64(rate)) + " readings a second, QoS 1"
		all = append(all,
			sample{ours, "written to the card per reading, " + what, "bytes", w.bytes / w.readings},
			sample{ours, "flushes per reading, " + what, "", w.flushes / w.readings})
	}
	for _, every := range []time.Duration{time.Second, 5 * time.Second, time.Minute} {
		w, err := l.wear(ctx, c, load{rate: 1}, every, 0)
		if err != nil {
			return nil, err
		}
		all = append(all, sample{ours, fmt.Sprintf("written to the card per day, QoS 0, 1 reading a second, commit_every %s", every), "MB", w.perDay()})
	}
	w, err := l.wear(ctx, c, load{rate: 1}, 5*time.Second, l.messages(1_000_000))
	if err != nil {
		return nil, err
	}
	all = append(all, sample{ours, "the same with 5 s after a drained backlog of a million", "MB", w.perDay()})
	bolt, err := l.boltWear(c)
	return append(all, bolt...), err
}

// A worn is what one measure gave the card.
type worn struct {
	bytes, flushes, readings float64
	took                     time.Duration
}

func (w worn) perDay() float64 { return w.bytes / 1e6 * (24 * time.Hour).Seconds() / w.took.Seconds() }

// wear runs a gateway on the card under an open load of ten sockets at most.
// What it writes at its start does not count.
func (l *lab) wear(ctx context.Context, c *card, o load, every time.Duration, before int) (w worn, err error) {
	dir, err := l.fresh(filepath.Join("card", "gateway"))
	if err != nil {
		return w, err
	}
	changed := settings{"buffer": fmt.Sprintf("{commit_every: %s}", every)}
	if before > 0 {
		if err := l.backlog(ctx, dir, before, changed); err != nil {
			return w, err
		}
	}
	s, err := l.gateway(ctx, dir, changed)
	if err != nil {
		return w, err
	}
	defer s.stop()
	if err := s.drained(ctx); err != nil {
		return w, err
	}
	sleep(ctx, 3*time.Second) // the last positions are written
	wait := max(time.Duration(60*min(1, l.scale)*float64(time.Second)), 2*every)
	bytes, flushes, err := c.written()
	if err != nil {
		return w, err
	}
	o.address, o.name, o.total = s.mqtt, "plug", int(o.rate*wait.Seconds())
	o.clients = min(10, max(1, o.total/100))
	begin := time.Now()
	if _, err := o.run(ctx); err != nil {
		return w, err
	}
	w.took, w.readings = time.Since(begin), float64(o.total)
	w.bytes, w.flushes, err = c.written()
	w.bytes, w.flushes = w.bytes-bytes, w.flushes-flushes
	return w, err
}

// boltWear is one bbolt value of a block's size for each commit, on the same
// card.
func (l *lab) boltWear(c *card) ([]sample, error) {
	const commits, size = 200, 256
	before, _, err := c.written()
	if err != nil {
		return nil, err
	}
	if err := boltCommits(filepath.Join(c.dir, "plain.db"), commits, size); err != nil {
		return nil, err
	}
	after, _, err := c.written()
	return []sample{{"bbolt", "written to the card per commit of one value of 256 bytes", "bytes", (after - before) / commits}}, err
}
