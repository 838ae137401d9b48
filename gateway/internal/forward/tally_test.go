package forward_test

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/reading"
)

func (r *rig) from(source, device string) envelope.Envelope {
	r.t.Helper()
	body, err := reading.AppendBody(nil, place, reading.Reading{
		Device: device, Source: source, Values: []reading.Value{{Metric: reading.Power, Number: 1}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return envelope.Envelope{Kind: envelope.Reading, Taken: r.clock.Now(), Key: device, Body: body}
}

// Which kind of device fell silent is asked of a counter by source. Names of
// devices come from outside and must not fool it.
func TestForwardedIsCountedBySource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		var last uint64
		for i := range 30 {
			r.store(r.from("tasmota", `my "source":"shelly" plug`))
			last = r.store(r.from([]string{"ads1115", "shelly"}[i%2], "plant"))
		}
		r.sync(last)
		r.await(last)
		want := map[string]uint64{"tasmota": 30, "ads1115": 15, "shelly": 15}
		if have := r.forward.Stats().ForwardedBySource; !maps.Equal(have, want) {
			t.Errorf("by source %v were forwarded, want %v", have, want)
		}
	})
}

// A mapping that takes its source from the message must not fill the memory.
func TestSourcesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		var last uint64
		for i := range 200 {
			last = r.store(r.from(fmt.Sprintf("source-%d", i), "plant"))
		}
		r.sync(last)
		r.await(last)
		by := r.forward.Stats().ForwardedBySource
		if len(by) != 65 || by["other"] != 136 || by["source-63"] != 1 {
			t.Errorf("%d sources are counted, %d readings of others, want 65 and 136", len(by), by["other"])
		}
	})
}

// Alerts search the journal for its messages, so forward uses the names of the
// table.
func TestLogUsesTheNamesOfTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := newPageCache(r)
		r.start()
		r.await(r.put("washer", 10))
		k.flush()
		r.await(r.put("washer", 10))
		r.cutNetwork()
		r.put("washer", 1)
		time.Sleep(10 * time.Minute)
		r.mendNetwork()
		k.powerCut()
		r.until("the refill is done", func(s forward.Stats) bool { return s.Rewound == 1 && refilled(s) })
		for text, name := range map[string]string{
			"kafka does not take records": journal.KafkaUnreachable,
			"kafka takes records again":   journal.KafkaBack,
			"kafka lost records":          journal.KafkaRewound,
		} {
			if r.log.count(text, journal.KeyEvent+"="+name) == 0 || r.log.count(text) != r.log.count(text, journal.KeyEvent+"="+name) {
				t.Errorf("not each line with %q has %s=%s", text, journal.KeyEvent, name)
			}
		}
	})
}
