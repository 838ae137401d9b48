package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/control"
	"github.com/plantgate/plantgate/gateway/internal/history"
)

// A rangeFlags names a part of what is on the card.
type rangeFlags struct {
	From   string `help:"First record: a number (12345), a time, a day (2026-11-24) or how long ago (2h, 3d)." placeholder:"WHEN"`
	To     string `help:"Last one; a moment itself is not included, a day and a number are." placeholder:"WHEN"`
	Device string `help:"Only this device." placeholder:"NAME"`
}

func (f rangeFlags) query(now time.Time) (history.Query, error) {
	q := history.Query{Device: f.Device}
	from, err := history.ParseFrom(f.From, now)
	if err != nil {
		return q, fmt.Errorf("--from: %w", err)
	}
	to, err := history.ParseTo(f.To, now)
	if err != nil {
		return q, fmt.Errorf("--to: %w", err)
	}
	q.SetFrom(from)
	q.SetTo(to)
	return q, q.Validate()
}

// askHistory gives the answer to q to visit: that of the running gateway, or,
// without one, what its files say.
func askHistory(ctx context.Context, all *commands, q history.Query, visit func(history.Line) error) error {
	resp, err := control.Get(ctx, "/buffer?"+q.Values().Encode(), all.sockets()...)
	if errors.Is(err, control.ErrNotRunning) {
		return readHistory(ctx, all, q, visit)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = history.Read(resp.Body, visit)
	if ctx.Err() != nil {
		return ctx.Err() // the connection broke because of it
	}
	return err
}

// readHistory reads the files while no gateway runs.
func readHistory(ctx context.Context, all *commands, q history.Query, visit func(history.Line) error) error {
	cfg, err := all.load(loadOptions{anyKafka: true})
	if err != nil {
		return err
	}
	answers, err := clock.ReadAnswers(filepath.Join(cfg.DataDir, clockFile))
	if err != nil {
		return err
	}
	look, err := buffer.LookAt(filepath.Join(cfg.DataDir, bufferDir))
	if errors.Is(err, buffer.ErrLocked) {
		return fmt.Errorf("%w, but none answers on its socket: look at `systemctl status plantgate`, or stop it first (systemctl stop plantgate)", err)
	}
	if err != nil {
		return fmt.Errorf("%w (no gateway is running; sudo may be needed, --config or --data-dir name another one)", err)
	}
	defer look.Close()
	s := history.Source{Look: look, Resolve: answers.Resolve, Gateway: cfg.Gateway}
	return s.Answer(ctx, q, visit)
}

// maxLooks is how many may read the history of a running gateway at once: each
// takes a few MiB while it reads.
const maxLooks = 4

// looks counts those who do.
type looks struct{ n atomic.Int32 }

func (l *looks) begin() bool {
	if l.n.Add(1) <= maxLooks {
		return true
	}
	l.n.Add(-1)
	return false
}

func (l *looks) end() { l.n.Add(-1) }

// serveHistory answers a query as lines, as fast as they are read and the work of
// the gateway allows.
func (g *gateway) serveHistory(w http.ResponseWriter, r *http.Request) {
	q, err := history.ParseQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !g.looks.begin() {
		http.Error(w, fmt.Sprintf("%d commands read the buffer at the moment; try again when one has ended", maxLooks), http.StatusServiceUnavailable)
		return
	}
	defer g.looks.end()
	s, err := g.history()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.Look.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(patientWriter{w, http.NewResponseController(w)}, 32<<10)
	var line []byte
	err = s.Answer(r.Context(), q, func(l history.Line) error {
		line = l.Append(line[:0])
		_, err := out.Write(line)
		return err
	})
	_, _ = out.Write(history.AppendEnd(nil, err)) // who does not get it knows that something is missing
	_ = out.Flush()
}

func (g *gateway) history() (*history.Source, error) {
	b := g.store.now().buffer
	if b == nil {
		return nil, errors.New("the gateway runs without its buffer; plantgate status says why")
	}
	look, err := b.Look()
	if err != nil {
		return nil, err
	}
	return &history.Source{Look: look, Resolve: g.clock.Resolve, Gateway: g.cfg.Gateway, Gentle: true}, nil
}

// patience is how long an answer waits to be read on: a person may page through
// it, but must not stand in the others' way for ever.
const patience = 5 * time.Minute

// A patientWriter writes to a client that may be slow.
type patientWriter struct {
	w io.Writer
	c *http.ResponseController
}

func (p patientWriter) Write(b []byte) (int, error) {
	if err := p.c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	return n, errors.Join(err, p.c.Flush())
}

// gapText says what is missing in a line for a person.
func gapText(g history.Gap) string {
	numbers := fmt.Sprintf("%d..%d", g.First, g.Last)
	if g.First == g.Last {
		numbers = fmt.Sprint(g.First)
	}
	if g.Expired() {
		return numbers + " no longer on the card: Kafka has confirmed them, and they are older than buffer.keep or had to make room"
	}
	return strings.TrimSpace(fmt.Sprintf("%s missing, %s: %s", numbers, g.Reason, visible(g.Detail)))
}
