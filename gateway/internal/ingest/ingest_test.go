package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

const (
	plug  = `{"Time":"2026-11-02T08:00:31","ENERGY":{"Total":81.701,"Power":31,"Voltage":236}}`
	strip = `{"ENERGY":{"Total":5,"Power":[1,2,3]}}`
)

// What a device says arrives whole, under its name, and its acknowledgement
// waits for the last of its records.
func TestMessagesAreStored(t *testing.T) {
	r := newRig(t, ingest.Options{})
	tag := r.publish(1, "tele/strip/SENSOR", strip)
	got := readings(r.stored())
	var text []string
	for _, s := range got {
		text = append(text, string(s.Body))
	}
	want := []string{
		`"gateway":"pi1","site":"home","device":"strip","channel":"","source":"tasmota","energy_kwh":5.0}`,
		`"gateway":"pi1","site":"home","device":"strip","channel":"1","source":"tasmota","power_w":1.0}`,
		`"gateway":"pi1","site":"home","device":"strip","channel":"2","source":"tasmota","power_w":2.0}`,
		`"gateway":"pi1","site":"home","device":"strip","channel":"3","source":"tasmota","power_w":3.0}`,
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("bodies differ (-want +got):\n%s", diff)
	}
	if last := got[len(got)-1]; tag != last.Number || last.Key != "strip" || last.Quality != reading.Good {
		t.Errorf("got tag %d, last record %d for %q of quality %s", tag, last.Number, last.Key, last.Quality)
	}
}

// A device that resends because it never saw its acknowledgement says so, and a
// doubtful value marks the record.
func TestDoubtIsStored(t *testing.T) {
	r := newRig(t, ingest.Options{})
	if _, err := r.Accept(context.Background(), ingest.Message{
		Topic: "tele/x/SENSOR", Payload: []byte(`{"DS18B20":{"Temperature":85.0}}`), QoS: 1, Dup: true,
	}); err != nil {
		t.Fatal(err)
	}
	got := readings(r.stored())[0]
	if got.Quality != reading.Uncertain || got.Fields["suspect"] != "temperature_c" || got.Fields["dup"] != true {
		t.Errorf("got quality %s, %v", got.Quality, got.Fields)
	}
}

// With QoS 0 nobody waits, and commands, states and broken messages must not
// make a card write before they are answered.
func TestOnlyReadingsWithAcknowledgementAreWaitedFor(t *testing.T) {
	r := newRig(t, ingest.Options{Own: []string{"plantgate/"}})
	for _, c := range []struct {
		qos            byte
		topic, payload string
		waits          bool
	}{
		{1, "tele/x/SENSOR", plug, true},
		{2, "tele/x/SENSOR", plug, true},
		{0, "tele/x/SENSOR", plug, false},
		{1, "tele/x/STATE", "{}", false},
		{1, "cmnd/x/POWER", "1", false},
		{1, "zigbee2mqtt/lamp/set", `{"power":1}`, false},
		{1, "$SYS/broker/uptime", "5", false},
		{1, "plantgate/status", "5", false},
		{1, "unknown/topic", `{"a":1}`, false},
		{1, "unknown/number", "5", false},
		{1, "tele/x/LWT", "Online", false},
		{1, "tele/x/SENSOR", "{", true}, // the letter that explains it
		{0, "tele/x/SENSOR", "{", false},
		{1, "tele/x/SENSOR", strings.Repeat(" ", 65<<10), false},
	} {
		if tag := r.publish(c.qos, c.topic, c.payload); tag > 0 != c.waits {
			t.Errorf("QoS %d on %s: got tag %d, want one: %v", c.qos, c.topic, tag, c.waits)
		}
	}
}

// While the card is unusable a device with QoS 1 keeps its reading and sends it
// again; a reading that nobody keeps is counted. The home's other messages pass.
func TestWithoutABufferNothingIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		for qos := byte(1); qos <= 2; qos++ {
			_, err := r.Accept(context.Background(), ingest.Message{Topic: "tele/x/SENSOR", Payload: []byte(plug), QoS: qos})
			if !errors.Is(err, ingest.ErrNoStore) {
				t.Errorf("QoS %d: got %v, want %v", qos, err, ingest.ErrNoStore)
			}
		}
		if got := r.Stats().Refused; got != 0 {
			t.Errorf("%d readings are counted as lost that will come again", got)
		}
		r.publish(0, "tele/x/SENSOR", plug)
		r.publish(1, "tele/x/STATE", "{}")
		r.publish(1, "tele/x/SENSOR", "{")
		if _, err := r.Accept(context.Background(), ingest.Message{Topic: "tele/x/SENSOR", Payload: []byte(plug), QoS: 1, Will: true}); err != nil {
			t.Errorf("a will: %v", err)
		}
		if err := r.Put(power("soil", "ads1115", 1)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := r.Stats().Refused; got != 3 {
			t.Errorf("got %d readings refused, want 3", got)
		}
	})
}

