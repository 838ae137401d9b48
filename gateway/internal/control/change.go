package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// Group is the group whose members may change what the gateway does.
const Group = "plantgate"

// ErrNotAllowed means that the caller may look and not change.
var ErrNotAllowed = errors.New("not allowed: only root, the user of the service and members of the group " + Group +
	" may do this; use sudo, or `sudo usermod -aG " + Group + " $USER` and log in again")

// A peer is the process at the other end of the socket, as the kernel knows it.
type peer struct {
	uid    uint32
	groups []uint32 // the primary one as well
}

func (p peer) mayChange(group groupFinder) error {
	if p.uid == 0 || int64(p.uid) == int64(os.Geteuid()) {
		return nil
	}
	id, err := group()
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrNotAllowed, err)
	}
	if !slices.Contains(p.groups, id) {
		return ErrNotAllowed
	}
	return nil
}

// A groupFinder returns the number of Group. It is asked each time: the group may
// have been made since the start.
type groupFinder func() (uint32, error)

func findGroup() (uint32, error) {
	g, err := user.LookupGroup(Group)
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(id), err
}

type connectionKey struct{}

// withConnection lets a handler find out who asks.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// guard lets everybody GET and those who may POST.
func guard(h http.Handler, group groupFinder) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
		case http.MethodPost:
			if err := allowed(r.Context(), group); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
		default:
			http.Error(w, "this socket knows GET and POST only", http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func allowed(ctx context.Context, group groupFinder) error {
	c, ok := ctx.Value(connectionKey{}).(*net.UnixConn)
	if !ok {
		return ErrNotAllowed
	}
	p, err := peerOf(c)
	if err != nil {
		return fmt.Errorf("%w (who asks is not known: %w)", ErrNotAllowed, err)
	}
	return p.mayChange(group)
}
