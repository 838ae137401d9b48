package control

import (
	"context"
	"net"
	"net/http"
)

// ServeGroup is Serve on a machine whose group plantgate has the given number.
func ServeGroup(ctx context.Context, l net.Listener, h http.Handler, id uint32) error {
	return serve(ctx, l, guard(h, func() (uint32, error) { return id, nil }))
}
