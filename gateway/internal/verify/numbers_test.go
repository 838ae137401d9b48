package verify_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/plantgate/plantgate/gateway/internal/verify"
)

// The set against a plain map, over the edges of its pages and words.
func TestSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s verify.Set
		model := map[uint64]bool{}
		base := rapid.SampledFrom([]uint64{1, verify.PageBits - 70, 3*verify.PageBits - 5, 1 << 40}).Draw(t, "base")
		for range rapid.IntRange(0, 60).Draw(t, "runs") {
			first := base + rapid.Uint64Range(0, 300).Draw(t, "first")
			end := first + rapid.Uint64Range(1, 90).Draw(t, "length")
			for n := first; n < end; n++ {
				if fresh := s.Add(n); fresh == model[n] {
					t.Fatalf("add(%d) is new: %v, want %v", n, fresh, !model[n])
				}
				model[n] = true
			}
		}
		first, last := base, base+rapid.Uint64Range(0, 500).Draw(t, "last")
		var want []verify.Span
		for n := first; n <= last; n++ {
			if !model[n] {
				want = verify.Append(want, verify.Span{First: n, Last: n})
			}
		}
		if have := s.Missing(first, last); !slices.Equal(have, want) {
			t.Fatalf("missing(%d, %d) is %v, want %v", first, last, have, want)
		}
	})
}

// A year of readings must fit into the memory of a small board.
func TestFullPagesCostNothing(t *testing.T) {
	var s verify.Set
	for n := uint64(0); n < 20*verify.PageBits+10; n++ {
		s.Add(n)
	}
	if n := s.Pages(); n != 1 {
		t.Errorf("%d pages take memory, want only the last one", n)
	}
	if holes := s.Missing(0, 20*verify.PageBits+9); len(holes) > 0 {
		t.Errorf("missing are %v, want none", holes)
	}
}

func TestWithout(t *testing.T) {
	for _, test := range []struct{ holes, explained, want []verify.Span }{
		{[]verify.Span{{5, 9}}, nil, []verify.Span{{5, 9}}},
		{[]verify.Span{{5, 9}}, []verify.Span{{1, 4}, {10, 12}}, []verify.Span{{5, 9}}},
		{[]verify.Span{{5, 9}}, []verify.Span{{1, 20}}, nil},
		{[]verify.Span{{5, 9}}, []verify.Span{{1, 5}, {9, 9}}, []verify.Span{{6, 8}}},
		{[]verify.Span{{5, 9}, {20, 30}}, []verify.Span{{7, 7}, {25, 40}}, []verify.Span{{5, 6}, {8, 9}, {20, 24}}},
		{[]verify.Span{{5, 5}}, []verify.Span{{5, 5}}, nil},
	} {
		if have := verify.Without(test.holes, test.explained); !slices.Equal(have, test.want) {
			t.Errorf("%v without %v is %v, want %v", test.holes, test.explained, have, test.want)
		}
	}
}
