package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/history"
)

type bufferExportCommand struct {
	rangeFlags  `embed:""`
	Format      string `help:"jsonl: what Kafka gets, one record a line; csv: a table of the readings." enum:"jsonl,csv" default:"jsonl"`
	Events      bool   `help:"Events as well (jsonl)."`
	DeadLetters bool   `help:"Messages that nobody could read as well, as base64 (jsonl)."`
}

func (c bufferExportCommand) Run(ctx context.Context, all *commands, s streams) error {
	q, err := c.query(time.Now())
	if err != nil {
		return err
	}
	q.Events, q.Letters = c.Events, c.DeadLetters
	e := export{out: bufio.NewWriter(s.out), notes: s.err}
	ask := func(q history.Query, visit func(history.Line) error) error { return askHistory(ctx, all, q, visit) }
	if c.Format == "csv" {
		if q.Events || q.Letters {
			return errors.New("a table has readings only: use --format jsonl for events and dead letters")
		}
		err = e.table(q, ask)
	} else {
		err = ask(q, e.line)
	}
	return errors.Join(err, e.end())
}

// An export counts what it writes. Whatever is not a record goes to notes, so
// that the output can be piped into another program.
type export struct {
	out   *bufio.Writer
	notes io.Writer

	span      history.Span
	records   int
	missing   uint64
	unsettled int
}

// see takes note of a line; false: there is no record in it.
func (e *export) see(l history.Line) bool {
	switch {
	case l.Span != nil:
		e.span = *l.Span
		return false
	case l.Gap != nil:
		e.missing += l.Gap.Last - l.Gap.First + 1
		fmt.Fprintf(e.notes, "# %s\n", gapText(*l.Gap))
		return false
	}
	e.records++
	if !l.Settled && l.Kind != envelope.DeadLetter.String() {
		e.unsettled++
	}
	return true
}

// line writes a record as Kafka gets it.
func (e *export) line(l history.Line) error {
	if !e.see(l) {
		return nil
	}
	_, err := e.out.Write(append(l.Value, '\n'))
	return err
}

// table goes over the range twice: which columns there are is known only at its
// end, and a week of readings does not fit into the memory of a small board.
func (e *export) table(q history.Query, ask func(history.Query, func(history.Line) error) error) error {
	var columns history.Columns
	err := ask(q, func(l history.Line) error {
		switch {
		case l.Span != nil:
			e.span = *l.Span
		case l.Gap == nil:
			columns.See(l.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	t, err := history.NewTable(e.out, columns.Names())
	if err != nil {
		return err
	}
	if e.span.First > e.span.Last {
		return t.Flush()
	}
	// What arrived meanwhile may have fields that have no column.
	q.First, q.Last = e.span.First, e.span.Last
	err = ask(q, func(l history.Line) error {
		if !e.see(l) {
			return nil
		}
		return t.Add(l.Value)
	})
	return errors.Join(err, t.Flush())
}

func (e *export) end() error {
	if err := e.out.Flush(); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	if e.records == 0 {
		fmt.Fprintln(e.notes, "# no records: the card holds none of what was asked for (`plantgate buffer status` says what it holds)")
		return nil
	}
	fmt.Fprintf(e.notes, "# %d records of the numbers %d..%d", e.records, e.span.First, e.span.Last)
	if e.missing > 0 {
		fmt.Fprintf(e.notes, ", %d numbers are not there", e.missing)
	}
	if e.unsettled > 0 {
		fmt.Fprintf(e.notes, ", %d with a time that is corrected once the clock is set", e.unsettled)
	}
	fmt.Fprintln(e.notes)
	return nil
}
