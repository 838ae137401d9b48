package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/control"
)

type statusCommand struct {
	JSON  bool `name:"json" help:"As one JSON object."`
	Watch bool `help:"Again every second, until Ctrl-C."`
}

func (c statusCommand) Run(ctx context.Context, all *commands, s streams) error {
	for {
		if err := c.show(ctx, all, s); err != nil {
			return err
		}
		if !c.Watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (c statusCommand) show(ctx context.Context, all *commands, s streams) error {
	resp, err := control.Get(ctx, "/status", all.sockets()...)
	if err != nil {
		return explainStopped(err)
	}
	defer resp.Body.Close()
	var st status
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		return fmt.Errorf("read status: %w", err)
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(st)
	}
	text := statusText(st, time.Now())
	if c.Watch {
		text = "\x1b[H\x1b[2J" + text
	}
	_, err = fmt.Fprint(s.out, text)
	return err
}

func explainStopped(err error) error {
	if errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("%w (start it with `systemctl start plantgate` or `plantgate run`; `journalctl -u plantgate` says why it stopped; --config names another configuration)", err)
	}
	return err
}

// statusText is the status for a person: what is wrong first, then the path of
// a reading from left to right.
func statusText(st status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "gateway %s at %s, version %s, up %s\n", st.Gateway, st.Site, st.Version, span(now.Sub(st.Started)))
	if len(st.Problems) == 0 {
		b.WriteString("all is well\n")
	}
	for _, p := range st.Problems {
		fmt.Fprintf(&b, "! %s\n", visible(p.What))
		if p.Since != nil {
			fmt.Fprintf(&b, "  since  %s ago\n", span(now.Sub(*p.Since)))
		}
		if p.Remedy != "" {
			fmt.Fprintf(&b, "  do     %s\n", visible(p.Remedy))
		}
	}
	fmt.Fprintf(&b, "\nmqtt     %s, %d clients, %d messages%s\n", strings.Join(st.MQTT.Addresses, " "), st.MQTT.Clients, st.MQTT.Received, refusedText(st.MQTT.Refused))
	for _, s := range st.Sensors {
		fmt.Fprintf(&b, "sensor   %s: %s%s\n", s.Name, s.State, agoText(s.Last, now))
	}
	for _, s := range st.Sources {
		if s.Source == "" || s.Readings+s.Ignored+s.DeadLettered+s.Refused == 0 {
			continue // messages that nobody reads, and dialects that nobody here speaks
		}
		fmt.Fprintf(&b, "source   %s: %d readings, %d ignored, %d unreadable, %d refused\n", visible(s.Source), s.Readings, s.Ignored, s.DeadLettered, s.Refused)
	}
	for _, d := range st.Devices {
		fmt.Fprintf(&b, "device   %s (%s): %d readings%s\n", visible(d.Name), visible(d.Source), d.Readings, agoText(d.Last, now)+stateText(d))
	}
	writeStore(&b, st)
	b.WriteString("clock    " + clockText(st.Clock) + "\n")
	return b.String()
}

func writeStore(b *strings.Builder, st status) {
	if s := st.Buffer; s != nil {
		fmt.Fprintf(b, "buffer   %d unsent of %d, %s of %s%s\n", s.Unsent, s.Next-s.Oldest, bytesText(s.Bytes), bytesText(s.Limit), daysText(s.DaysLeft))
	}
	if k := st.Kafka; k != nil {
		total := uint64(0)
		for _, n := range k.Forwarded {
			total += n
		}
		fmt.Fprintf(b, "kafka    %s, %d records confirmed since the start, oldest unsent %s\n", k.State, total, span(time.Duration(k.OldestUnsent*float64(time.Second))))
	}
}

func clockText(c clockStatus) string {
	switch {
	case c.Trusted:
		return "trusted by configuration"
	case c.Synchronised:
		return "synchronised"
	case c.Holding:
		return "not set; readings wait for it"
	default:
		return "not set; readings leave marked uncertain"
	}
}

func refusedText(refused map[string]uint64) string {
	var text []string
	for _, reason := range slices.Sorted(maps.Keys(refused)) {
		if n := refused[reason]; n > 0 {
			text = append(text, fmt.Sprintf("%s %d", reason, n))
		}
	}
	if len(text) == 0 {
		return ""
	}
	return ", refused: " + strings.Join(text, ", ")
}

func agoText(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return ", last " + span(now.Sub(*at)) + " ago"
}

func stateText(d deviceStatus) string {
	switch {
	case d.Offline:
		return ", offline"
	case d.Silent:
		return fmt.Sprintf(", silent (it was heard every %s at least)", span(time.Duration(d.Every*float64(time.Second))))
	}
	return ""
}

func daysText(days float64) string {
	if days <= 0 {
		return ""
	}
	return fmt.Sprintf(", full in %.1f days", days)
}

// span is a duration as a person says it.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	default:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
}

func bytesText(n int64) string {
	switch {
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	}
}

// headline is the one line that `systemctl status` has room for.
func (s status) headline() string {
	if len(s.Problems) > 0 {
		return s.Problems[0].What
	}
	line := fmt.Sprintf("%d devices, %d MQTT clients", len(s.Devices), s.MQTT.Clients)
	if s.Buffer != nil && s.Buffer.Unsent > 0 {
		line += fmt.Sprintf(", %d records wait for Kafka", s.Buffer.Unsent)
	}
	return line
}
