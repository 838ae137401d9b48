//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
	"time"
)

// measureOutage keeps Kafka away for a minute under full load: memory must not
// be where readings wait. Then the backlog leaves.
func measureOutage(ctx context.Context, l *lab) ([]sample, error) {
	return l.each(ctx, l.pipelines(), func(s *system) ([]sample, error) {
		if err := s.drained(ctx); err != nil {
			return nil, err
		}
		pid, err := l.kafkaPID(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.forgetPeak(); err != nil {
			return nil, err
		}
		// A stopped process keeps its connections and answers nothing, which is
		// worse for a client than one that refuses.
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return nil, err
		}
		defer syscall.Kill(pid, syscall.SIGCONT)
		limit, cancel := context.WithTimeout(ctx, time.Duration(60*l.scale*float64(time.Second)))
		defer cancel()
		_, err = load{address: s.mqtt, name: "plug", clients: 50, window: 10, qos: 1, total: math.MaxInt}.run(limit)
		if ctx.Err() != nil || limit.Err() == nil {
			return nil, fmt.Errorf("the load ended early: %w", err)
		}
		_, stopped, err := s.memory()
		if err != nil {
			return nil, err
		}
		return []sample{{s.name, "memory at most, Kafka stopped for 60 s under full load", "MB", stopped / 1e6}}, nil
	})
}

// measureSlowKafka lets Kafka work for a tenth of the time.
func measureSlowKafka(ctx context.Context, l *lab) ([]sample, error) {
	return l.each(ctx, l.pipelines(), func(s *system) ([]sample, error) {
		if err := s.drained(ctx); err != nil {
			return nil, err
		}
		pid, err := l.kafkaPID(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.forgetPeak(); err != nil {
			return nil, err
		}
		slow, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); throttle(slow, pid) }()
		n := l.messages(1_000_000)
		_, err = load{address: s.mqtt, name: "plug", clients: 50, window: 10, qos: 1, total: n}.run(ctx)
		_, peak, memErr := s.memory()
		stop()
		<-ended
		if err := errors.Join(err, memErr); err != nil {
			return nil, err
		}
		return []sample{{s.name, "memory at most, Kafka working a tenth of the time", "MB", peak / 1e6}}, nil
	})
}

// throttle stops a process for 90 of each 100 ms.
func throttle(ctx context.Context, pid int) {
	defer syscall.Kill(pid, syscall.SIGCONT)
	for ctx.Err() == nil {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		sleep(ctx, 90*time.Millisecond)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		sleep(ctx, 10*time.Millisecond)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// nowhere is an address that refuses connections: Kafka is away.
const nowhere = `{brokers: ["127.0.0.1:1"]}`

// backlog fills a gateway's buffer while Kafka is away.
func (l *lab) backlog(ctx context.Context, dir string, n int, changed settings) error {
	away := settings{"kafka": nowhere}
	for key, value := range changed {
		away[key] = value
	}
	s, err := l.gateway(ctx, dir, away)
	if err != nil {
		return err
	}
	defer s.stop()
	_, err = load{address: s.mqtt, name: "plug", clients: 50, window: 10, qos: 1, total: n}.run(ctx)
	return err
}

// measureDrain is how fast a backlog leaves once Kafka is back.
func measureDrain(ctx context.Context, l *lab) ([]sample, error) {
	dir, err := l.fresh("drain")
	if err != nil {
		return nil, err
	}
	n := l.messages(1_000_000)
	if err := l.backlog(ctx, dir, n, nil); err != nil {
		return nil, err
	}
	begin := time.Now()
	s, err := l.gateway(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.drained(ctx); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	_, peak, err := s.memory()
	if err != nil {
		return nil, err
	}
	produced, err := produceRate(ctx, l)
	if err != nil {
		return nil, err
	}
	rate := float64(n) / took.Seconds()
	return []sample{
		{ours, "drain of a backlog, start of the program included", "records/s", rate},
		{ours, "memory at most while draining", "MB", peak / 1e6},
		{ours, "that rate against franz-go from memory, beside it", "x", rate / produced[0].value},
	}, nil
}

// measureStart is how long a start takes, and what an idle gateway uses.
func measureStart(ctx context.Context, l *lab) ([]sample, error) {
	dir, err := l.fresh("start")
	if err != nil {
		return nil, err
	}
	empty, err := l.startTime(ctx, dir)
	if err != nil {
		return nil, err
	}
	idle, err := l.idle(ctx, dir)
	if err != nil {
		return nil, err
	}
	full := settings{"buffer": "{limit: 3GiB}"}
	// What hardly compresses fills the card sooner; the files are as large.
	if err := l.fill(ctx, dir, int64(2<<30*min(1, l.scale)), full); err != nil {
		return nil, err
	}
	filled, err := l.startTime(ctx, dir)
	if err != nil {
		return nil, err
	}
	return append([]sample{
		{ours, "start, empty buffer", "ms", millis(empty)},
		{ours, "start, buffer of 2 GiB", "ms", millis(filled)},
	}, idle...), nil
}

// startTime is how long it takes until sockets can connect.
func (l *lab) startTime(ctx context.Context, dir string) (time.Duration, error) {
	begin := time.Now()
	s, err := l.gateway(ctx, dir, settings{"buffer": "{limit: 3GiB}", "kafka": nowhere})
	if err != nil {
		return 0, err
	}
	defer s.stop()
	return time.Since(begin), nil
}

func (l *lab) idle(ctx context.Context, dir string) ([]sample, error) {
	s, err := l.gateway(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	sleep(ctx, 5*time.Second)
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	wait := time.Duration(60 * min(1, l.scale) * float64(time.Second))
	sleep(ctx, wait)
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	resident, _, err := s.memory()
	return []sample{
		{ours, "memory, idle", "MB", resident / 1e6},
		{ours, "CPU, idle", "ms per minute", millis(after-before) * float64(time.Minute) / float64(wait)},
	}, err
}

// fill publishes until the buffer's files take so many bytes.
func (l *lab) fill(ctx context.Context, dir string, bytes int64, changed settings) error {
	for diskUse(dir+"/data/buffer") < bytes {
		if err := l.backlog(ctx, dir, 2_000_000, changed); err != nil {
			return err
		}
	}
	return nil
}

func diskUse(dir string) (sum int64) {
	entries, _ := os.ReadDir(dir) // not there yet: nothing is used
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".seg") {
			sum += info.Size()
		}
	}
	return sum
}

// measureSockets is what more connected sockets cost at the same load.
func measureSockets(ctx context.Context, l *lab) ([]sample, error) {
	var all []sample
	for _, sockets := range []int{10, 100, 1000, 5000} {
		samples, err := l.each(ctx, l.pipelines(), func(s *system) ([]sample, error) {
			if err := s.drained(ctx); err != nil {
				return nil, err
			}
			before, err := s.cpu()
			if err != nil {
				return nil, err
			}
			n := l.messages(200_000)
			if _, err := (load{address: s.mqtt, name: "plug", clients: sockets, window: 2, qos: 1, total: n, rate: 10_000}).run(ctx); err != nil {
				return nil, err
			}
			if err := s.drained(ctx); err != nil {
				return nil, err
			}
			after, err := s.cpu()
			if err != nil {
				return nil, err
			}
			_, peak, err := s.memory()
			what := fmt.Sprintf("%s sockets, 10,000 msg/s", thousands(int64(sockets)))
			return []sample{
				{s.name, "CPU per message, " + what, "us", float64((after - before).Microseconds()) / float64(n)},
				{s.name, "memory at most, " + what, "MB", peak / 1e6},
			}, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, samples...)
	}
	return all, nil
}
