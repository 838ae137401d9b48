//go:build linux

package proof_test

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/proof/relay"
)

// A trouble is what a network does to connections for a while.
type trouble struct {
	name  string
	begin func(r *relay.Relay, side relay.Side)
}

var troubles = []trouble{
	{"cut by RST", func(r *relay.Relay, _ relay.Side) { r.Cut(relay.Reset) }},
	{"cut by FIN", func(r *relay.Relay, _ relay.Side) { r.Cut(relay.Finish) }},
	{"half open", func(r *relay.Relay, side relay.Side) { r.Vanish(side) }},
	{"one byte a second", func(r *relay.Relay, side relay.Side) { r.Set(side, relay.Flow{Rate: 1}) }},
	{"black hole", func(r *relay.Relay, _ relay.Side) {
		r.Set(relay.Client, relay.Flow{Stopped: true})
		r.Set(relay.Server, relay.Flow{Stopped: true})
	}},
	{"frozen reader", func(r *relay.Relay, side relay.Side) { r.Set(side, relay.Flow{Stopped: true}) }},
	{"slow reader", func(r *relay.Relay, side relay.Side) { r.Set(side, relay.Flow{Rate: 2000}) }},
	{"late", func(r *relay.Relay, side relay.Side) { r.Set(side, relay.Flow{Delay: 80 * time.Millisecond}) }},
	{"refused", func(r *relay.Relay, _ relay.Side) { r.Refuse(); r.Cut(relay.Reset) }},
}

// A weather is the troubles that befall the connections through one relay.
type weather struct {
	t      *testing.T
	relay  *relay.Relay
	random *rand.Rand
	had    map[string]int
	cycles int
}

func newWeather(t *testing.T, r *relay.Relay) *weather {
	t.Helper()
	return &weather{t: t, relay: r, random: rand.New(rand.NewPCG(seedOf(t), 0)), had: map[string]int{}}
}

// newRelay relays from address to target until the test ends.
func newRelay(t *testing.T, address, target string) *relay.Relay {
	t.Helper()
	r, err := relay.Listen(address, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// cycle lets one trouble come, stay for up to a second and pass. The first ones
// come in turn, so that a short run has had each.
func (w *weather) cycle(p *process) {
	w.t.Helper()
	next := troubles[w.cycles%len(troubles)]
	if w.cycles >= len(troubles) {
		next = troubles[w.random.IntN(len(troubles))]
	}
	side := relay.Side(w.random.IntN(2))
	w.cycles++
	w.had[next.name]++
	next.begin(w.relay, side)
	w.pass(p, 50*time.Millisecond+w.upTo(950*time.Millisecond))
	w.mend(next)
}

// upTo is any span shorter than most.
func (w *weather) upTo(most time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(most)))
}

// pass lets time go by, while the program runs.
func (w *weather) pass(p *process, d time.Duration) {
	w.t.Helper()
	select {
	case <-time.After(d):
	case <-p.ended:
		w.t.Fatalf("the program ended by itself after %d cycles: %v\n%s", w.cycles, p.err, tail(p.log.String()))
	}
}

// mend makes the network a good one. An end that was left in the dark now
// learns that its connection is over: nothing else would ever tell it.
func (w *weather) mend(after trouble) {
	w.t.Helper()
	w.relay.Set(relay.Client, relay.Flow{})
	w.relay.Set(relay.Server, relay.Flow{})
	if after.name == "half open" {
		w.relay.Cut(relay.Reset)
	}
	if err := w.relay.Admit(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *weather) String() string {
	return fmt.Sprintf("%d cycles (%s) over %d connections", w.cycles, listed(w.had), w.relay.Made())
}

// listed is how often what happened.
func listed(counts map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(all, ", ")
}

// A gauge reads what the gateway measures of itself.
type gauge struct {
	t   *testing.T
	url string
}

// withGauge adds the section of the configuration that a gauge needs.
func withGauge(t *testing.T, more sections) (gauge, sections) {
	t.Helper()
	address := freeAddress(t)
	all := sections{"http": fmt.Sprintf("{listen: %q}", address)}
	maps.Copy(all, more)
	return gauge{t, "http://" + address + "/metrics"}, all
}

// read returns all metrics without labels; false while no gateway answers.
func (g gauge) read() (map[string]float64, bool) {
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get(g.url)
	if err != nil {
		return nil, false
	}
	defer answer.Body.Close()
	found := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil {
			found[name] = number
		}
	}
	return found, len(found) > 0
}

// await returns the metrics once they fit.
func (g gauge) await(within time.Duration, what string, fits func(map[string]float64) bool) map[string]float64 {
	g.t.Helper()
	var last map[string]float64
	eventually(g.t, within, what, func() bool {
		now, ok := g.read()
		if ok {
			last = now
		}
		return ok && fits(now)
	})
	return last
}

// The metrics that the proofs look at.
const (
	goroutines  = "go_goroutines"
	descriptors = "process_open_fds"
	heapTarget  = "go_memstats_next_gc_bytes" // twice what lived at the last collection; what is in use goes up and down between two
	confirmed   = "plantgate_buffer_confirmed_number"
	durable     = "plantgate_buffer_durable_number"
	mqttClients = "plantgate_mqtt_clients"
	heldBytes   = "plantgate_mqtt_held_bytes"
)

// awaitLevel returns when the gateway holds no more than before, but for the few
// connections and segments that come and go in any gateway.
func (g gauge) awaitLevel(before map[string]float64) map[string]float64 {
	g.t.Helper()
	const slack = 6
	return g.await(30*time.Second, fmt.Sprintf("goroutines and descriptors as before: %v and %v", before[goroutines], before[descriptors]), func(now map[string]float64) bool {
		return now[goroutines] <= before[goroutines]+slack && now[descriptors] <= before[descriptors]+slack
	})
}

// kinds makes a device of each version of MQTT and level of QoS.
func kinds(name string, pace time.Duration, levels ...byte) (devices []*device) {
	for version := byte(4); version <= 5; version++ {
		for _, qos := range levels {
			devices = append(devices, &device{name: fmt.Sprintf("%s-v%d-qos%d", name, version, qos), version: version, qos: qos, window: 10, pace: pace})
		}
	}
	return devices
}

// undisturbed checks devices that have nothing to do with the trouble: each
// kept its one connection and was answered in time.
func undisturbed(t *testing.T, devices []*device, patience time.Duration) (worst time.Duration) {
	t.Helper()
	for _, d := range devices {
		worst = max(worst, d.worst)
		if d.connections != 1 || d.worst > patience || len(d.told) < 20 {
			t.Errorf("%s connected %d times, waited %s at most and was answered %d times; want 1, at most %s, 20 or more",
				d.name, d.connections, d.worst, len(d.told), patience)
		}
	}
	return worst
}

// patience is what the write deadline of the gateway (2 s), and a flush of the
// card of a busy machine (2 s), may cost a device that has nothing to do with
// the trouble.
const patience = 4 * time.Second

// acknowledged is how many messages of devices were answered.
func acknowledged(groups ...[]*device) (n int) {
	for _, group := range groups {
		for _, d := range group {
			n += len(d.told)
		}
	}
	return n
}
