//go:build 386 || arm

package control_test

import "golang.org/x/sys/unix"

// sysSetgroups takes groups of 32 bits; on these the older number takes 16.
const sysSetgroups = unix.SYS_SETGROUPS32
