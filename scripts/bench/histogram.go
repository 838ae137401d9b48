//go:build linux

package main

import (
	"math"
	"time"
)

// A histogram counts durations from 1 us to about 100 s in steps of 2 %.
type histogram struct {
	counts [buckets]uint64
	n      uint64
	most   time.Duration
}

const (
	buckets = 940
	step    = 1.02
)

func (h *histogram) observe(d time.Duration) {
	i := int(math.Log(max(float64(d)/1e3, 1)) / math.Log(step))
	h.counts[min(i, buckets-1)]++
	h.n++
	h.most = max(h.most, d)
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.most = max(h.most, o.most)
}

// quantile is the middle of the step that holds it.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := uint64(math.Ceil(q*float64(h.n))), uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(h.most, time.Duration(1e3*math.Pow(step, float64(i)+0.5)))
		}
	}
	return 0
}
