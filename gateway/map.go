package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
	"github.com/plantgate/plantgate/gateway/internal/control"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
)

type mapCommand struct {
	Learn mapLearnCommand `cmd:"" help:"Topics that nobody reads, each with a mapping to begin with."`
	Try   mapTryCommand   `cmd:"" help:"What would be read from a message on standard input, and by which rule."`
	Test  mapTestCommand  `cmd:"" help:"Check a mapping file and the tests in it."`
}

type mapTestCommand struct {
	File string `arg:"" type:"path"`
}

func (c mapTestCommand) Run(s streams) error {
	if err := mapping.Check(c.File); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.out, "%s is right\n", c.File)
	return err
}

type mapTryCommand struct {
	Topic string `arg:"" help:"Topic of the message, whose payload is read from standard input."`
}

func (c mapTryCommand) Run(all *commands, s streams) error {
	payload, err := io.ReadAll(io.LimitReader(s.in, ingest.MaxPayload+1))
	if err != nil {
		return fmt.Errorf("read payload: %w", err)
	}
	user, errs := all.mappings()
	for _, err := range errs {
		fmt.Fprintf(s.err, "plantgate: %v\n", err)
	}
	m := dialect.Message{Topic: c.Topic, Payload: payload}
	fmt.Fprintf(s.out, "your mappings: %s", user.Explain(m))
	for _, d := range dialects(user, nil) {
		result, mine := d.Decode(m)
		if !mine {
			continue
		}
		return c.show(s.out, d.Name(), m, result)
	}
	_, err = fmt.Fprintln(s.out, "nobody reads this topic; `plantgate map learn` makes a mapping to begin with")
	return err
}

func (c mapTryCommand) show(out io.Writer, by string, m dialect.Message, result dialect.Result) error {
	if by == mapping.Source {
		_, err := fmt.Fprintf(out, "read by a mapping: %s", mapping.Presets().Explain(m))
		return err
	}
	switch {
	case result.Err != nil:
		fmt.Fprintf(out, "read by %s, and unreadable: %v\n", by, result.Err)
	case len(result.Readings) == 0:
		fmt.Fprintf(out, "read by %s, and measures nothing\n", by)
	}
	for _, line := range tailText(heard{Time: time.Now(), Readings: describeAll(result)}) {
		if _, err := fmt.Fprintf(out, "read by %s: %s\n", by, line); err != nil {
			return err
		}
	}
	return nil
}

func describeAll(result dialect.Result) (all []heardReading) {
	for _, r := range result.Readings {
		all = append(all, describeReading(r))
	}
	return all
}

// An unreadTopic is one that no dialect reads.
type unreadTopic struct {
	Topic  string    `json:"topic"`
	Count  uint64    `json:"count"`
	Last   time.Time `json:"last"`
	Sample string    `json:"sample"` // the beginning of the last payload
}

func (g *gateway) serveUnread(w http.ResponseWriter, _ *http.Request) {
	list := []unreadTopic{}
	for _, u := range g.ingest.Unread() {
		list = append(list, unreadTopic{u.Topic, u.Count, u.Last, strings.ToValidUTF8(string(u.Sample), "\ufffd")})
	}
	writeJSON(w, http.StatusOK, list)
}

type mapLearnCommand struct{}

func (mapLearnCommand) Run(ctx context.Context, all *commands, s streams) error {
	resp, err := control.Get(ctx, "/unread", all.sockets()...)
	if err != nil {
		return explainStopped(err)
	}
	defer resp.Body.Close()
	var topics []unreadTopic
	if err := json.NewDecoder(resp.Body).Decode(&topics); err != nil {
		return fmt.Errorf("read from the gateway: %w", err)
	}
	if len(topics) == 0 {
		_, err := fmt.Fprintln(s.out, "every topic that was seen is read")
		return err
	}
	for _, u := range topics {
		if _, err := fmt.Fprintln(s.out, learnText(u)); err != nil {
			return err
		}
	}
	return nil
}

// learnText shows a topic with a mapping to begin with.
func learnText(u unreadTopic) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %d messages, the last %s\n# %s\n", visible(u.Topic), u.Count, u.Last.Local().Format(time.DateTime), visible(u.Sample))
	stub, err := mapping.Stub(dialect.Message{Topic: u.Topic, Payload: []byte(u.Sample)})
	if err != nil {
		fmt.Fprintf(&b, "# no mapping can be proposed: %v\n", err)
		return b.String()
	}
	b.WriteString(stub)
	return b.String()
}
