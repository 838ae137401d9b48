package probe

import (
	"slices"
	"time"
)

// A Profile says what is normal for a kind of probe. Voltages are those at the
// converter's input.
type Profile struct {
	Name string

	// Warmup is how long the probe needs after power-up, before it is read for
	// the first time.
	Warmup time.Duration
	// Settled is how far apart three values in a row may be after that, as a
	// part of the value; 0 does not ask.
	Settled float64

	ShortLow  float64 // below: shorted to ground, without power, or unplugged with a pull-down
	ShortHigh float64 // above: shorted to the supply

	// An input with nothing connected wanders between FloatLow and FloatHigh
	// and varies by more than FloatSpread within one value.
	FloatLow, FloatHigh, FloatSpread float64

	// Margin is how far outside its calibration a value may be, as a part of
	// the span, before it is called out of calibration.
	Margin float64
}

// profiles hold what was measured and reported for each kind.
var profiles = []Profile{
	// DFRobot SEN0193, "v1.2", "v2.0" at 3.3 V: the output falls when it gets
	// wet, 1.4 to 2.8 V; a megohm at the output settles within 150 ms
	// (hackaday.io project 165551).
	{
		Name: "capacitive", Warmup: 500 * time.Millisecond, Settled: 0.005,
		ShortLow: 0.05, ShortHigh: 3.25,
		FloatLow: 0.45, FloatHigh: 0.65, FloatSpread: 0.005,
		Margin: 0.15,
	},
	// Any other probe with a voltage: nothing is known about it but what a
	// converter can say, so only the calibration is checked.
	{Name: "voltage", ShortLow: -1, ShortHigh: 100, Margin: 0.15},
}

// Profiles returns all profiles.
func Profiles() []Profile { return slices.Clone(profiles) }

// Named returns the profile of that name.
func Named(name string) (p Profile, ok bool) {
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return profiles[i], true
}