// A card that does not keep up slows down those who can wait, and no others.
func TestABusyCardHoldsUpOnlyThoseWhoCanWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		stuck := make(chan struct{})
		r.attach(t.TempDir(), buffer.Options{
			QueueBytes: 64 << 10, AppendTimeout: 3 * time.Second,
			BeforeSync: func() error { <-stuck; return nil },
		})
		defer close(stuck)
		ctx := context.Background()
		message := ingest.Message{Topic: "tele/x/SENSOR", Payload: []byte(plug), QoS: 1}
		var err error
		for n := 0; err == nil && n < 5000; n++ {
			_, err = r.Accept(ctx, message)
		}
		if !errors.Is(err, buffer.ErrBusy) {
			t.Fatalf("got %v, want %v", err, buffer.ErrBusy)
		}
		start := time.Now()
		message.Will = true
		if _, err := r.Accept(ctx, message); err != nil || time.Since(start) > 0 {
			t.Errorf("a will waited for %s: %v", time.Since(start), err)
		}
		if err := r.Put(power("soil", "ads1115", 1)); err != nil || time.Since(start) > 0 {
			t.Errorf("a poll waited for %s: %v", time.Since(start), err)
		}
		r.publish(0, "tele/x/SENSOR", plug) // may wait, then is counted
		synctest.Wait()
		if got := r.Stats().Refused; got != 3 {
			t.Errorf("got %d readings refused, want 3: the will, the poll and the message with QoS 0", got)
		}
		for range 2000 {
			if err := r.Put(power("soil", "ads1115", 1)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(4 * time.Second)
		if got := r.Stats(); got.Refused != 2003 || got.Queued > 0 {
			t.Errorf("the queue is not emptied when the buffer was waited for once: %+v", got)
		}
	})
}

// Polls that come faster than they can be stored are counted, never waited for.
func TestAFullQueueIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		r.stop() // nobody empties the queue
		var refused int
		for n := range 12_000 {
			if err := r.Put(power("soil", "ads1115", float64(n))); errors.Is(err, ingest.ErrOverload) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		const seen = 1 // the event that tells of a new device
		if got := r.Stats(); refused == 0 || got.Refused != uint64(refused) || got.Queued != 12_000-refused+seen {
			t.Errorf("%d refused, got %+v", refused, got)
		}
		for range 5000 {
			r.Event(reading.Event{Type: reading.SensorLost})
		}
		if got := r.Stats().EventsLost; got == 0 {
			t.Error("events have no bound")
		}
	})
}

// A full card under the policy "refuse" turns away readings, and takes what
// carries none.
func TestAFullCardTurnsAwayOnlyReadings(t *testing.T) {
	r := newIngest(t, ingest.Options{})
	r.attach(t.TempDir(), buffer.Options{Limit: 6 * 256 << 10, SegmentSize: 256 << 10, Reserve: -1, WhenFull: buffer.Refuse})
	ctx := context.Background()
	noise := rand.NewChaCha8([32]byte{}) // does not compress
	record := make([]byte, 60<<10)
	var err error
	for n := 0; err == nil && n < 100; n++ {
		_, _ = noise.Read(record) // never fails
		if _, err = r.b.Append(ctx, record); err == nil {
			// What is queued when the card is full waits for room.
			patience, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			if late := r.b.Wait(patience, r.b.Stats().Next-1); late != nil && !errors.Is(late, context.DeadlineExceeded) {
				t.Fatal(late)
			}
			cancel()
		}
	}
	_, err = r.Accept(ctx, ingest.Message{Topic: "tele/x/SENSOR", Payload: []byte(plug), QoS: 1})
	if !errors.Is(err, buffer.ErrFull) {
		t.Fatalf("got %v, want %v", err, buffer.ErrFull)
	}
	r.publish(1, "tele/x/STATE", "{}")
	r.publish(1, "tele/x/SENSOR", "broken")
	r.publish(0, "tele/x/SENSOR", plug)
	if got := r.Stats(); got.Refused != 1 || got.LettersCut != 1 {
		t.Errorf("got %+v, want one reading refused and one letter not kept", got)
	}
}

