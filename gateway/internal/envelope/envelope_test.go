package envelope_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/reading"
)

func sample() envelope.Envelope {
	return envelope.Envelope{
		Kind: envelope.Reading, Quality: reading.Uncertain, Key: "washer",
		Taken: clock.Instant{Wall: 1795507951123, Boottime: 77_000, Boot: 42, Synced: true},
		Body:  []byte(`"gateway":"pi1"}`),
	}
}

func TestWhatIsStoredComesBack(t *testing.T) {
	before1970 := sample()
	before1970.Taken = clock.Instant{Wall: -5, Boot: 1<<32 - 1}
	for _, want := range []envelope.Envelope{sample(), before1970, {Kind: envelope.Event, Body: []byte{}}} {
		got, err := envelope.Parse(want.Append(nil))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestLetterComesBack(t *testing.T) {
	want := envelope.Letter{Topic: "tele/x/SENSOR", Client: "DVES_1", Error: "not JSON", Payload: []byte("{\xff\x00")}
	got, err := envelope.ParseLetter(want.Append(nil))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// A card that lost a sector must not make the forwarder send half a record.
func TestCutEnvelopeIsAnError(t *testing.T) {
	whole := sample().Append(nil)
	head := len(whole) - len(sample().Body)
	for n := range head {
		if e, err := envelope.Parse(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes: got %+v, want an error", n, head, e)
		}
	}
	for _, b := range []struct {
		at    int
		value byte
	}{{0, 2}, {1, 0}, {1, 4}, {2, 3}} {
		damaged := bytes.Clone(whole)
		damaged[b.at] = b.value
		if e, err := envelope.Parse(damaged); err == nil {
			t.Errorf("byte %d = %d: got %+v, want an error", b.at, b.value, e)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample().Append(nil))
	f.Add(envelope.Letter{Topic: "a", Payload: []byte("b")}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := envelope.Parse(b); err == nil {
			again, err := envelope.Parse(e.Append(nil))
			if diff := cmp.Diff(e, again); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		}
		if l, err := envelope.ParseLetter(b); err == nil {
			again, err := envelope.ParseLetter(l.Append(nil))
			if diff := cmp.Diff(l, again); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		}
	})
}
