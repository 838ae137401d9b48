//go:build !linux

package buffer

import "os"

// allocate only sets the size: commits may find the card full.
func allocate(f *os.File, size int64) error { return f.Truncate(size) }

// forgetCached does nothing: there is no way to ask for it.
func forgetCached(string) {}

func syncData(f *os.File) error { return f.Sync() }
