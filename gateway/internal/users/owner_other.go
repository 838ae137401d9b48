//go:build !unix

package users

import "os"

// keepOwner has nothing to do where files have no such owner.
func keepOwner(*os.File, string) error { return nil }

// syncDir has nothing to do: Windows cannot sync a folder.
func syncDir(string) error { return nil }
