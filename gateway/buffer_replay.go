package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plantgate/plantgate/gateway/internal/control"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/history"
)

type bufferReplayCommand struct {
	rangeFlags `embed:""`
}

// A replayLine is how far the gateway is, on its way to the person who asked.
type replayLine struct {
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	Through uint64 `json:"through"`
	Sent    uint64 `json:"sent"`
	Missing uint64 `json:"missing"` // numbers that are no longer on the card
	Waiting string `json:"waiting,omitempty"`
	Done    bool   `json:"done,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (c bufferReplayCommand) Run(ctx context.Context, all *commands, s streams) error {
	if c.From == "" {
		return errors.New("--from says where to begin: a number (12345), a time, a day (2026-11-24) or how long ago (2h, 3d)")
	}
	q, err := c.query(time.Now())
	if err != nil {
		return err
	}
	resp, err := control.Post(ctx, "/buffer/replay?"+q.Values().Encode(), all.sockets()...)
	if errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("%w: only a running gateway sends to Kafka; start it (systemctl start plantgate) and try again", err)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	last, err := followReplay(resp.Body, s.err)
	if ctx.Err() != nil {
		fmt.Fprintln(s.err, "stopped; the few records that were on their way may still follow")
	} else if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, last.summary())
	return errors.Join(err, ctx.Err())
}

// followReplay shows progress once a second until the replay ends.
func followReplay(r io.Reader, progress io.Writer) (last replayLine, err error) {
	lines := bufio.NewScanner(r)
	for shown := time.Now(); lines.Scan(); {
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			return last, fmt.Errorf("read progress: %w", err)
		}
		switch {
		case last.Error != "":
			return last, errors.New(last.Error)
		case last.Done:
			return last, nil
		case last.Waiting != "":
			fmt.Fprintf(progress, "%s; waiting (Ctrl-C gives up)\n", last.Waiting)
		case time.Since(shown) >= time.Second:
			shown = time.Now()
			fmt.Fprintf(progress, "%d sent, through %d of %d\n", last.Sent, last.Through, last.To)
		}
		last = replayLine{From: last.From, To: last.To, Through: last.Through, Sent: last.Sent, Missing: last.Missing}
	}
	return last, fmt.Errorf("the gateway stopped after %d records of %d..%d; once it runs again, go on with --from %d", last.Sent, last.From, last.To, last.Through+1)
}

func (l replayLine) summary() string {
	if l.To < l.From {
		return "nothing in this range has been confirmed by Kafka yet: it will be sent anyway"
	}
	text := fmt.Sprintf("%d records of the numbers %d..%d were sent again", l.Sent, l.From, max(l.Through, l.From-1))
	if l.Missing > 0 {
		text += fmt.Sprintf("; %d numbers are no longer on the card", l.Missing)
	}
	return text
}

// serveReplay sends records again for as long as the client listens.
func (g *gateway) serveReplay(w http.ResponseWriter, r *http.Request) {
	q, err := history.ParseQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	span, err := g.replaySpan(r.Context(), q)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(patientWriter{w, http.NewResponseController(w)})
	line := replayLine{From: span.First, To: span.Last, Through: span.First - 1}
	if out.Encode(line) != nil {
		return // the client has left
	}
	if span.First <= span.Last {
		line, err = g.replay(r.Context(), span, q.Device, func(l replayLine) { _ = out.Encode(l) }) // the client has left: its context ends
	}
	line.Done = true
	if err != nil {
		line.Error = explainReplay(err).Error()
	}
	_ = out.Encode(line) // the client has left
}

// replaySpan makes numbers of what was asked for. What is not confirmed yet
// leaves by itself.
func (g *gateway) replaySpan(ctx context.Context, q history.Query) (history.Span, error) {
	s, err := g.history()
	if err != nil {
		return history.Span{}, err
	}
	defer s.Look.Close()
	span, err := s.Exact(ctx, q)
	span.Last = min(span.Last, s.Look.Confirmed())
	return span, err
}

// replay shows progress as it comes, and every few seconds why there is none.
func (g *gateway) replay(ctx context.Context, span history.Span, device string, show func(replayLine)) (replayLine, error) {
	const waitTold = 5 * time.Second
	f := g.store.now().forwarder
	moved := make(chan replayLine)
	last := replayLine{From: span.First, To: span.Last, Through: span.First - 1}
	var sending errgroup.Group
	sending.Go(func() error {
		defer close(moved)
		p, err := f.Replay(ctx, forward.ReplayRange{From: span.First, To: span.Last, Device: device}, func(p forward.ReplayProgress) {
			moved <- lineOf(p)
		})
		if p.From > 0 { // it has begun
			moved <- lineOf(p)
		}
		return err
	})
	waited := time.NewTicker(waitTold)
	defer waited.Stop()
	for {
		select {
		case l, ok := <-moved:
			if !ok {
				return last, sending.Wait()
			}
			last = l
			show(l)
			waited.Reset(waitTold)
		case <-waited.C:
			l, st := last, f.Stats()
			l.Waiting = "forwarding is " + string(st.State)
			if st.State == forward.Waiting {
				l.Waiting = "Kafka does not take records: " + cmp.Or(st.LastError, "it does not answer")
			}
			show(l)
		}
	}
}

func lineOf(p forward.ReplayProgress) replayLine {
	return replayLine{From: p.From, To: p.To, Through: p.Through, Sent: p.Sent, Missing: p.Missing}
}

func explainReplay(err error) error {
	switch {
	case errors.Is(err, forward.ErrReplayBusy):
		return fmt.Errorf("%w: wait until it has ended, `plantgate status` shows it", err)
	case errors.Is(err, forward.ErrStopped):
		return fmt.Errorf("%w: start the gateway and try again", err)
	}
	return err
}
