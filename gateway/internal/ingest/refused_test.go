package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

// Readings that were turned away are told of when there is room again, with
// totals that join without a hole.
func TestRefusedReadingsAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		for _, device := range []string{"a", "b", "a"} {
			r.publish(0, "other/"+device, "1")
		}
		time.Sleep(25 * time.Second)
		synctest.Wait() // the log is the other goroutine's until then
		if log := r.log.String(); strings.Contains(log, "taken again") {
			t.Errorf("quiet devices count as readings taken, while there is no store: %s", log)
		}
		r.attach(t.TempDir(), buffer.Options{})
		time.Sleep(5 * time.Second)
		want := []string{" from_total=0 to_total=3 count=3 reason=no_store devices=a,b"}
		if diff := cmp.Diff(want, events(r.stored(), reading.Refused)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
		time.Sleep(20 * time.Second)
		r.Attach(nil)
		r.publish(0, "other/c", "1")
		r.Attach(r.b)
		time.Sleep(10 * time.Second)
		want = []string{" from_total=3 to_total=4 count=1 reason=no_store devices=c"}
		if diff := cmp.Diff(want, events(r.stored(), reading.Refused)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
		time.Sleep(10 * time.Second)
		if got := r.Stats(); got.Refused != 4 || got.RefusedReported != 4 || len(events(r.stored(), reading.Refused)) > 0 {
			t.Errorf("got %+v, want all told, once", got)
		}
		r.stop()
		if log := r.log.String(); strings.Count(log, "readings are turned away") != 2 || strings.Count(log, "readings are taken again") != 2 {
			t.Errorf("the journal says %s", log)
		}
	})
}

// Reasons are told apart; the totals run through them.
func TestEachReasonHasItsEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		r.publish(0, "other/a", "1")
		stuck, wedged := make(chan struct{}), true
		r.attach(t.TempDir(), buffer.Options{
			QueueBytes: 64 << 10, AppendTimeout: time.Second,
			BeforeSync: func() error { <-stuck; return nil },
		})
		for n := 0; wedged && n < 5000; n++ {
			_, err := r.Accept(context.Background(), ingest.Message{Topic: "other/b", Payload: []byte("1"), QoS: 1})
			wedged = err == nil
		}
		for range 5 {
			r.publish(0, "other/c", "1")
		}
		close(stuck)
		time.Sleep(30 * time.Second)
		want := []string{
			" from_total=0 to_total=1 count=1 reason=no_store devices=a",
			" from_total=1 to_total=6 count=5 reason=overload devices=c",
		}
		if diff := cmp.Diff(want, events(r.stored(), reading.Refused)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
	})
}

// The counters survive a stop before they could be told of, and go on after a
// restart where they were.
func TestRefusedCountersSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newIngest(t, ingest.Options{})
		closeBuffer := r.attach(dir, buffer.Options{})
		r.Attach(nil)
		r.publish(0, "other/a", "1")
		r.publish(0, "other/a", "1")
		r.Attach(r.b)
		r.stop() // before it was calm for long enough
		if got := events(r.stored(), reading.Refused); len(got) > 0 {
			t.Fatalf("told already: %v", got)
		}
		closeBuffer()

		for restart := range 2 {
			next := r.next
			r = newIngest(t, ingest.Options{})
			r.next = next
			if restart == 0 {
				r.publish(0, "other/b", "1") // before the buffer opens
			}
			closeBuffer = r.attach(dir, buffer.Options{})
			time.Sleep(10 * time.Second)
			want := []string{" from_total=0 to_total=3 count=3 reason=no_store devices=b,a"}
			if restart == 1 {
				want = nil
			}
			if diff := cmp.Diff(want, events(r.stored(), reading.Refused)); diff != "" {
				t.Errorf("restart %d: events differ (-want +got):\n%s", restart, diff)
			}
			if got := r.Stats(); got.Refused != 3 || got.RefusedReported != 3 {
				t.Errorf("restart %d: got %+v", restart, got)
			}
			r.stop()
			closeBuffer()
		}
	})
}

// A new stream counts from zero: its numbers are a sequence of their own.
func TestCountersBelongToAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{})
		for stream := range 2 {
			r.Attach(nil)
			r.publish(0, fmt.Sprintf("other/%d", stream), "1")
			r.next = 1
			closeBuffer := r.attach(t.TempDir(), buffer.Options{})
			time.Sleep(10 * time.Second)
			want := []string{fmt.Sprintf(" from_total=0 to_total=1 count=1 reason=no_store devices=%d", stream)}
			if diff := cmp.Diff(want, events(r.stored(), reading.Refused)); diff != "" {
				t.Errorf("stream %d: events differ (-want +got):\n%s", stream, diff)
			}
			r.Attach(nil)
			closeBuffer()
		}
	})
}

// Counters that cannot be read begin anew, and somebody is told.
func TestUnreadableCountersAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, text := range []string{"{", `{"v":9}`} {
			dir := t.TempDir()
			r := newIngest(t, ingest.Options{})
			closeBuffer := r.attach(dir, buffer.Options{})
			r.stop()
			if err := r.b.SetNote([]byte(text)); err != nil {
				t.Fatal(err)
			}
			closeBuffer()
			r = newIngest(t, ingest.Options{})
			closeBuffer = r.attach(dir, buffer.Options{})
			r.stop()
			closeBuffer()
			if !strings.Contains(r.log.String(), "counters of refused readings are unreadable") {
				t.Errorf("%s: the journal says %q", text, r.log)
			}
		}
	})
}

// However many devices and however long their names, the note fits into the
// buffer and the event into a record.
func TestManyRefusedDevicesFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newIngest(t, ingest.Options{})
		for n := range 100 {
			r.publish(0, fmt.Sprintf("other/%d%s", n, strings.Repeat("<", 100)), "1")
			if err := r.Put(power(strings.Repeat(">", n), "ads1115", 1)); err != nil && !errors.Is(err, reading.ErrNoDevice) {
				t.Fatal(err)
			}
		}
		closeBuffer := r.attach(dir, buffer.Options{})
		r.stop()
		closeBuffer()
		if strings.Contains(r.log.String(), "ERROR") {
			t.Errorf("the journal says %s", r.log)
		}
		r = newIngest(t, ingest.Options{})
		r.attach(dir, buffer.Options{})
		time.Sleep(10 * time.Second)
		got := events(r.stored(), reading.Refused)
		if len(got) != 1 || !strings.Contains(got[0], "to_total=199 ") {
			t.Fatalf("got %.100v, want 199 told", got)
		}
		if _, devices, _ := strings.Cut(got[0], "devices="); len(devices) > 820 || strings.Count(devices, ",") > 19 {
			t.Errorf("got %d bytes of names: %s", len(devices), devices)
		}
		for n := range 100 {
			r.Attach(nil)
			r.publish(0, fmt.Sprintf("other/%d", n), "1")
		}
		r.Attach(r.b)
		time.Sleep(10 * time.Second)
		got = events(r.stored(), reading.Refused)
		if _, devices, _ := strings.Cut(fmt.Sprint(got), "devices="); strings.Count(devices, ",") != 19 {
			t.Errorf("got %v, want 20 names", got)
		}
	})
}
