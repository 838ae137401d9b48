package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

// A device whose firmware is broken sends unreadable messages for ever. A few a
// minute are enough to find out why; how many more there were is told.
func TestDeadLettersOfATopicAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		for range 25 {
			r.publish(1, "tele/x/SENSOR", `{"DHT11":{"Temperature":nan}}`)
		}
		r.publish(1, "tele/y/SENSOR", "")
		got := letters(t, r.stored())
		if len(got) != 11 {
			t.Fatalf("got %d letters, want 10 of one topic and 1 of the other", len(got))
		}
		want := `{tele/x/SENSOR c not JSON at byte 26: invalid character 'a' in literal null (expecting 'u') {"DHT11":{"Temperature":nan}}}`
		if text := fmt.Sprintf("{%s %s %s %s}", got[0].Topic, got[0].Client, got[0].Error, got[0].Payload); text != want {
			t.Errorf("got %s, want %s", text, want)
		}
		time.Sleep(2 * time.Minute)
		told := events(r.stored(), reading.DeadLettersCut)
		want = " topic=tele/x/SENSOR count=15 error=not JSON at byte 26: invalid character 'a' in literal null (expecting 'u')"
		if diff := cmp.Diff([]string{want}, told); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
		r.publish(1, "tele/x/SENSOR", "x")
		if got := letters(t, r.stored()); len(got) != 1 {
			t.Errorf("a minute later %d letters are kept, want 1", len(got))
		}
		if got := r.source("tasmota"); got.DeadLettered != 27 || r.Stats().LettersCut != 15 {
			t.Errorf("got %+v, %d cut", got, r.Stats().LettersCut)
		}
	})
}

// Topics are the client's to choose, so the bound of one is no bound of all.
func TestDeadLettersTogetherAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		noise := strings.Repeat("x", 60<<10)
		for n := range 600 {
			r.publish(1, fmt.Sprintf("tele/x%d/SENSOR", n), noise)
		}
		size := 0
		for _, l := range letters(t, r.stored()) {
			size += len(l.Payload)
			if len(l.Payload) != 32<<10 || !strings.HasSuffix(l.Error, "(the first 32768 of 61440 bytes are kept)") {
				t.Fatalf("got a letter of %d bytes: %s", len(l.Payload), l.Error)
			}
		}
		if size == 0 || size > 1<<20 {
			t.Errorf("%d bytes are kept in a minute, want at most 1 MiB", size)
		}
		time.Sleep(2 * time.Minute)
		if got := events(r.stored(), reading.DeadLettersCut); len(got) == 0 || len(got) > 20 {
			t.Errorf("%d events tell of it, want 1 to 20", len(got))
		}
	})
}

// What nobody reads is listed for whoever writes a mapping, and the first
// message of each topic is kept: it may be a device that deserves a dialect.
func TestUnreadTopicsAreListed(t *testing.T) {
	r := newRig(t, ingest.Options{})
	for n := range 3 {
		r.publish(0, "rtl_433/pi/events", fmt.Sprintf(`{"model":"WH51","moisture":%d}`, n))
	}
	r.publish(0, "esphome/sensor/x/state", "21.5")
	r.publish(0, "big", strings.Repeat("y", 70<<10))
	var got []string
	for _, u := range r.Unread() {
		if u.Last.IsZero() || len(u.Sample) > 256 {
			t.Errorf("got %+v", u)
		}
		got = append(got, fmt.Sprintf("%s %d %.40s", u.Topic, u.Count, u.Sample))
	}
	want := []string{
		`rtl_433/pi/events 3 {"model":"WH51","moisture":2}`,
		"big 1 " + strings.Repeat("y", 40),
		"esphome/sensor/x/state 1 21.5",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topics differ (-want +got):\n%s", diff)
	}
	kept := letters(t, r.stored())
	if len(kept) != 1 || string(kept[0].Payload) != `{"model":"WH51","moisture":0}` || !strings.HasPrefix(kept[0].Error, "no dialect reads this topic") {
		t.Errorf("got letters %+v, want the first JSON object", kept)
	}
	if got := r.Stats(); got.Unread != 5 {
		t.Errorf("got %+v", got)
	}
}

// Topics without end fill a table of fixed size, and the samples are few.
func TestUnreadTopicsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		for n := range 5000 {
			r.publish(0, fmt.Sprintf("%s/%d", strings.Repeat("z", n%600), n), `{"a":1}`)
			if n%100 == 0 {
				time.Sleep(time.Minute)
			}
		}
		if n := len(r.Unread()); n != 1000 {
			t.Errorf("%d topics are listed, want 1000", n)
		}
		if n := len(letters(t, r.stored())); n == 0 || n > 200 {
			t.Errorf("%d samples are kept, want 1 to 200", n)
		}
	})
}

// The payload is the broker's: it goes on to subscribers.
func TestPayloadsAreNotChanged(t *testing.T) {
	r := newRig(t, ingest.Options{})
	for _, text := range []string{plug, "broken", "\ufeff {} \n"} {
		for _, topic := range []string{"tele/x/SENSOR", "unknown"} {
			payload := []byte(text)
			if _, err := r.Accept(context.Background(), ingest.Message{Topic: topic, Payload: payload}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(payload, []byte(text)) {
				t.Errorf("%q became %q", text, payload)
			}
		}
	}
}
