//go:build linux && race

package proof_test

// withRace says that this test was built with the race detector, and so shall
// be the program that it runs.
const withRace = true
