//go:build linux

package proof_test

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	if code, played := traced(); played { // this process stands between a test and the program
		os.Exit(code)
	}
	os.Exit(test(m))
}

func test(m *testing.M) int {
	flag.Parse()
	// These tests wait most of the time, some of them a minute for the next try
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
