package emulator

import (
	"math"
	"time"
)

// Volts is a voltage over time. It must be a pure function: a converter asks for
// any instant, and the same world must look the same twice.
type Volts func(at time.Time) float64

// Steady is v for ever.
func Steady(v float64) Volts { return func(time.Time) float64 { return v } }

// The voltages below are those of a capacitive probe of the kind "v1.2" on
// 3.3 V: its output falls when it gets wet.

// Air is a probe that hangs in the air.
func Air() Volts { return Steady(2.83) }

// DrySoil is a probe in air-dry soil.
func DrySoil() Volts { return Steady(2.80) }

// WetSoil is a probe in soil just after watering.
func WetSoil() Volts { return Steady(1.40) }

// Shorted is an input with a short to ground, or a probe without power.
func Shorted() Volts { return Steady(0.004) }

// ShortedHigh is an input with a short to the supply of 3.3 V.
func ShortedHigh() Volts { return Steady(3.295) }

// Floating is an input with nothing connected: about 0.56 V (measured in
// arduino.stackexchange.com/q/49849), wandering and full of noise.
func Floating(seed uint64) Volts {
	wander := func(at time.Time) float64 {
		return 0.56 + 0.03*math.Sin(2*math.Pi*seconds(at)/97)
	}
	return Noise(wander, 0.012, seed)
}

// Noise adds normally distributed noise of the given standard deviation.
func Noise(v Volts, deviation float64, seed uint64) Volts {
	return func(at time.Time) float64 {
		return v(at) + deviation*gauss(seed, at)
	}
}

// Drift adds voltsPerDay for each day since start.
func Drift(v Volts, voltsPerDay float64, start time.Time) Volts {
	return func(at time.Time) float64 {
		return v(at) + voltsPerDay*at.Sub(start).Hours()/24
	}
}

// FrozenFrom stands still from start on, at what it was then: a stuck sensor.
func FrozenFrom(v Volts, start time.Time) Volts {
	return func(at time.Time) float64 {
		if at.After(start) {
			at = start
		}
		return v(at)
	}
}

// Until is before, and after from t on: a probe that is pulled out, or whose
// cable breaks, at t.
func Until(t time.Time, before, after Volts) Volts {
	return func(at time.Time) float64 {
		if at.Before(t) {
			return before(at)
		}
		return after(at)
	}
}

// Hum adds the mains: a sine of the given amplitude in volts and frequency in
// hertz.
func Hum(v Volts, amplitude, hertz float64) Volts {
	return func(at time.Time) float64 {
		return v(at) + amplitude*math.Sin(2*math.Pi*hertz*seconds(at))
	}
}

// seconds counts from midnight: a float of the seconds since 1970 would be too
// coarse for a sine of 50 Hz.
func seconds(at time.Time) float64 {
	const day = 24 * int64(time.Hour)
	return float64(at.UnixNano()%day) / float64(time.Second)
}

// gauss is a normally distributed number that depends on nothing but seed and
// instant: the sum of twelve uniform ones.
func gauss(seed uint64, at time.Time) float64 {
	state := seed ^ uint64(at.UnixNano())
	sum := -6.0
	for range 12 {
		state += 0x9e3779b97f4a7c15 // splitmix64
		sum += float64(mix(state)>>11) / (1 << 53)
	}
	return sum
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
