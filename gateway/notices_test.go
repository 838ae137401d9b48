package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/reading"
)

// A notice that makes no valid event would be a loss that nobody is told of.
func TestEveryNoticeOfTheBufferBecomesAnEvent(t *testing.T) {
	for _, kind := range []string{
		buffer.StreamStarted, buffer.FileSetAside, buffer.UncleanStart, buffer.PositionsLost,
		buffer.Filling, buffer.Full, buffer.Free,
	} {
		var log bytes.Buffer
		var got []reading.Event
		tell := tellNotice(slog.New(slog.NewTextHandler(&log, nil)), func(e reading.Event) { got = append(got, e) })
		tell(buffer.Notice{
			Kind: kind, Stream: "6f2c9a1e", First: 7, Last: 9, Reason: "why", Detail: "in words", File: "/d/1.seg",
			Err: errors.New("bad page"), Salvaged: 3, CommitEvery: 5 * time.Second, Percent: 80, Bytes: 1, Limit: 2,
		})
		if len(got) != 1 {
			t.Errorf("%s: got %d events", kind, len(got))
			continue
		}
		if _, err := reading.AppendEventBody(nil, reading.Place{Gateway: "pi1"}, got[0]); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), " event=") {
			t.Errorf("%s: logged %q, want one line that can be searched for", kind, log.String())
		}
	}
}
