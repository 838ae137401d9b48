//go:build unix

package main

import "golang.org/x/sys/unix"

// freeBytes is the space that an ordinary user may still fill under path.
func freeBytes(path string) (free float64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, false
	}
	return float64(s.Bavail) * float64(s.Bsize), true
}
