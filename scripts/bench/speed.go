//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// The systems by the names that bars are computed with.
const (
	ours       = "plantgate"
	theirs     = "mosquitto"
	theirsBoth = "mosquitto + Telegraf"
)

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }

// each starts the systems one after the other for one measure.
func (l *lab) each(ctx context.Context, systems []func(context.Context, string) (*system, error), f func(*system) ([]sample, error)) ([]sample, error) {
	var all []sample
	for _, begin := range systems {
		dir, err := l.fresh("system")
		if err != nil {
			return nil, err
		}
		s, err := begin(ctx, dir)
		if err != nil {
			return nil, err
		}
		samples, err := f(s)
		s.stop()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, samples...)
	}
	return all, nil
}

func (l *lab) plain(ctx context.Context, dir string) (*system, error) {
	return l.gateway(ctx, dir, nil)
}

// brokers are what acknowledges to sockets.
func (l *lab) brokers() []func(context.Context, string) (*system, error) {
	all := []func(context.Context, string) (*system, error){l.plain}
	if l.telegrafProgram != "" {
		all = append(all, l.mosquitto)
	}
	return all
}

// pipelines are what brings messages to Kafka.
func (l *lab) pipelines() []func(context.Context, string) (*system, error) {
	all := []func(context.Context, string) (*system, error){l.plain}
	if l.telegrafProgram != "" {
		all = append(all, l.telegraf)
	}
	return all
}

var shapes = []struct {
	clients, window int
	qos             byte
	messages        int
}{
	{1, 1, 1, 1000}, {1, 20, 1, 10_000}, {50, 10, 1, 300_000}, {500, 10, 1, 300_000}, {50, 10, 0, 300_000}, {50, 10, 2, 100_000},
}

// measureAcknowledged is how fast sockets get their answers; the gateway's
// answers come from the card, those of mosquitto from memory.
func measureAcknowledged(ctx context.Context, l *lab) ([]sample, error) {
	return l.each(ctx, l.brokers(), func(s *system) ([]sample, error) {
		var all []sample
		for _, shape := range shapes {
			n := l.messages(shape.messages)
			r, err := load{address: s.mqtt, name: "plug", clients: shape.clients, window: shape.window, qos: shape.qos, total: n}.run(ctx)
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("QoS %d, %dx%d", shape.qos, shape.clients, shape.window)
			all = append(all, sample{s.name, "acknowledged, " + name, "msg/s", r.rate(n)})
			if shape.qos > 0 {
				all = append(all, latencies(s.name, "acknowledgement, "+name, &r.latency)...)
			}
			if err := s.drained(ctx); err != nil {
				return nil, err
			}
		}
		return all, nil
	})
}

func latencies(system, what string, h *histogram) []sample {
	return []sample{
		{system, what + ", p50", "ms", millis(h.quantile(0.5))},
		{system, what + ", p99", "ms", millis(h.quantile(0.99))},
		{system, what + ", p99.9", "ms", millis(h.quantile(0.999))},
	}
}

// drained waits until the gateway has brought everything to Kafka.
func (s *system) drained(ctx context.Context) error {
	if s.status == nil {
		return nil
	}
	return eventually(ctx, 5*time.Minute, "everything in Kafka", func() (bool, error) {
		st, err := s.status(ctx)
		return err == nil && st.Buffer != nil && st.Buffer.Confirmed+1 >= st.Buffer.Next, s.parts[0].err()
	})
}

// measureHalfLoad is the time that answers take when a machine has room to
// breathe: an open load at half the rate that it could bear.
func measureHalfLoad(ctx context.Context, l *lab) ([]sample, error) {
	return l.each(ctx, l.brokers(), func(s *system) ([]sample, error) {
		n := l.messages(200_000)
		full, err := load{address: s.mqtt, name: "plug", clients: 50, window: 10, qos: 1, total: n}.run(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.drained(ctx); err != nil {
			return nil, err
		}
		rate := full.rate(n) / 2
		half, err := load{address: s.mqtt, name: "plug", clients: 50, qos: 1, total: int(10 * rate * min(1, l.scale)), rate: rate}.run(ctx)
		if err != nil {
			return nil, err
		}
		all := append(latencies(s.name, "acknowledgement, open loop at half the full rate", &half.latency),
			sample{s.name, "rate of that open loop", "msg/s", rate})
		times, err := syncTimes(l.dir, 100)
		if err != nil {
			return nil, err
		}
		return append(all, sample{s.name, "median of an fsync beside it", "ms", millis(times[len(times)/2])}), nil
	})
}

// measureSustained is the way from the socket until a consumer has it.
func measureSustained(ctx context.Context, l *lab) ([]sample, error) {
	return l.each(ctx, l.pipelines(), func(s *system) ([]sample, error) {
		if err := s.drained(ctx); err != nil {
			return nil, err
		}
		if err := l.freshTopic(ctx, s.topic); err != nil {
			return nil, err
		}
		r, err := l.read(ctx, s.topic)
		if err != nil {
			return nil, err
		}
		defer r.k.Close()
		if err := s.forgetPeak(); err != nil {
			return nil, err
		}
		before, err := s.cpu()
		if err != nil {
			return nil, err
		}
		n := l.messages(1_000_000)
		begin := time.Now()
		sent, err := load{address: s.mqtt, name: "plug", clients: 50, window: 10, qos: 1, total: n}.run(ctx)
		if err != nil {
			return nil, err
		}
		if err := r.await(ctx, n, nil); err != nil {
			return nil, err
		}
		took := time.Since(begin)
		after, err := s.cpu()
		if err != nil {
			return nil, err
		}
		_, peak, err := s.memory()
		if err != nil {
			return nil, err
		}
		return []sample{
			{s.name, "from socket until readable in Kafka", "msg/s", float64(n) / took.Seconds()},
			{s.name, "acknowledged meanwhile", "msg/s", sent.rate(n)},
			{s.name, "CPU of all processes, per message", "us", float64((after - before).Microseconds()) / float64(n)},
			{s.name, "memory at most, Kafka running", "MB", peak / 1e6},
		}, nil
	})
}

// measureEndToEnd is how long a reading is on its way when there is no hurry.
func measureEndToEnd(ctx context.Context, l *lab) ([]sample, error) {
	return l.each(ctx, l.pipelines(), func(s *system) ([]sample, error) {
		if err := s.drained(ctx); err != nil {
			return nil, err
		}
		if err := l.freshTopic(ctx, s.topic); err != nil {
			return nil, err
		}
		r, err := l.read(ctx, s.topic)
		if err != nil {
			return nil, err
		}
		defer r.k.Close()
		h, err := l.endToEnd(ctx, s, r)
		if err != nil {
			return nil, err
		}
		return latencies(s.name, "from socket until read from Kafka, at 1,000 msg/s", h), nil
	})
}
