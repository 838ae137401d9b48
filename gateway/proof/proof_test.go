//go:build linux

package proof_test

import (
	"fmt"
	"os"
	"testing"
)

// proved says in one line what a proof has tried and found. scripts/torture
// collects these lines into its table.
func proved(t *testing.T, what, format string, args ...any) {
	t.Helper()
	if !t.Failed() {
		t.Logf("PROOF %s: %s", what, fmt.Sprintf(format, args...))
	}
}

// torture reports whether the long form of a proof is asked for.
func torture() bool { return os.Getenv("PLANTGATE_TORTURE") != "" }
