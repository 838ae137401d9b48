package probe

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Point says how full of water the soil was, in percent, when the probe gave
// this voltage.
type Point struct{ Volts, Percent float64 }

// A Calibration turns volts into percent, along straight lines between its
// points. Only NewCalibration and TwoPoint make one that works.
type Calibration struct {
	id     string
	points []Point // by rising volts
}

const (
	maxPoints = 8
	// minSpan is the least distance in volts between the driest and the wettest
	// point: with less the probe hardly sees water, and its noise would be
	// percents.
	minSpan = 0.1
)

// TwoPoint is the calibration most people have: the volts in dry soil, which is
// 0 %, and some minutes after thorough watering, which is 100 %.
func TwoPoint(id string, dry, wet float64) (Calibration, error) {
	return NewCalibration(id, Point{dry, 0}, Point{wet, 100})
}

// NewCalibration takes two to eight points, in any order. Percent must rise or
// fall with the volts throughout. Records carry id, so that history can be
// computed anew; with "" it is made from the points, so that the same points
// have the same id on every board.
func NewCalibration(id string, points ...Point) (Calibration, error) {
	if len(points) < 2 || len(points) > maxPoints {
		return Calibration{}, fmt.Errorf("calibration has %d points, not 2 to %d", len(points), maxPoints)
	}
	points = slices.Clone(points)
	slices.SortFunc(points, func(a, b Point) int { return cmp.Compare(a.Volts, b.Volts) })
	for _, p := range points {
		if math.IsNaN(p.Volts) || math.IsInf(p.Volts, 0) {
			return Calibration{}, errors.New("calibration has a point without finite volts")
		}
		if !(p.Percent >= 0 && p.Percent <= 100) { // NaN is outside as well
			return Calibration{}, fmt.Errorf("calibration has %v %% at %v V, not 0 to 100", p.Percent, p.Volts)
		}
	}
	if span := points[len(points)-1].Volts - points[0].Volts; span < minSpan {
		return Calibration{}, fmt.Errorf("calibration spans %.3f V; a probe that sees water changes by more than %.1f V", span, minSpan)
	}
	if err := monotone(points); err != nil {
		return Calibration{}, err
	}
	if id == "" {
		id = hash(points)
	}
	return Calibration{id: id, points: points}, nil
}

// monotone demands one direction: a curve that turns gives two answers for one
// voltage, of which one is wrong.
func monotone(points []Point) error {
	falling := points[0].Percent > points[len(points)-1].Percent
	for i, p := range points[1:] {
		before := points[i]
		if p.Volts == before.Volts || p.Percent == before.Percent || (p.Percent < before.Percent) != falling {
			return fmt.Errorf("calibration turns between %v V (%v %%) and %v V (%v %%)", before.Volts, before.Percent, p.Volts, p.Percent)
		}
	}
	return nil
}

// hash names the points. Volts to the millivolt and percent to the tenth: finer
// differences come from rounding.
func hash(points []Point) string {
	h := sha256.New()
	for _, p := range points {
		fmt.Fprintf(h, "%.3f %.1f\n", p.Volts, p.Percent)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4])
}

// ID returns the name under which records refer to the calibration.
func (c Calibration) ID() string { return c.id }

// Percent returns the moisture for a voltage, clamped to that of the outermost
// points.
func (c Calibration) Percent(volts float64) float64 {
	i := slices.IndexFunc(c.points, func(p Point) bool { return p.Volts >= volts })
	switch i {
	case -1:
		return c.points[len(c.points)-1].Percent
	case 0:
		return c.points[0].Percent
	}
	from, to := c.points[i-1], c.points[i]
	return from.Percent + (volts-from.Volts)/(to.Volts-from.Volts)*(to.Percent-from.Percent)
}

// covers tells whether a voltage lies within the points, or outside them by at
// most the given part of their span.
func (c Calibration) covers(volts, margin float64) bool {
	low, high := c.points[0].Volts, c.points[len(c.points)-1].Volts
	allowed := margin * (high - low)
	return volts >= low-allowed && volts <= high+allowed
}

func (c Calibration) isZero() bool { return len(c.points) == 0 }
