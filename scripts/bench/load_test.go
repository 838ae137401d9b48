//go:build linux

package main

import (
	"bytes"
	"testing"
	"time"
)

// A counter that came back as another number would count the latency of another
// message.
func TestCounterComesBack(t *testing.T) {
	m := newMessage("plug7", 1)
	for _, n := range []int{1, 9, 1000, 65_535, 65_536, 1_234_567, 99_999_999} {
		packet := m.append(nil, n)
		text, ok := after(packet, `"Total":`)
		if !ok {
			t.Fatalf("message %d has no counter: %q", n, packet)
		}
		got, err := counterOf([]byte(`{"energy_kwh":`+text+`,"power_w":1.0}`), `"energy_kwh":`)
		if err != nil || got != n {
			t.Errorf("message %d says %s and came back as %d, %v", n, text, got, err)
		}
		if id := packet[m.id : m.id+2]; bytes.Equal(id, []byte{0, 0}) {
			t.Errorf("message %d has the packet identifier 0", n)
		}
	}
}

func TestQuantileIsWithinAStep(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.observe(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		got := h.quantile(q)
		if off := float64(got)/float64(want) - 1; off < -0.021 || off > 0.021 {
			t.Errorf("quantile %g: got %s, want %s", q, got, want)
		}
	}
	if got := new(histogram).quantile(0.5); got != 0 {
		t.Errorf("nothing was observed: got %s", got)
	}
}

func TestBarsKnowTheirDirection(t *testing.T) {
	for _, tc := range []struct {
		b    bar
		want string
	}{
		{bar{got: 1.6, bar: 1.5, known: true}, "reached"},
		{bar{got: 1.4, bar: 1.5, known: true}, "**missed**"},
		{bar{got: 1.5, bar: 1.5, known: true}, "reached"},
		{bar{got: 0.2, bar: 0.3, atMost: true, known: true}, "reached"},
		{bar{got: 0.4, bar: 0.3, atMost: true, known: true}, "**missed**"},
		{bar{bar: 1}, "not measured"},
	} {
		if line := tc.b.line(); !bytes.Contains([]byte(line), []byte(tc.want)) {
			t.Errorf("%+v: %s", tc.b, line)
		}
	}
}
