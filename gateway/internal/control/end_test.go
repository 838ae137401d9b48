package control_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/control"
)

// An export that still reads from the buffer while that is closed would end the
// gateway with a fault instead of in order.
func TestServerWaitsForAnswersUnderWay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	var over atomic.Bool
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		time.Sleep(50 * time.Millisecond) // it closes its files
		over.Store(true)
	})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- control.ServeHTTP(ctx, l, h) }()
	go func() {
		if resp, err := http.Get("http://" + l.Addr().String()); err == nil {
			resp.Body.Close()
		}
	}()
	<-asked
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if !over.Load() {
		t.Error("the server ended before the answer under way")
	}
}
