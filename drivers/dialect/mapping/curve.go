package mapping

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A curve turns what a probe far away sends, counts or volts, into percent of
// moisture along straight lines between its points, as package probe does for a
// probe of one's own.
type curve struct {
	id     string
	points []point // by rising raw value
	clamp  bool
}

type point struct{ raw, percent float64 }

const (
	maxPoints = 8
	// margin is how far beyond the points, as a part of their span, a value is
	// still beyond doubt.
	margin = 0.15
)

func newCurve(id string, clamp bool, points []point) (*curve, error) {
	if len(points) < 2 || len(points) > maxPoints {
		return nil, fmt.Errorf("%d points are given, not 2 to %d", len(points), maxPoints)
	}
	points = slices.Clone(points)
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.raw, b.raw) })
	falling := points[0].percent > points[len(points)-1].percent
	for i, p := range points {
		if p.percent < 0 || p.percent > 100 {
			return nil, fmt.Errorf("%v %% is not within 0 to 100", p.percent)
		}
		if i == 0 {
			continue
		}
		if q := points[i-1]; p.raw == q.raw || p.percent == q.percent || p.percent < q.percent != falling {
			return nil, errors.New("the points do not rise or fall throughout: one raw value would stand for two moistures")
		}
	}
	if id == "" {
		id = idOf(points)
	}
	return &curve{id: id, points: points, clamp: clamp}, validName(id)
}

// idOf names the points: the same ones have the same name on every board.
func idOf(points []point) string {
	h := sha256.New()
	for _, p := range points {
		fmt.Fprintf(h, "%g %g\n", p.raw, p.percent)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4])
}

// percent returns the moisture and whether it is within the points, or near.
func (c *curve) percent(raw float64) (percent float64, covered bool) {
	last := len(c.points) - 1
	low, high := c.points[0].raw, c.points[last].raw
	allowed := margin * (high - low)
	covered = raw >= low-allowed && raw <= high+allowed
	if c.clamp {
		raw = min(max(raw, low), high)
	}
	i := 1
	for i < last && raw > c.points[i].raw {
		i++
	}
	from, to := c.points[i-1], c.points[i]
	percent = from.percent + (raw-from.raw)/(to.raw-from.raw)*(to.percent-from.percent)
	return math.Round(percent*1e9) / 1e9, covered // without what the arithmetic adds
}