// Hundreds of clients publish at once: nothing is lost, nothing torn apart, and
// no channel gets one time twice.
func TestClientsAreServedAtOnce(t *testing.T) {
	r := newRig(t, ingest.Options{})
	const clients, each = 32, 50
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for n := range each {
				payload := fmt.Sprintf(`{"ENERGY":{"Power":[%d,%d]}}`, n, n)
				m := ingest.Message{Client: fmt.Sprint(c), Topic: fmt.Sprintf("tele/d%d/SENSOR", c), Payload: []byte(payload), QoS: 1}
				if tag, err := r.Accept(context.Background(), m); err != nil || tag == 0 {
					t.Errorf("got tag %d, %v", tag, err)
				}
				if n%10 == 0 {
					r.publish(1, "unknown/"+fmt.Sprint(c), "x")
					r.publish(0, fmt.Sprintf("tele/d%d/SENSOR", c), "broken")
					r.Stats()
					r.Devices()
					r.Unread()
				}
			}
		})
	}
	all.Wait()
	got := readings(r.stored())
	if len(got) != 2*clients*each {
		t.Fatalf("got %d readings, want %d", len(got), 2*clients*each)
	}
	type natural struct {
		device, channel any
		wall            int64
	}
	seen := map[natural]bool{}
	next := map[string]float64{}
	for n, s := range got {
		key := natural{s.Fields["device"], s.Fields["channel"], s.Taken.Wall}
		if seen[key] {
			t.Errorf("%v came twice", key)
		}
		seen[key] = true
		if n%2 == 0 {
			if watts := s.Fields["power_w"]; watts != next[s.Key] {
				t.Fatalf("%s: got %v, want %v: out of order", s.Key, watts, next[s.Key])
			}
			next[s.Key]++
			continue
		}
		if before := got[n-1]; before.Key != s.Key || before.Number+1 != s.Number || s.Fields["channel"] != "2" {
			t.Fatalf("records of one message are apart: %v, %v", before.Fields, s.Fields)
		}
	}
}

// A mistake in a decoder costs one message, is kept to find it by, and no more.
func TestAPanicInADecoderCostsOneMessage(t *testing.T) {
	r := newRig(t, ingest.Options{})
	r.publish(1, "other/x", "!")
	r.publish(1, "other/x", "5")
	records := r.stored()
	got := letters(t, records)
	if len(got) != 1 || got[0].Error != "decoder other panicked: a mistake in the decoder" || string(got[0].Payload) != "!" {
		t.Errorf("got letters %+v", got)
	}
	if len(readings(records)) != 1 {
		t.Error("the next message is not read")
	}
}

// Announcements that the broker kept over a restart name the devices before
// they say anything, and are not measurements.
func TestRetainedAnnouncementsAreLearnt(t *testing.T) {
	r := newRig(t, ingest.Options{})
	r.Learn(ingest.Message{Topic: "tasmota/discovery/A/config", Payload: []byte(`{"t":"lamp","ft":"home/%topic%/%prefix%/"}`)})
	r.Learn(ingest.Message{Topic: "tele/x/SENSOR", Payload: []byte(plug)})
	r.publish(1, "home/lamp/tele/SENSOR", plug)
	got := readings(r.stored())
	if len(got) != 1 || got[0].Key != "lamp" {
		t.Errorf("got %+v, want one reading of lamp", got)
	}
}

// A reading that cannot become a record is named to whoever polled it; those
// beside it are stored.
func TestInvalidPollsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		mine := []reading.Reading{power("soil", "ads1115", 1), {Source: "ads1115"}, power("soil", "ads1115", 2)}
		if err := r.Put(mine...); !errors.Is(err, reading.ErrNoDevice) {
			t.Errorf("got %v, want %v", err, reading.ErrNoDevice)
		}
		synctest.Wait()
		if got := readings(r.stored()); len(got) != 2 || got[1].Fields["power_w"] != 2.0 {
			t.Errorf("got %d readings, want 2", len(got))
		}
	})
}

// What the gateway has to say before its buffer opens, that it starts a new
// stream for example, is said when it has.
func TestEventsWaitForABuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		for n := range 500 {
			r.Event(reading.Event{Type: reading.StreamStarted, Fields: []reading.Field{{Name: "first", Value: int64(n)}}})
			time.Sleep(10 * time.Millisecond)
		}
		r.attach(t.TempDir(), buffer.Options{})
		time.Sleep(2 * time.Second)
		var firsts []any
		for _, s := range r.stored() {
			if s.Kind == envelope.Event {
				firsts = append(firsts, s.Fields["first"])
			}
		}
		if len(firsts) != 500 || firsts[0] != 0.0 || firsts[499] != 499.0 {
			t.Errorf("got %d events, want 500 in order", len(firsts))
		}
	})
}

// An inverter that sleeps and a bridge that has just started repeat the last
// value: it is kept, and never passes for measured now.
func TestRepeatedValuesAreSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		for _, repeated := range []bool{false, true} {
			if _, err := r.Accept(context.Background(), ingest.Message{Topic: "other/inverter", Payload: []byte("230"), Retained: repeated}); err != nil {
				t.Fatal(err)
			}
		}
		got := readings(r.stored())
		if len(got) != 2 || got[0].Quality != reading.Good || got[0].Fields["suspect"] != nil {
			t.Fatalf("got %+v, want a good reading and another", got)
		}
		if got[1].Quality != reading.Uncertain || got[1].Fields["suspect"] != "power_w" {
			t.Errorf("the repeated value is %v, suspect %v", got[1].Quality, got[1].Fields["suspect"])
		}
	})
}
