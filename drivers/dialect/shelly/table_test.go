package shelly_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
)

// A story is what a device publishes, one word per message, and what is read of
// it. s is a status, n a notification, with the power they give; a plus in front
// of a word means that it is read.
func tell(t *testing.T, d corpus.Decoder, device string, story []string) (read []string) {
	t.Helper()
	for _, word := range story {
		body := fmt.Sprintf(`{"id":0,"apower":%s,"voltage":230}`, word[1:])
		topic := device + "/status/switch:0"
		if word[0] == 'n' {
			topic, body = device+"/events/rpc", notify("NotifyStatus", `"switch:0":{"id":0,"apower":`+word[1:]+`}`)
		}
		if got := decode(t, d, topic, body); len(got.Readings) > 0 {
			word = "+" + word
		}
		read = append(read, word)
	}
	return read
}

// With both ways switched on a device says everything twice, not quite alike;
// with one switched off in the middle it goes on over the other.
func TestAValueIsReadOverOneWay(t *testing.T) {
	for _, c := range []struct {
		name  string
		story []string
		want  []string
	}{
		{"status alone", []string{"s1", "s1", "s2"}, []string{"+s1", "+s1", "+s2"}},
		{"notifications alone", []string{"n1", "n1", "n2"}, []string{"+n1", "+n1", "+n2"}},
		{"both, the notification first", []string{"n1", "s1", "n2", "s2.1", "n3", "s3"}, []string{"+n1", "s1", "+n2", "s2.1", "+n3", "s3"}},
		{"both, the status first", []string{"s10", "n10.3", "s20", "n20", "s30", "n30"}, []string{"+s10", "n10.3", "s20", "+n20", "s30", "+n30"}},
		{"notifications begin with news", []string{"s1", "s1", "n5", "s5"}, []string{"+s1", "+s1", "+n5", "s5"}},
		{"notifications end", []string{"n1", "s1", "s2", "s3", "s4", "s5", "s6"}, []string{"+n1", "s1", "s2", "s3", "s4", "+s5", "+s6"}},
		{"notifications come back", []string{"n1", "s1", "s2", "s3", "s4", "s5", "n5", "s6", "n6"}, []string{"+n1", "s1", "s2", "s3", "s4", "+s5", "n5", "s6", "+n6"}},
	} {
		if diff := cmp.Diff(c.want, tell(t, freshGen2(), "p", c.story)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// One device with notifications says nothing about another, nor one component
// about the next: a meter's counters may come over the other way.
func TestWaysBelongToOneChannel(t *testing.T) {
	d := freshGen2()
	decode(t, d, "p/events/rpc", notify("NotifyStatus", `"switch:0":{"apower":1}`))
	for _, topic := range []string{"p/status/switch:1", "q/status/switch:0"} {
		if got := decode(t, d, topic, plug); len(got.Readings) != 1 {
			t.Errorf("%s: got %+v", topic, got)
		}
	}
	if got := decode(t, d, "p/status/switch:0", plug); len(got.Readings) != 0 {
		t.Errorf("got %+v, want nothing", got)
	}
}

// What a device repeats after it connected again is its present state. It is
// read, unless its status topics have just said the same.
func TestAFullStatusIsFresh(t *testing.T) {
	full := notify("NotifyFullStatus", `"switch:0":`+plug+`,"temperature:0":{"id":0,"tC":21.5}`)
	d := freshGen2()
	for range 2 {
		got := decode(t, d, "p/events/rpc", full)
		if len(got.Readings) != 2 || got.Cached {
			t.Errorf("got %+v", got)
		}
	}
	d = freshGen2()
	decode(t, d, "p/status/switch:0", plug)
	if got := decode(t, d, "p/events/rpc", full); render(got.Readings) != "p/temperature:0 temperature_c=21.5" {
		t.Errorf("got %s, want what the status did not say", render(got.Readings))
	}
}

// Retained is the owner's wish, not a sign of age: the broker is the gateway's
// own, and what it kept does not pass here again.
func TestRetainedValuesAreFresh(t *testing.T) {
	for topic, payload := range map[string]string{
		"shellies/x/relay/0/power": "5", "p/status/switch:0": plug, bluTopic: `{"battery":5}`,
	} {
		got, _ := fresh().Decode(dialect.Message{Topic: topic, Payload: []byte(payload), Retained: true})
		if len(got.Readings) != 1 || got.Cached {
			t.Errorf("%s: got %+v", topic, got)
		}
	}
}

// Whoever may publish can invent devices without end. Those beyond the bound
// are read, if twice; those known stay known.
func TestAFloodOfDevicesPushesNobodyOut(t *testing.T) {
	d := freshGen2()
	tell(t, d, "first", []string{"n1"})
	for i := range 6000 {
		tell(t, d, fmt.Sprint("flood", i), []string{"n1"})
	}
	if diff := cmp.Diff([]string{"s2", "+n2"}, tell(t, d, "first", []string{"s2", "n2"})); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"+s2", "+n2"}, tell(t, d, "last", []string{"s2", "n2"})); diff != "" {
		t.Errorf("beyond the bound (-want +got):\n%s", diff)
	}
}

// The broker decodes each socket's messages in a goroutine of its own.
func TestManySocketsAtOnce(t *testing.T) {
	f := newFamily()
	all := corpus.Load(t, vectors)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for _, v := range all {
					f.Decode(v.Message())
				}
			}
		})
	}
	wg.Wait()
}

func TestNamesAreThoseOfTheSources(t *testing.T) {
	want := []string{"shelly-gen2", "shelly-gen1", "shelly-bthome"}
	for i, d := range newFamily() {
		if d.Name() != want[i] {
			t.Errorf("got %q, want %q", d.Name(), want[i])
		}
	}
}
