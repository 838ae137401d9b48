//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.etcd.io/bbolt"
)

// measureLimits shows what the parts can do at most on this machine, so that a
// figure can be told from its surroundings.
func measureLimits(ctx context.Context, l *lab) ([]sample, error) {
	var all []sample
	for _, m := range []measure{{"mochi", mochiAlone}, {"fsync", syncRate}, {"bbolt", boltRate}, {"franz-go", produceRate}} {
		s, err := m.run(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		all = append(all, s...)
	}
	return all, nil
}

// allow lets everybody do everything: without a hook mochi lets in nobody.
type allow struct{ mqtt.HookBase }

func (*allow) ID() string { return "allow" }

func (*allow) Provides(b byte) bool { return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck }

func (*allow) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (*allow) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// mochiAlone is the MQTT library with no hook of ours. It runs in this process,
// beside the load.
func mochiAlone(ctx context.Context, l *lab) ([]sample, error) {
	address := freeAddress()
	s := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	err := errors.Join(s.AddHook(new(allow), nil), s.AddListener(listeners.NewTCP(listeners.Config{ID: "t", Address: address})), s.Serve())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	n := l.messages(200_000)
	r, err := load{address: address, name: "plug", clients: 50, window: 10, qos: 1, total: n}.run(ctx)
	if err != nil {
		return nil, err
	}
	return []sample{{"mochi with no hook", "acknowledged, QoS 1, 50x10", "msg/s", r.rate(n)}}, nil
}

// syncTimes appends 4 KiB and syncs, again and again.
func syncTimes(dir string, n int) ([]time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "synced"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(n) * 4096); err != nil {
		return nil, err
	}
	times := make([]time.Duration, n)
	for i := range times {
		begin := time.Now()
		if _, err := f.WriteAt(make([]byte, 4096), int64(i)*4096); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	return times, nil
}

func syncRate(_ context.Context, l *lab) ([]sample, error) {
	dir, err := l.fresh("sync")
	if err != nil {
		return nil, err
	}
	times, err := syncTimes(dir, 300)
	if err != nil {
		return nil, err
	}
	median := times[len(times)/2]
	return []sample{
		{"file system", "4 KiB written and synced", "per s", 1 / median.Seconds()},
		{"file system", "median of an fsync", "ms", millis(median)},
	}, nil
}

// boltRate is one value of a usual block for each transaction.
func boltRate(_ context.Context, l *lab) ([]sample, error) {
	dir, err := l.fresh("bolt")
	if err != nil {
		return nil, err
	}
	const commits = 300
	begin := time.Now()
	if err := boltCommits(filepath.Join(dir, "db"), commits, 4096); err != nil {
		return nil, err
	}
	return []sample{{"bbolt", "commits with one value of 4 KiB", "per s", commits / time.Since(begin).Seconds()}}, nil
}

func boltCommits(path string, commits, size int) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096})
	if err != nil {
		return err
	}
	defer db.Close()
	for i := range commits {
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("values"))
			if err != nil {
				return err
			}
			return b.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), make([]byte, size))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// produceRate is the Kafka client of the gateway with the gateway's settings and
// records of the same bytes, straight from memory.
func produceRate(ctx context.Context, l *lab) ([]sample, error) {
	const topic = "memory"
	if err := l.freshTopic(ctx, topic); err != nil {
		return nil, err
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(l.bootstrap), kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return nil, err
	}
	defer k.Close()
	n := l.messages(1_000_000)
	keys, values := sampleRecords()
	begin := time.Now()
	var failed error
	for i := range n {
		k.Produce(ctx, &kgo.Record{Key: keys[i%len(keys)], Value: values[i%len(values)]}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := errors.Join(k.Flush(ctx), failed); err != nil {
		return nil, err
	}
	return []sample{{"franz-go from memory", "produced", "records/s", float64(n) / time.Since(begin).Seconds()}}, nil
}

// sampleRecords are records as the gateway makes them of the load's messages.
func sampleRecords() (keys, values [][]byte) {
	for i := range 50 {
		keys = append(keys, fmt.Appendf(nil, "plug%d", i))
	}
	for i := range 5000 {
		values = append(values, fmt.Appendf(nil, `{"v":1,"id":"bench-6f2c9a1e-%d","seq":%d,"ts":"2026-11-24T08:12:31.%03dZ","ts_ms":1795507951%03d,"quality":"good","quality_level":0.0,"gateway":"bench","site":"home","device":"plug%d","channel":"","source":"tasmota","energy_kwh":1000000.%03d,"energy_yesterday_kwh":1.234,"energy_today_kwh":0.456,"power_w":123.0,"apparent_power_va":130.0,"reactive_power_var":20.0,"power_factor":0.95,"voltage_v":231.0,"current_a":0.545}`,
			100000+i, 100000+i, i%1000, i%1000, i%50, i%1000))
	}
	return keys, values
}
