package forward_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The user may write and not read: a shorter log is still noticed, and the log
// says what is missing.
func TestRewindWithoutPermissionToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		k := newPageCache(r)
		r.start()
		r.await(r.put("washer", 50))
		k.flush()
		r.await(r.put("washer", 30))
		r.halt()
		k.powerCut()
		denied := r.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		r.start()
		last := r.put("washer", 20)
		r.await(last)
		r.until("the refill is done", refilled)
		denied.Remove()
		seen := map[uint64]bool{}
		for _, g := range r.topic(readings) {
			seen[g.Seq] = true
		}
		for n := uint64(1); n <= last; n++ {
			if !seen[n] {
				t.Errorf("number %d is missing", n)
			}
		}
		if n := r.log.count("cannot be read back", "READ"); n != 1 {
			t.Errorf("%d lines say what to allow, want 1", n)
		}
	})
}

// The program is killed after Kafka confirmed and before the position was on the
// card: what was in flight comes twice, with the same id, and nothing else.
func TestLostPositionCostsOneWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.startKafka()
		r.start()
		r.await(r.put("washer", 30))
		r.halt()
		old, err := os.ReadFile(filepath.Join(r.dir, "buffer", "positions"))
		if err != nil {
			t.Fatal(err)
		}
		r.start()
		r.await(r.put("washer", 20))
		r.halt()
		if err := os.WriteFile(filepath.Join(r.dir, "buffer", "positions"), old, 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
		last := r.put("washer", 10)
		r.await(last)
		ids := map[string]int{}
		var order []uint64
		for _, g := range r.topic(readings) {
			ids[g.ID]++
			if ids[g.ID] == 1 {
				order = append(order, g.Seq)
			}
			if g.Seq <= 30 && ids[g.ID] > 1 {
				t.Errorf("%s came twice although its position was on the card", g.ID)
			}
		}
		if fmt.Sprint(order) != fmt.Sprint(upTo(last)) {
			t.Errorf("without repeated ids the numbers are %v, want 1 to %d", order, last)
		}
	})
}
