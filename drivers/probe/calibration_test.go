package probe_test

import (
	"math"
	"testing"

	"github.com/plantgate/plantgate/drivers/probe"
	"pgregory.net/rapid"
)

// Two points and a curve of five, in any order, clamped at their ends.
func TestPercentFollowsTheLinesBetweenThePoints(t *testing.T) {
	two, err := probe.TwoPoint("", 2.8, 1.4)
	if err != nil {
		t.Fatal(err)
	}
	five, err := probe.NewCalibration("",
		probe.Point{Volts: 1.4, Percent: 100}, probe.Point{Volts: 2.8, Percent: 5}, probe.Point{Volts: 1.6, Percent: 60},
		probe.Point{Volts: 2.0, Percent: 30}, probe.Point{Volts: 2.4, Percent: 15})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		c           probe.Calibration
		volts, want float64
	}{
		{two, 2.8, 0}, {two, 1.4, 100}, {two, 2.1, 50}, {two, 3.3, 0}, {two, 0, 100},
		{five, 1.5, 80}, {five, 1.8, 45}, {five, 2.2, 22.5}, {five, 2.6, 10}, {five, 3, 5}, {five, 1, 100}, {five, 1.6, 60},
	} {
		if got := test.c.Percent(test.volts); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%v V: got %v %%, want %v", test.volts, got, test.want)
		}
	}
}

// Wetter soil must never read drier, whatever the points and wherever between
// them.
func TestPercentNeverTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "points")
		points := make([]probe.Point, n)
		volts, percent := rapid.Float64Range(0, 1).Draw(t, "first"), 100.0
		for i := range points {
			points[i] = probe.Point{Volts: volts, Percent: percent}
			volts += rapid.Float64Range(0.11, 0.5).Draw(t, "step")
			percent -= rapid.Float64Range(0.5, 12).Draw(t, "fall")
		}
		c, err := probe.NewCalibration("", points...)
		if err != nil {
			t.Fatal(err)
		}
		a := rapid.Float64Range(-1, 6).Draw(t, "a")
		b := rapid.Float64Range(a, 6).Draw(t, "b")
		if c.Percent(a) < c.Percent(b) || c.Percent(a) > 100 || c.Percent(b) < 0 {
			t.Errorf("%v V is %v %% and %v V is %v %%", a, c.Percent(a), b, c.Percent(b))
		}
	})
}

// The id of the same points is the same on every board; that of other points is
// another one, so that history can be computed anew.
func TestCalibrationIsNamedByItsPoints(t *testing.T) {
	id := func(dry, wet float64) string {
		c, err := probe.TwoPoint("", dry, wet)
		if err != nil {
			t.Fatal(err)
		}
		return c.ID()
	}
	if got, want := id(2.8, 1.4), "4a897bb1"; got != want {
		t.Errorf("got %q, want %q: history refers to it", got, want)
	}
	if id(2.8, 1.4) == id(2.8, 1.41) {
		t.Error("different points have the same id")
	}
	if c, err := probe.TwoPoint("mine", 2.8, 1.4); err != nil || c.ID() != "mine" {
		t.Errorf("got id %q, %v; want the given one", c.ID(), err)
	}
}

// Mistakes of a person with a file: each is refused, none gives a curve.
func TestImpossibleCalibrationIsRefused(t *testing.T) {
	p := func(volts, percent float64) probe.Point { return probe.Point{Volts: volts, Percent: percent} }
	nine := make([]probe.Point, 9)
	for i := range nine {
		nine[i] = p(float64(i), float64(i))
	}
	for name, points := range map[string][]probe.Point{
		"none":            nil,
		"one":             {p(1, 0)},
		"nine":            nine,
		"same volts":      {p(1, 0), p(1, 100), p(2, 50)},
		"same percent":    {p(1, 50), p(2, 50)},
		"turning":         {p(1, 0), p(2, 50), p(3, 20)},
		"too near":        {p(1.00, 0), p(1.05, 100)},
		"over 100":        {p(1, 0), p(2, 101)},
		"below 0":         {p(1, -1), p(2, 100)},
		"no number":       {p(1, math.NaN()), p(2, 100)},
		"no volts":        {p(math.NaN(), 0), p(2, 100)},
		"infinitely many": {p(1, 0), p(math.Inf(1), 100)},
	} {
		if c, err := probe.NewCalibration("", points...); err == nil {
			t.Errorf("%s: became calibration %s", name, c.ID())
		}
	}
}
