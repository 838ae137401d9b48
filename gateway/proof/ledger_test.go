//go:build linux

package proof_test

import "slices"

// A ledger is what came to Kafka of devices that count.
type ledger struct {
	t       complainer
	numbers map[string][]int // of each device, in the order of their first arrival
	again   map[string]int   // of each device: messages that came under several ids
	twice   int              // records that came again with the id they had
	total   int              // readings with different ids
}

// A complainer takes what is wrong: a test, or one that looks whether it is found.
type complainer interface {
	Helper()
	Errorf(format string, args ...any)
}

// book reads arrivals of the readings topic. It holds them against what is true
// whatever happened on the way: an id says the same each time, and a message
// that is there under two ids was sent twice by the device, which says so.
func book(t complainer, arrivals []arrival) *ledger {
	t.Helper()
	l := &ledger{t: t, numbers: map[string][]int{}, again: map[string]int{}}
	ids := map[string]string{}
	type message struct {
		device string
		n      int
	}
	seen := map[message]bool{}
	for _, a := range arrivals {
		if a.topic != readingsTopic || a.value.Get("source").Str != "tasmota" {
			continue
		}
		what := message{a.device(), a.counter()}
		if a.key != what.device {
			t.Errorf("%s has the key %q", a.value.Raw, a.key)
		}
		if first, known := ids[a.id()]; known {
			l.twice++
			if first != a.value.Raw {
				t.Errorf("id %s came with two contents:\n%s\n%s", a.id(), first, a.value.Raw)
			}
			continue
		}
		ids[a.id()] = a.value.Raw
		l.total++
		if !seen[what] {
			seen[what] = true
			l.numbers[what.device] = append(l.numbers[what.device], what.n)
			continue
		}
		l.again[what.device]++
		if !a.value.Get("dup").Bool() {
			t.Errorf("message %d of %s is there again under another id and not marked dup: %s", what.n, what.device, a.value.Raw)
		}
	}
	return l
}

// hold reports what a device was told and Kafka lacks, and what came in another
// order than it was sent in.
func (l *ledger) hold(d *device) {
	l.t.Helper()
	numbers := l.numbers[d.name]
	if !slices.IsSorted(numbers) {
		l.t.Errorf("device %s: messages are out of order: %v", d.name, disorder(numbers))
	}
	if missing := l.missing(d); len(missing) > 0 {
		l.t.Errorf("device %s: %d of %d acknowledged messages are not in Kafka: %v", d.name, len(missing), len(d.told), missing[:min(len(missing), 20)])
	}
	if n := len(numbers); n > 0 && numbers[n-1] > d.sent {
		l.t.Errorf("device %s: Kafka holds message %d of %d", d.name, numbers[n-1], d.sent)
	}
	for _, why := range d.refused {
		l.t.Errorf("device %s: %s", d.name, why)
	}
}

func (l *ledger) missing(d *device) (missing []int) {
	there := map[int]bool{}
	for _, n := range l.numbers[d.name] {
		there[n] = true
	}
	for _, n := range d.told {
		if !there[n] {
			missing = append(missing, n)
		}
	}
	return missing
}

// disorder is the first place where numbers go down, and what is around it.
func disorder(numbers []int) []int {
	for i := 1; i < len(numbers); i++ {
		if numbers[i] < numbers[i-1] {
			return numbers[max(0, i-3):min(len(numbers), i+4)]
		}
	}
	return nil
}
