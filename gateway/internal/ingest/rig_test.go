package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

// A rig is an ingest before a real buffer. In a synctest bubble its clock is
// the bubble's.
type rig struct {
	t *testing.T
	*ingest.Ingest
	b    *buffer.Buffer
	log  *bytes.Buffer
	next uint64 // first record not yet looked at
	stop func()
}

var place = reading.Place{Gateway: "pi1", Site: "home"}

// second dialect: everything below other/ is a power in watts, and each payload
// with a "!" breaks it. It takes what is to be retained for repeated from memory.
type other struct{}

func (other) Name() string { return "other" }

func (other) Decode(m dialect.Message) (dialect.Result, bool) {
	device, mine := strings.CutPrefix(m.Topic, "other/")
	if !mine {
		return dialect.Result{}, false
	}
	if bytes.IndexByte(m.Payload, '!') >= 0 {
		panic("a mistake in the decoder")
	}
	number, err := dialect.Number(string(m.Payload))
	if err != nil {
		return dialect.Result{Err: err}, true
	}
	return dialect.Result{Cached: m.Retained, Readings: []reading.Reading{{
		Device: device, Source: "other", Values: []reading.Value{{Metric: reading.Power, Number: number}},
	}}}, true
}

func systemClock() func() clock.Instant {
	start := time.Now()
	return func() clock.Instant {
		now := time.Now()
		return clock.Instant{Wall: now.UnixMilli(), Boottime: now.Sub(start).Milliseconds(), Boot: 1, Synced: true}
	}
}

// newIngest returns an ingest without a buffer that runs until the test or stop
// ends it.
func newIngest(t *testing.T, o ingest.Options) *rig {
	t.Helper()
	r := &rig{t: t, log: new(bytes.Buffer), next: 1}
	o.Place = place
	o.Log = slog.New(slog.NewTextHandler(r.log, nil))
	o.Dialects = []ingest.Dialect{tasmota.New(), other{}}
	if o.Now == nil {
		o.Now = systemClock()
	}
	var err error
	if r.Ingest, err = ingest.New(o); err != nil {
		t.Fatal(err)
	}
	r.stop = r.start(r.Run)
	return r
}

// start runs a task until the returned function ends it.
func (r *rig) start(run func(context.Context, func()) error) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- run(ctx, func() { close(ready) }) }()
	<-ready
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// attach opens a buffer in dir and gives it to the ingest.
func (r *rig) attach(dir string, o buffer.Options) (closeBuffer func()) {
	r.t.Helper()
	if o.Limit == 0 {
		o.Limit, o.SegmentSize, o.Reserve = 6<<20, 1<<20, -1
	}
	b, err := buffer.Open(dir, o)
	if err != nil {
		r.t.Fatal(err)
	}
	stop := r.start(b.Run)
	closeBuffer = sync.OnceFunc(func() {
		stop()
		if err := b.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(closeBuffer)
	r.b = b
	r.Attach(b)
	return closeBuffer
}

// newRig returns a running ingest with a buffer.
func newRig(t *testing.T, o ingest.Options) *rig {
	t.Helper()
	r := newIngest(t, o)
	r.attach(t.TempDir(), buffer.Options{})
	return r
}

// publish hands a message in and returns its tag.
func (r *rig) publish(qos byte, topic, payload string) uint64 {
	r.t.Helper()
	tag, err := r.Accept(context.Background(), ingest.Message{Client: "c", Topic: topic, Payload: []byte(payload), QoS: qos})
	if err != nil {
		r.t.Fatalf("publish on %s: %v", topic, err)
	}
	return tag
}

// A stored is a record as Kafka would get it, but for its opening.
type stored struct {
	envelope.Envelope
	Number uint64
	Fields map[string]any
}

// stored waits until all that was appended is durable and returns what was not
// looked at yet.
func (r *rig) stored() []stored {
	r.t.Helper()
	if next := r.b.Stats().Next; next > r.next {
		if err := r.b.Wait(context.Background(), next-1); err != nil {
			r.t.Fatal(err)
		}
	}
	var all []stored
	for {
		w, err := r.b.Read(r.next, 1000, 1<<20)
		if err != nil || w.Gap != nil {
			r.t.Fatalf("read from %d: %+v, %v", r.next, w.Gap, err)
		}
		if len(w.Records) == 0 {
			return all
		}
		for _, record := range w.Records {
			all = append(all, r.parse(record))
			r.next++
		}
	}
}

func (r *rig) parse(record []byte) stored {
	r.t.Helper()
	e, err := envelope.Parse(record)
	if err != nil {
		r.t.Fatal(err)
	}
	s := stored{Envelope: e, Number: r.next}
	if e.Kind != envelope.DeadLetter {
		if err := json.Unmarshal(append([]byte{'{'}, e.Body...), &s.Fields); err != nil {
			r.t.Fatalf("body %s: %v", e.Body, err)
		}
	}
	return s
}

// events returns the events of one kind among records, as "device field=value".
func events(records []stored, kind reading.EventType) []string {
	var all []string
	for _, s := range records {
		if s.Kind != envelope.Event || s.Fields["event"] != string(kind) {
			continue
		}
		text := fmt.Sprint(s.Fields["device"])
		for _, name := range []string{"source", "owner", "renamed", "topic", "from_total", "to_total", "count", "reason", "devices", "error"} {
			if v, ok := s.Fields[name]; ok {
				text += fmt.Sprintf(" %s=%v", name, v)
			}
		}
		all = append(all, text)
	}
	return all
}

func readings(records []stored) []stored {
	var all []stored
	for _, s := range records {
		if s.Kind == envelope.Reading {
			all = append(all, s)
		}
	}
	return all
}

func letters(t *testing.T, records []stored) []envelope.Letter {
	t.Helper()
	var all []envelope.Letter
	for _, s := range records {
		if s.Kind != envelope.DeadLetter {
			continue
		}
		l, err := envelope.ParseLetter(s.Body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func (r *rig) source(name string) ingest.SourceStats {
	for _, s := range r.Stats().Sources {
		if s.Name == name {
			return s
		}
	}
	return ingest.SourceStats{}
}

func power(device, source string, watts float64) reading.Reading {
	return reading.Reading{Device: device, Source: source, Values: []reading.Value{{Metric: reading.Power, Number: watts}}}
}
