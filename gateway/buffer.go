package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/control"
)

type bufferCommand struct {
	Status    bufferStatusCommand `cmd:"" help:"What is on the card and how long it lasts."`
	Peek      bufferPeekCommand   `cmd:"" help:"Show the newest records, or the oldest unsent ones."`
	Export    bufferExportCommand `cmd:"" help:"Write records as JSON lines or as a table."`
	Replay    bufferReplayCommand `cmd:"" help:"Send confirmed records to Kafka again, with the same ids and marked as replayed."`
	Fsck      fsckCommand         `cmd:"" help:"Check every file of the buffer; changes nothing."`
	CheckFile checkFileCommand    `cmd:"" name:"check-file" hidden:"" help:"Check one file; the gateway runs this in a process of its own."`
}

type bufferStatusCommand struct{}

func (bufferStatusCommand) Run(ctx context.Context, all *commands, s streams) error {
	resp, err := control.Get(ctx, "/status", all.sockets()...)
	if errors.Is(err, control.ErrNotRunning) {
		return bufferFiles(all, s)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var st status
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	if st.Buffer == nil {
		return errors.New("the gateway runs without its buffer; plantgate status says why")
	}
	b := st.Buffer
	_, err = fmt.Fprintf(s.out, "stream %s\non the card %d..%d in %d segments, %s of %s%s\nunsent %d (%s), confirmed through %d\ndropped since the start %d, commits %d, written %s\n",
		b.Stream, b.Oldest, b.Next-1, b.Segments, bytesText(b.Bytes), bytesText(b.Limit), daysText(b.DaysLeft),
		b.Unsent, bytesText(b.UnsentBytes), b.Confirmed, b.Dropped, b.Commits, bytesText(int64(b.Written)))
	return err
}

// bufferFiles is what can be said while no gateway runs.
func bufferFiles(all *commands, s streams) error {
	r, err := inspectBuffer(all)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "no gateway is running\nstream %s, confirmed through %d, stopped in order: %t\n", r.Stream, r.Confirmed, r.Clean)
	return reportFiles(s, r)
}

func inspectBuffer(all *commands) (buffer.Report, error) {
	cfg, err := all.load(loadOptions{anyKafka: true})
	if err != nil {
		return buffer.Report{}, err
	}
	r, err := buffer.Inspect(filepath.Join(cfg.DataDir, bufferDir), checkInChild)
	if errors.Is(err, buffer.ErrLocked) {
		return r, fmt.Errorf("%w: stop the gateway first (systemctl stop plantgate)", err)
	}
	return r, err
}

func reportFiles(s streams, r buffer.Report) error {
	bad := 0
	for _, f := range r.Files {
		verdict := "ok"
		if f.Err != nil {
			bad++
			verdict = f.Err.Error()
		}
		fmt.Fprintf(s.out, "%s: %d records %d..%d in %d blocks, stream %s, %s\n", filepath.Base(f.Path), f.Records, f.First, f.Last, f.Blocks, f.Stream, verdict)
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(s.out, "gap %d..%d: %s %s\n", g.First, g.Last, g.Reason, g.Detail)
	}
	for _, path := range r.Damaged {
		fmt.Fprintf(s.out, "set aside earlier: %s\n", path)
	}
	if r.Err != nil {
		return fmt.Errorf("the positions are unreadable, so all that is on the card will be sent again: %w", r.Err)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d files are damaged; the gateway saves what is good of them when it comes to them", bad, len(r.Files))
	}
	return nil
}

type fsckCommand struct{}

func (fsckCommand) Run(all *commands, s streams) error {
	r, err := inspectBuffer(all)
	if err != nil {
		return err
	}
	return reportFiles(s, r)
}

type checkFileCommand struct {
	File string `arg:"" type:"path"`
}

func (c checkFileCommand) Run() error { return buffer.CheckFile(c.File) }
