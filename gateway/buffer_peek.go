package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
	"github.com/plantgate/plantgate/gateway/internal/history"
	"github.com/plantgate/plantgate/reading"
)

type bufferPeekCommand struct {
	Count  int    `help:"How many records." default:"10" short:"n"`
	Device string `help:"Only this device." placeholder:"NAME"`
	Unsent bool   `help:"The oldest ones that Kafka has not confirmed, instead of the newest."`
}

func (c bufferPeekCommand) Run(ctx context.Context, all *commands, s streams) error {
	q := history.Query{Device: c.Device, Events: true, Letters: true}
	count := max(c.Count, -1)
	if c.Count == 0 {
		count = -1 // which is no count
	}
	if c.Unsent {
		q.Unsent = count
	} else {
		q.Newest = count
	}
	if err := q.Validate(); err != nil {
		return fmt.Errorf("--count: %w", err)
	}
	shown := 0
	err := askHistory(ctx, all, q, func(l history.Line) error {
		if l.Span != nil {
			return nil
		}
		shown++
		_, err := fmt.Fprintln(s.out, peekText(l, time.Local))
		return err
	})
	if err == nil && shown == 0 {
		_, err = fmt.Fprintln(s.err, c.nothing())
	}
	return err
}

func (c bufferPeekCommand) nothing() string {
	what := "the buffer holds no records"
	if c.Unsent {
		what = "Kafka has confirmed everything"
	}
	if c.Device != "" {
		what += fmt.Sprintf(" of device %q (`plantgate status` lists the devices)", c.Device)
	}
	return what
}

// peekText is one record in a line: number, when, whether Kafka has it, how good
// it is, and what it says.
func peekText(l history.Line, zone *time.Location) string {
	if l.Gap != nil {
		return "#" + gapText(*l.Gap)
	}
	value := gjson.ParseBytes(l.Value)
	at := value.Get("ts").Time()
	when := at.In(zone).Format("2006-01-02 15:04:05.000")
	switch {
	case at.IsZero(): // of a newer program
		when = "at an unknown time"
	case !l.Settled: // the clock may still correct it
		when += "?"
	}
	sent := "unsent"
	if l.Confirmed {
		sent = "sent"
	}
	return fmt.Sprintf("#%d  %s  %-6s  %s  %s", l.Number, when, sent, value.Get("quality").Str, peekWhat(l, value))
}

func peekWhat(l history.Line, value gjson.Result) string {
	switch l.Kind {
	case envelope.Event.String():
		return "event " + eventText(value)
	case envelope.DeadLetter.String():
		return fmt.Sprintf("dead letter %s: %s", visible(value.Get("topic").Str), visible(value.Get("error").Str))
	}
	r, err := reading.Parse(l.Value)
	if err != nil {
		return visible(string(l.Value)) // of a newer program
	}
	h := describeReading(r.Reading)
	text := visible(readingName(h))
	for _, v := range h.Values {
		text += "  " + valueText(v)
	}
	if r.Reading.Dup {
		text += "  (sent again by the device)"
	}
	return text
}

// eventText is the name of an event and its fields.
func eventText(value gjson.Result) string {
	fields := []string{visible(value.Get("event").Str)}
	body := false
	value.ForEach(func(key, field gjson.Result) bool {
		if body && field.String() != "" {
			fields = append(fields, visible(key.Str+"="+field.String()))
		}
		body = body || key.Str == "event" // what is before it is the same in every record
		return true
	})
	return strings.Join(fields, "  ")
}
