//go:build unix

package forward_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/reading"
)

// BenchmarkDrain brings a backlog to a broker that throws everything away. The
// broker runs in this process, so cpu-ns/op counts its part too: decompression
// is not in it, the copying of requests is.
func BenchmarkDrain(b *testing.B) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BlackholeProduce(), kfake.DefaultNumPartitions(3))
	if err != nil {
		b.Fatal(err)
	}
	defer broker.Close()
	broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1}) // nothing is there to be read back
	dir := b.TempDir()
	buf, err := buffer.Open(filepath.Join(dir, "buffer"), buffer.Options{Limit: 2 << 30, Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	clk, err := clock.Open(clock.Options{Path: filepath.Join(dir, "clock"), Trust: true})
	if err != nil {
		b.Fatal(err)
	}
	f := forward.New(forward.Options{Brokers: broker.ListenAddrs(), CreateTopics: true, Place: place}, buf, clk)
	ctx, cancel := context.WithCancel(b.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = buf.Run(ctx, func() {}) })
	last := backlog(b, buf, clk, b.N)

	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	group.Go(func() { _ = f.Run(ctx, func() {}) })
	for f.Stats().Confirmed < last {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
	b.StopTimer()
	cancel()
	group.Wait()
	if err := buf.Close(); err != nil {
		b.Fatal(err)
	}
}

// backlog stores n readings as a smart socket sends them.
func backlog(b *testing.B, buf *buffer.Buffer, clk *clock.Clock, n int) (last uint64) {
	b.Helper()
	batch := make([][]byte, 0, 500)
	for i := range n {
		body, err := reading.AppendBody(nil, place, reading.Reading{
			Device: fmt.Sprintf("socket-%d", i%50), Source: "tasmota",
			Values: []reading.Value{
				{Metric: reading.Power, Number: float64(i % 2300)}, {Metric: reading.ApparentPower, Number: float64(i % 2311)},
				{Metric: reading.ReactivePower, Number: float64(i % 131)}, {Metric: reading.PowerFactor, Number: float64(i%100) / 100},
				{Metric: reading.Voltage, Number: 230 + float64(i%7)}, {Metric: reading.Current, Number: float64(i%1000) / 100},
				{Metric: reading.Energy, Number: 1000 + float64(i)/1000}, {Metric: reading.EnergyToday, Number: float64(i) / 10000},
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		e := envelope.Envelope{Kind: envelope.Reading, Taken: clk.Now(), Key: fmt.Sprintf("socket-%d", i%50), Body: body}
		batch = append(batch, e.Append(nil))
		if len(batch) == cap(batch) || i == n-1 {
			if last, err = buf.Append(b.Context(), batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	if err := buf.Wait(b.Context(), last); err != nil {
		b.Fatal(err)
	}
	return last
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
