package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func untilCancelled(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return ctx.Err()
}

// systemd must hear READY when the last part works, not the first.
func TestReadyMeansEveryTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		late := make(chan struct{})
		ready := make(chan struct{})
		slow := func(ctx context.Context, ready func()) error {
			<-late
			ready()
			ready() // twice does no harm
			return untilCancelled(ctx, ready)
		}
		done := make(chan error)
		go func() {
			done <- runAll(ctx, func() { close(ready) }, task{"quick", untilCancelled}, task{"slow", slow})
		}()
		synctest.Wait()
		select {
		case <-ready:
			t.Fatal("ready before the slow task")
		default:
		}
		close(late)
		<-ready
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ordinary stop: got %v", err)
		}
	})
}

// A part that stops without a word would leave a gateway that looks alive.
func TestTaskThatEndsEarlyEndsTheGateway(t *testing.T) {
	broken := errors.New("card is gone")
	for name, tc := range map[string]struct {
		end  error
		want string
	}{
		"with an error":  {broken, "store: card is gone"},
		"silently":       {nil, "store: ended early"},
		"its own cancel": {context.Canceled, "store: context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			err := runAll(t.Context(), func() {}, task{"store", func(context.Context, func()) error { return tc.end }}, task{"other", untilCancelled})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// A restart must not throw the sockets out: they connect once their readings
// can be kept.
func TestTaskStartsAfterWhatItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := make(chan struct{})
		runs := false
		done := make(chan error)
		go func() {
			done <- runAll(ctx, func() { runs = true }, task{"broker", untilCancelled}.after(start))
		}()
		synctest.Wait()
		if runs {
			t.Error("runs before its start")
		}
		close(start)
		synctest.Wait()
		if !runs {
			t.Error("does not run after its start")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
