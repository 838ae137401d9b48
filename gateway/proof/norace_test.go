//go:build linux && !race

package proof_test

const withRace = false
