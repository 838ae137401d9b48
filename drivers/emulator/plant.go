package emulator

import (
	"math"
	"time"
)

// A Plant is a pot of soil with a capacitive probe in it, watered in turns. The
// soil dries faster by day than by night; watering reaches the probe within a
// while. Its zero value dries out in a week, is watered every five days and has
// days of 24 hours; a demonstration shortens all three.
type Plant struct {
	Start time.Time // of the first watering
	// Lasts is how long full soil takes to dry out; 0 is seven days.
	Lasts time.Duration
	// Watered is the time between two waterings; 0 is five days.
	Watered time.Duration
	// Day is the length of a day, which starts at Start in the morning; 0 is
	// 24 hours.
	Day time.Duration
	// Dry and Wet are the probe's volts in dry and in full soil; both 0 are
	// those of DrySoil and WetSoil.
	Dry, Wet float64
}

// daylight is how much faster than the mean soil dries at noon, and slower at
// midnight.
const daylight = 0.8

// Moisture is how full of water the soil is at the probe, from 0 to 1.
func (p Plant) Moisture(at time.Time) float64 {
	lasts, watered := or(p.Lasts, 7*24*time.Hour), or(p.Watered, 5*24*time.Hour)
	since := max(at.Sub(p.Start), 0)
	turn := since / watered * watered
	left := 1 - (p.evaporated(since)-p.evaporated(turn))/lasts.Seconds()
	before := 0.0
	if turn > 0 {
		before = 1 - (p.evaporated(turn)-p.evaporated(turn-watered))/lasts.Seconds()
	}
	// Water takes about a hundredth of the turn to reach the probe.
	soaked := 1 - math.Exp(-float64(since-turn)/(float64(watered)/100))
	return clamp(max(before, 0) + (left-max(before, 0))*soaked)
}

// evaporated is the drying up to d after Start, in seconds of mean drying: the
// integral of 1 + daylight*sin(2 pi t / day).
func (p Plant) evaporated(d time.Duration) float64 {
	day := or(p.Day, 24*time.Hour).Seconds()
	t := d.Seconds()
	return t + daylight*day/(2*math.Pi)*(1-math.Cos(2*math.Pi*t/day))
}

// Volts is what the probe gives: less when the soil is wet. As a method value,
// plant.Volts, it is a truth for an input.
func (p Plant) Volts(at time.Time) float64 {
	dry, wet := p.Dry, p.Wet
	if dry == 0 && wet == 0 {
		dry, wet = 2.80, 1.40
	}
	return dry + (wet-dry)*p.Moisture(at)
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func clamp(x float64) float64 { return min(max(x, 0), 1) }
