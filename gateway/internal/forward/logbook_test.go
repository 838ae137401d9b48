package forward_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// A logBook keeps log lines for a look at what a person would read.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logBook) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *logBook) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *logBook) WithGroup(string) slog.Handler                    { return l }

func (l *logBook) Handle(ctx context.Context, r slog.Record) error {
	var b bytes.Buffer
	err := slog.NewTextHandler(&b, nil).Handle(ctx, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(b.String()))
	return err
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// count returns how many lines hold all of the given texts.
func (l *logBook) count(texts ...string) int {
	n := 0
	for line := range strings.SplitSeq(l.String(), "\n") {
		all := line != ""
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			n++
		}
	}
	return n
}

// proved says in one line what a proof has tried and found. scripts/torture
// collects these lines into its table.
func proved(t *testing.T, what, format string, args ...any) {
	t.Helper()
	if !t.Failed() {
		t.Logf("PROOF %s: %s", what, fmt.Sprintf(format, args...))
	}
}
