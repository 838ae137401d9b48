package main

import (
	"log/slog"
	"path/filepath"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/reading"
)

// tellNotice writes what happened to the buffer to the journal and sends it to
// Kafka as an event.
func tellNotice(log *slog.Logger, event func(reading.Event)) func(buffer.Notice) {
	return func(n buffer.Notice) {
		e, ok := noticeEvent(n)
		if !ok {
			return
		}
		logNotice(log, n)
		event(e)
	}
}

func logNotice(log *slog.Logger, n buffer.Notice) {
	switch n.Kind {
	case buffer.StreamStarted:
		log.Info("a new stream of numbers begins", journal.Event(journal.StreamStarted), "stream", n.Stream, "first", n.First, "reason", n.Reason)
	case buffer.FileSetAside:
		log.Error("a damaged file of the buffer is set aside; what could be saved is kept, the rest is reported as a gap", journal.Event(journal.FileSetAside), "file", n.File, "salvaged", n.Salvaged, "error", n.Err)
	case buffer.UncleanStart:
		log.Warn("the gateway was not stopped in order; readings that nobody waited for may be lost", journal.Event(journal.UncleanStart), "last", n.Last, "detail", n.Detail)
	case buffer.PositionsLost:
		log.Error("the positions are unreadable; all that is on the card is sent again, marked replayed", journal.Event(journal.PositionsLost), "from", n.First, "to", n.Last, "error", n.Err)
	case buffer.Filling:
		log.Warn("the buffer fills: Kafka does not take records fast enough, or not at all", journal.Event(journal.BufferFilling), "percent", n.Percent, "bytes", n.Bytes, "limit", n.Limit, "days_left", n.DaysLeft)
	case buffer.Full:
		log.Error("the buffer is full", journal.Event(journal.BufferFull), "policy", n.Policy.String(), "bytes", n.Bytes, "limit", n.Limit, "detail", n.Detail)
	case buffer.Free:
		log.Info("the buffer has room again", journal.Event(journal.BufferFree), "percent", n.Percent)
	}
}

// noticeEvent is the event that a notice becomes. Its fields are those of the
// table in reading.
func noticeEvent(n buffer.Notice) (reading.Event, bool) {
	switch n.Kind {
	case buffer.StreamStarted:
		return event(reading.StreamStarted, "first", n.First, "previous", n.Previous, "reason", n.Reason), true
	case buffer.FileSetAside:
		return event(reading.FileSetAside, "file", filepath.Base(n.File), "error", errorText(n.Err), "salvaged", n.Salvaged), true
	case buffer.UncleanStart:
		return event(reading.UncleanStart, "last_seq", n.Last, "commit_every_s", n.CommitEvery.Seconds(), "detail", n.Detail), true
	case buffer.PositionsLost:
		return event(reading.PositionsLost, "from", n.First, "to", n.Last, "error", errorText(n.Err)), true
	case buffer.Filling:
		return event(reading.BufferFilling, "percent", int64(n.Percent), "bytes", n.Bytes, "limit", n.Limit, "days_left", n.DaysLeft), true
	case buffer.Full:
		return event(reading.BufferFull, "bytes", n.Bytes, "limit", n.Limit, "policy", n.Policy.String(), "detail", n.Detail), true
	case buffer.Free:
		return event(reading.BufferFree, "percent", int64(n.Percent), "bytes", n.Bytes, "limit", n.Limit), true
	default:
		return reading.Event{}, false
	}
}

// event builds an event of the gateway from names and values in turn.
func event(kind reading.EventType, pairs ...any) reading.Event {
	e := reading.Event{Type: kind}
	for i := 0; i+1 < len(pairs); i += 2 {
		e.Fields = append(e.Fields, reading.Field{Name: pairs[i].(string), Value: pairs[i+1]})
	}
	return e
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
