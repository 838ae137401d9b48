//go:build linux

package main

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets the test binary be the program itself when the system tests
// start it: what they run is then built like the tests, race detector included,
// and goes through main like the installed one.
func TestMain(m *testing.M) {
	if os.Getenv("PLANTGATE_TEST_MAIN") == "1" {
		main()
	}
	os.Exit(test(m))
}

func test(m *testing.M) int {
	flag.Parse()
	// System tests wait most of the time, some of them a minute for the next try
	// at a card that was mended.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "plantgate")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("PLANTGATE_TEST_DIR", dir); err != nil {
		panic(err)
	}
	return m.Run()
}
