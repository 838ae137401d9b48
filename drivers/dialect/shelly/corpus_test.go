package shelly_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/corpus"
	"github.com/plantgate/plantgate/drivers/dialect/shelly"
)

const vectors = "testdata/payloads.jsonl"

// A family asks the three decoders in the order that the package comment wants.
type family []interface {
	corpus.Decoder
	Name() string
}

func newFamily() family {
	return family{shelly.NewGen2(), shelly.NewGen1(), shelly.NewBTHome()}
}

func fresh() corpus.Decoder { return newFamily() }

func (f family) Decode(m dialect.Message) (dialect.Result, bool) {
	for _, d := range f {
		if got, mine := d.Decode(m); mine {
			return got, true
		}
	}
	return dialect.Result{}, false
}

// What real devices have sent, in whatever shape, is read completely, and
// nothing is read that they did not say.
func TestCapturedMessagesAreRead(t *testing.T) { corpus.Hold(t, vectors, fresh) }

// A message goes to one decoder, whichever is asked first: two that both take it
// would give one device two sources.
func TestEachMessageHasOneReader(t *testing.T) {
	text, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var v struct {
			corpus.Vector
			Dialect string `json:"dialect"`
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		for _, d := range newFamily() {
			got, mine := d.Decode(v.Message())
			if mine && d.Name() != v.Dialect {
				t.Errorf("%s: %s takes it", v.ID, d.Name())
			}
			if !mine && d.Name() == v.Dialect && len(v.Expect) > 0 {
				t.Errorf("%s: %s leaves it", v.ID, d.Name())
			}
			for _, r := range got.Readings {
				if r.Source != v.Dialect {
					t.Errorf("%s: source %q", v.ID, r.Source)
				}
			}
		}
	}
}

// A cut or altered payload of a real device neither stops the program nor
// becomes a number.
func FuzzDecode(f *testing.F) {
	corpus.Seed(f, vectors)
	for _, all := range [][]variant{gen1Variants, gen2Variants, bthomeVariants} {
		for _, v := range all {
			f.Add(v.topic, []byte(v.payload), false)
		}
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retained bool) {
		d := fresh()
		m := dialect.Message{Topic: topic, Payload: payload, Retained: retained}
		corpus.Check(t, d, m)
		corpus.Check(t, d, m)
	})
}

func bench(b *testing.B, d corpus.Decoder, topic, payload string) {
	b.ReportAllocs()
	m := dialect.Message{Topic: topic, Payload: []byte(payload)}
	for b.Loop() {
		if got, _ := d.Decode(m); len(got.Readings) == 0 {
			b.Fatal(got)
		}
	}
}

func BenchmarkGen1Power(b *testing.B) {
	bench(b, shelly.NewGen1(), "shellies/shellyplug-s-6A6374/relay/0/power", "23.91")
}

const plug = `{"id":0,"source":"MQTT","tag":null, "output":true, "apower":11.5, "voltage":240.3, "freq":50.0, "current":0.073, "aenergy":{"total":152669.987,"by_minute":[0.000,0.000,0.000],"minute_ts":1788945240}, "ret_aenergy":{"total":0.000,"by_minute":[0.000,0.000,0.000],"minute_ts":1788945240},"temperature":{"tC":55.0, "tF":131.0}}`

func BenchmarkGen2Status(b *testing.B) {
	bench(b, shelly.NewGen2(), "shelly1pmminig3-07fc83cc5b7e/status/switch:0", plug)
}

func BenchmarkGen2Notification(b *testing.B) {
	bench(b, shelly.NewGen2(), "shelly1pmminig3-07fc83cc5b7e/events/rpc",
		`{"src":"shelly1pmminig3-07fc83cc5b7e","dst":"shelly1pmminig3-07fc83cc5b7e/events","method":"NotifyStatus","params":{"ts":1788945240.11,"switch:0":`+plug+`}}`)
}

func BenchmarkGen2FullMeter(b *testing.B) {
	bench(b, shelly.NewGen2(), "shellypro3em-34987a/status/em:0", threePhases)
}

func BenchmarkEveryMessage(b *testing.B) {
	d := fresh()
	all := corpus.Load(b, vectors)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d.Decode(all[n%len(all)].Message())
		n++
	}
}

// A Pi decodes every message of every socket: memory for the collector is what
// makes it slow.
func TestAPlugsMessageCostsThreeAllocations(t *testing.T) {
	d := fresh()
	for _, m := range []dialect.Message{
		{Topic: "shellies/shellyplug-s-6A6374/relay/0/power", Payload: []byte("23.91")},
		{Topic: "p/status/switch:0", Payload: []byte(plug)},
		{Topic: "q/events/rpc", Payload: []byte(notify("NotifyFullStatus", `"switch:0":`+plug))},
	} {
		if got := testing.AllocsPerRun(50, func() { d.Decode(m) }); got > 3 {
			t.Errorf("%s: %v allocations", m.Topic, got)
		}
	}
}

func BenchmarkNobodysMessage(b *testing.B) {
	d := fresh()
	m := dialect.Message{Topic: "tele/washer/SENSOR", Payload: []byte(`{"ENERGY":{"Power":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, mine := d.Decode(m); mine {
			b.Fatal("taken")
		}
	}
}
