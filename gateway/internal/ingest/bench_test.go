package ingest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
)

// BenchmarkAccept is what one message costs from topic and payload to the
// buffer's queue, with as many clients as there are processors and the commits
// beside it.
func BenchmarkAccept(b *testing.B) {
	in, err := ingest.New(ingest.Options{Place: place, Dialects: []ingest.Dialect{tasmota.New()}, Now: systemClock()})
	if err != nil {
		b.Fatal(err)
	}
	store, err := buffer.Open(b.TempDir(), buffer.Options{})
	if err != nil {
		b.Fatal(err)
	}
	in.Attach(store)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- store.Run(ctx, func() {}) }()
	payload := []byte(`{"Time":"2026-11-02T08:00:31","ENERGY":{"TotalStartTime":"2026-01-29T20:23:40","Total":81.701,"Yesterday":0.140,"Today":0.027,"Period":2,"Power":31,"ApparentPower":40,"ReactivePower":25,"Factor":0.78,"Voltage":236,"Current":0.170}}`)
	var clients atomic.Int32
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		m := ingest.Message{Topic: fmt.Sprintf("tele/plug%d/SENSOR", clients.Add(1)), Payload: payload, QoS: 1}
		for pb.Next() {
			if _, err := in.Accept(ctx, m); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	if err := store.Close(); err != nil {
		b.Error(err)
	}
}
