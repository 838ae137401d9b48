package emulator

import "time"

// A Stranger is a chip nobody expected at its address: it acknowledges
// everything, and whatever is read from it is the same byte.
type Stranger byte

// Transfer fills r with the stranger's byte.
func (s Stranger) Transfer(_ time.Time, _, r []byte) bool {
	for i := range r {
		r[i] = byte(s)
	}
	return true
}

// PowerOn does nothing.
func (Stranger) PowerOn(time.Time) {}
