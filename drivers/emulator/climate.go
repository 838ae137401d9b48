package emulator

import "time"

// scale turns a value into the code of a chip whose codes go from low, which is
// 0, to high, which is full. What lies outside is cut off.
func scale(value, low, high, full float64) uint32 {
	return uint32(clamp((value-low)/(high-low))*full + 0.5)
}

// truthAt is what a truth is at an instant; nil is otherwise.
func truthAt(truth func(time.Time) float64, at time.Time, otherwise float64) float64 {
	if truth == nil {
		return otherwise
	}
	return truth(at)
}

// slowed is how long d takes with an oscillator of the given relative speed; 0
// is the nominal one.
func slowed(d time.Duration, oscillator float64) time.Duration {
	if oscillator == 0 {
		return d
	}
	return time.Duration(float64(d) / oscillator)
}
