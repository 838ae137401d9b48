package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/plantgate/plantgate/gateway/internal/control"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

// A heard is one message or polled reading on its way from the running gateway
// to a person who watches.
type heard struct {
	Time     time.Time      `json:"time"`
	Topic    string         `json:"topic,omitempty"`
	Client   string         `json:"client,omitempty"`
	Payload  string         `json:"payload,omitempty"`
	Source   string         `json:"source,omitempty"`
	Readings []heardReading `json:"readings,omitempty"`
	Reason   string         `json:"reason,omitempty"` // why it gave no reading
}

type heardReading struct {
	Device  string       `json:"device"`
	Channel string       `json:"channel,omitempty"`
	Source  string       `json:"source"`
	Values  []heardValue `json:"values"`
}

type heardValue struct {
	Metric  string  `json:"metric"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Suspect bool    `json:"suspect,omitempty"`
}

// serveTail streams what ingest hears as JSON lines until the client leaves.
func (g *gateway) serveTail(w http.ResponseWriter, r *http.Request) {
	device, raw := r.FormValue("device"), r.FormValue("raw") == "true"
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	e := json.NewEncoder(w)
	_ = flush.Flush() // the client learns that it is connected
	for h := range g.ingest.Subscribe(r.Context()) {
		line, wanted := tailLine(h, device, raw)
		if !wanted {
			continue
		}
		if e.Encode(line) != nil || flush.Flush() != nil {
			return // the client has left
		}
	}
}

func tailLine(h ingest.Heard, device string, raw bool) (heard, bool) {
	line := heard{Time: h.Time, Source: h.Source, Reason: h.Reason}
	for _, r := range h.Readings {
		if device == "" || r.Device == device {
			line.Readings = append(line.Readings, describeReading(r))
		}
	}
	if raw {
		line.Topic, line.Client, line.Payload = h.Message.Topic, h.Message.Client, string(h.Message.Payload)
	}
	return line, len(line.Readings) > 0 || raw && device == ""
}

func describeReading(r reading.Reading) heardReading {
	out := heardReading{Device: r.Device, Channel: r.Channel, Source: r.Source}
	for _, v := range r.Values {
		out.Values = append(out.Values, heardValue{Metric: v.Metric.Quantity(), Value: v.Number, Unit: v.Metric.Unit(), Suspect: v.Suspect})
	}
	return out
}

type tailCommand struct {
	Device string `help:"Only this device." placeholder:"NAME"`
	Raw    bool   `help:"Each message as it came, and why it gave no reading."`
	JSON   bool   `name:"json" help:"As JSON lines."`
}

func (c tailCommand) Run(ctx context.Context, all *commands, s streams) error {
	query := url.Values{"device": {c.Device}, "raw": {fmt.Sprint(c.Raw)}}
	resp, err := control.Get(ctx, "/tail?"+query.Encode(), all.sockets()...)
	if err != nil {
		return explainStopped(err)
	}
	defer resp.Body.Close()
	const longest = 1 << 20 // a message may be 64 KiB of what JSON escapes
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		if _, err := fmt.Fprintln(s.out, c.render(lines.Bytes())); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	// A gateway that stops cuts the stream wherever it is.
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read from the gateway: %w", err)
	}
	return errors.New("the gateway has stopped")
}

func (c tailCommand) render(line []byte) string {
	if c.JSON {
		return string(line)
	}
	var h heard
	if err := json.Unmarshal(line, &h); err != nil {
		return fmt.Sprintf("unreadable: %v", err)
	}
	return strings.Join(tailText(h), "\n")
}

// tailText is one line for the message, where it is asked for, and one for each
// reading.
func tailText(h heard) []string {
	at := h.Time.Local().Format("15:04:05")
	var lines []string
	if h.Topic != "" {
		lines = append(lines, at+" "+visible(h.Topic)+" "+visible(h.Payload))
	}
	if h.Reason != "" {
		lines = append(lines, at+"   no reading: "+visible(h.Reason))
	}
	for _, r := range h.Readings {
		line := at + " " + visible(readingName(r))
		for _, v := range r.Values {
			line += "  " + valueText(v)
		}
		lines = append(lines, line)
	}
	return lines
}

func readingName(r heardReading) string {
	if r.Channel == "" {
		return r.Device
	}
	return r.Device + "/" + r.Channel
}

// valueText is a value with its unit; a question mark says that it is doubtful.
func valueText(v heardValue) string {
	text := fmt.Sprintf("%s %.6g", v.Metric, v.Value)
	if v.Unit != "1" && v.Unit != "" { // a ratio needs none
		text += " " + v.Unit
	}
	if v.Suspect {
		text += "?"
	}
	return text
}

// visible takes out of what a client chose whatever cannot be seen: it must not
// move the cursor of the terminal it is shown on, nor turn the direction of
// writing.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '·'
		}
		return r
	}, text)
}
