//go:build linux

package proof_test

import (
	"context"
	"hash/maphash"
	"math"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An auditor reads along what comes to Kafka. It keeps of each message a few
// bytes, where a ledger keeps the whole: a day has four million of them.
type auditor struct {
	t       *testing.T
	client  *kgo.Client
	stop    context.CancelFunc
	ended   chan struct{}
	seed    maphash.Seed
	streams map[string][]uint64 // what each number said, as a hash; 0: not there
	devices map[string]*audited
	next    map[int32]int64 // offset by partition
	twice   int
}

// An audited device has counted.
type audited struct {
	seen    []bool // by message
	highest int
	late    int // first arrivals behind a higher one
	unsaid  int // came again under another id, not marked dup
}

// startAuditor reads the readings as they come, until finish.
func startAuditor(t *testing.T, bootstrap string) *auditor {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.Dialer(directly(bootstrap)), kgo.ConsumeTopics(readingsTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &auditor{
		t: t, client: client, stop: cancel, ended: make(chan struct{}), seed: maphash.MakeSeed(),
		streams: map[string][]uint64{}, devices: map[string]*audited{}, next: map[int32]int64{},
	}
	go func() {
		defer close(a.ended)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(a.take)
		}
	}()
	t.Cleanup(func() { cancel(); <-a.ended; client.Close() })
	return a
}

// directly dials one address, whatever is asked for: Kafka advertises the one
// with the troubles before it.
func directly(address string) func(context.Context, string, string) (net.Conn, error) {
	var d net.Dialer
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}
}

// finish reads what is still to be read; nothing more must come to Kafka.
func (a *auditor) finish() {
	a.t.Helper()
	a.stop()
	<-a.ended
	ctx, cancel := context.WithTimeout(a.t.Context(), 2*time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(a.client).ListEndOffsets(ctx, readingsTopic)
	if err != nil {
		a.t.Fatalf("ask for the end of the readings: %v", err)
	}
	behind := func() (any bool) {
		ends.Each(func(o kadm.ListedOffset) { any = any || a.next[o.Partition] < o.Offset })
		return any
	}
	for behind() {
		a.client.PollFetches(ctx).EachRecord(a.take)
		if ctx.Err() != nil {
			a.t.Fatalf("the readings could not be read to their end: %v of %v", a.next, ends)
		}
	}
}

func (a *auditor) take(r *kgo.Record) {
	a.next[r.Partition] = r.Offset + 1
	value := gjson.ParseBytes(r.Value)
	if value.Get("source").Str != "tasmota" {
		return
	}
	if !a.first(value) {
		return
	}
	name, n := value.Get("device").Str, int(math.Round(value.Get("energy_kwh").Num*1000))
	d := a.devices[name]
	if d == nil {
		d = &audited{}
		a.devices[name] = d
	}
	d.take(n, value.Get("dup").Bool())
}

// first reports whether a record's id is new, and holds one that is not against
// what it said before.
func (a *auditor) first(value gjson.Result) bool {
	id := value.Get("id").Str
	cut := strings.LastIndexByte(id, '-')
	stream := id[:max(cut, 0)]
	number, err := strconv.Atoi(id[cut+1:])
	if err != nil {
		a.t.Errorf("id %q has no number", id)
		return false
	}
	said := a.streams[stream]
	for len(said) <= number {
		said = append(said, make([]uint64, number+1)...)
	}
	a.streams[stream] = said
	hash := max(maphash.String(a.seed, value.Raw), 1)
	switch said[number] {
	case 0:
		said[number] = hash
		return true
	case hash:
	default:
		a.t.Errorf("id %s came with two contents, the later is %s", id, value.Raw)
	}
	a.twice++
	return false
}

func (d *audited) take(n int, dup bool) {
	for len(d.seen) <= n {
		d.seen = append(d.seen, make([]bool, n+1)...)
	}
	switch {
	case d.seen[n] && !dup:
		d.unsaid++
	case !d.seen[n] && n < d.highest:
		d.late++
	}
	d.seen[n] = true
	d.highest = max(d.highest, n)
}

// hold, after finish, reports what a device was told and Kafka lacks, and what came in another
// order than it was sent in.
func (a *auditor) hold(d *device) {
	a.t.Helper()
	got := a.devices[d.name]
	if got == nil {
		a.t.Errorf("device %s: nothing of it is in Kafka", d.name)
		return
	}
	missing := 0
	for _, n := range d.told {
		if n >= len(got.seen) || !got.seen[n] {
			missing++
		}
	}
	if missing > 0 || got.late > 0 || got.unsaid > 0 {
		a.t.Errorf("device %s: of %d acknowledged messages %d are not in Kafka, %d came out of order, %d again and not marked dup",
			d.name, len(d.told), missing, got.late, got.unsaid)
	}
}
