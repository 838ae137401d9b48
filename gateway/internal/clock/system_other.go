//go:build !linux

package clock

import "time"

// bootID returns "": each start of the program counts as a boot.
func bootID() string { return "" }

// boottime counts from the start of the program, as its boot does.
func boottime(start time.Time) func() time.Duration {
	return func() time.Duration { return time.Since(start) }
}

// synchronised says no: where the system does not tell, trust has to be asked
// for.
func synchronised() bool { return false }

// disciplined says no, for the same reason.
func disciplined() bool { return false }
