//go:build !386 && !arm

package control_test

import "golang.org/x/sys/unix"

const sysSetgroups = unix.SYS_SETGROUPS
