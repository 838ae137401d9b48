package main

import (
	"context"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/reading"
)

// selfEvery is how often the gateway reports itself as a device.
const selfEvery = time.Minute

// selfSource is the source of the gateway's own readings.
const selfSource = "plantgate"

// reportItself sends the gateway's own state down the same path as every other
// device's, so that whoever draws the readings can draw and alert on it too.
func (g *gateway) reportItself(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(selfEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		g.tellService()
		if err := g.ingest.Put(g.ownReading()); err != nil {
			g.log.Debug("own reading was not kept", journal.Error(err)) // ingest has counted it
		}
	}
}

func (g *gateway) ownReading() reading.Reading {
	r := reading.Reading{Device: g.cfg.Gateway, Source: selfSource}
	add := func(m reading.Metric, n float64) { r.Values = append(r.Values, reading.Value{Metric: m, Number: n}) }
	in := g.ingest.Stats()
	add(reading.ReadingsTotal, float64(in.Readings))
	add(reading.RefusedTotal, float64(in.Refused))
	add(reading.DevicesSilent, float64(in.Silent))
	add(reading.ConnectedClients, float64(g.broker.Stats().Clients))
	if parts := g.store.now(); parts.buffer != nil {
		b, f := parts.buffer.Stats(), parts.forwarder.Stats()
		add(reading.BufferRecords, float64(b.Unsent))
		add(reading.BufferBytes, float64(b.Bytes))
		add(reading.OldestUnsent, g.oldestUnsent(f).Seconds())
		add(reading.GapsTotal, float64(f.Gaps))
		add(reading.CardWritten, float64(b.BytesWritten)/1e6)
	}
	if free, ok := freeBytes(g.cfg.DataDir); ok {
		add(reading.CardFree, free/1e6)
	}
	return r
}
