package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// A task is a part of the gateway that runs as long as the gateway does. It
// calls ready once it does its work, and returns early only for what it cannot
// outlive: a missing sensor or an unreachable Kafka is a state, not an end.
type task struct {
	name string
	run  func(ctx context.Context, ready func()) error
}

// runAll starts every task, calls allReady when each is ready, and waits for
// all of them. The first that ends while ctx lives ends the others. There is no
// order of shutdown and no drain: what was acknowledged is on the card.
func runAll(ctx context.Context, allReady func(), tasks ...task) error {
	g, ctx := errgroup.WithContext(ctx)
	var starting atomic.Int32
	starting.Store(int32(len(tasks)))
	for _, t := range tasks {
		ready := sync.OnceFunc(func() {
			if starting.Add(-1) == 0 {
				allReady()
			}
		})
		g.Go(func() error { return t.runUntil(ctx, ready) })
	}
	return g.Wait()
}

func (t task) runUntil(ctx context.Context, ready func()) error {
	err := t.run(ctx, ready)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s: ended early", t.name)
	}
	return fmt.Errorf("%s: %w", t.name, err)
}

// after puts a task off until start is closed. The broker would otherwise turn
// its devices away at every start, for as long as the card takes to open.
func (t task) after(start <-chan struct{}) task {
	run := t.run
	t.run = func(ctx context.Context, ready func()) error {
		select {
		case <-start:
			return run(ctx, ready)
		case <-ctx.Done():
			return nil
		}
	}
	return t
}
