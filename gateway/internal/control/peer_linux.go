package control

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who connected: user and primary group by SO_PEERCRED,
// the other groups by SO_PEERGROUPS (unix(7); Linux 4.13).
func peerOf(c *net.UnixConn) (p peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var asked error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); asked != nil {
			return
		}
		p.uid = cred.Uid
		p.groups, asked = peerGroups(fd)
		p.groups = append(p.groups, cred.Gid)
	})
	if err := errors.Join(err, asked); err != nil {
		return peer{}, fmt.Errorf("ask for the peer of the control socket: %w", err)
	}
	return p, nil
}

// peerGroups has no wrapper in package unix. The kernel's own limit is 65536
// groups (NGROUPS_MAX); a person has some ten.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && len(groups) < 1<<17:
			groups = make([]uint32, 2*len(groups))
		case errno == unix.ENOPROTOOPT: // an old kernel: the primary group has to do
			return nil, nil
		default:
			return nil, errno
		}
	}
}
