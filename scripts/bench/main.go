//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

var measures = []measure{
	{"acknowledged", measureAcknowledged},
	{"half-load", measureHalfLoad},
	{"sustained", measureSustained},
	{"end-to-end", measureEndToEnd},
	{"outage", measureOutage},
	{"slow-kafka", measureSlowKafka},
	{"drain", measureDrain},
	{"wear", measureWear},
	{"start", measureStart},
	{"sockets", measureSockets},
	{"limits", measureLimits},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	peers := flag.Bool("peers", false, "measure mosquitto and Telegraf as well")
	runs := flag.Int("runs", 5, "how often each measure is made")
	scale := flag.Float64("scale", 1, "part of the usual number of messages and seconds")
	only := flag.String("only", ".", "measures to make: a regular expression")
	out := flag.String("out", "", "file for the table in Markdown; empty: only the terminal")
	dir := flag.String("dir", ".bench", "folder on the disk that is measured")
	flag.Parse()
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	l := &lab{dir: path, runs: *runs, scale: *scale, log: os.Stderr}
	if err := errors.Join(os.MkdirAll(path, 0o755), l.build(ctx, *peers), l.startKafka(ctx)); err != nil {
		return err
	}
	defer l.kafka(context.WithoutCancel(ctx), "kill")
	t, err := l.measureAll(ctx, chosen)
	if err != nil {
		return err
	}
	text := l.document(ctx, t)
	fmt.Print(text)
	if *out == "" {
		return nil
	}
	return os.WriteFile(*out, []byte(text), 0o644)
}

// measureAll makes every measure once before any is made again, so that a slow
// minute of the machine does not fall on one of them alone.
func (l *lab) measureAll(ctx context.Context, chosen *regexp.Regexp) (*table, error) {
	t := new(table)
	for n := range l.runs {
		for _, m := range measures {
			if !chosen.MatchString(m.name) {
				continue
			}
			begin := time.Now()
			samples, err := m.run(ctx, l)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			t.add(samples)
			fmt.Fprintf(l.log, "run %d of %d: %s, %.0f s\n", n+1, l.runs, m.name, time.Since(begin).Seconds())
		}
	}
	return t, nil
}

// document is the page of the figures.
func (l *lab) document(ctx context.Context, t *table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench-peers` (`make bench` leaves the others out). Everything (load, systems, Kafka)\nruns on the same machine: figures are to be compared with each other, not with\nthose of another machine. What each system is set to stands in `scripts/bench/system.go`.\n\n")
	for _, line := range l.machine(ctx) {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString("\n## Bars\n\n| what | bar | here | |\n|---|---|---|---|\n")
	for _, bar := range bars(t) {
		fmt.Fprintln(&b, bar.line())
	}
	b.WriteString("\n")
	t.markdown(&b, "Figures")
	return b.String()
}

func (l *lab) machine(ctx context.Context) []string {
	lines := []string{
		fmt.Sprintf("%s, %d processors, %s/%s, %s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version()),
		fmt.Sprintf("%s; each measure %d times, median, least and most; %.2g of the usual number of messages", time.Now().Format(time.DateOnly), l.runs, l.scale),
		"messages of a Tasmota socket, 230 bytes, each with another counter; Apache Kafka as scripts/kafka starts it",
	}
	for _, version := range [][]string{{"uname", "-sr"}, {l.program, "version"}} {
		lines = append(lines, firstLine(ctx, version...))
	}
	if l.telegrafProgram != "" {
		lines = append(lines, firstLine(ctx, "mosquitto", "-h"), firstLine(ctx, l.telegrafProgram, "version")+", "+telegrafModule+" with the tags "+telegrafTags)
	}
	return lines
}

func firstLine(ctx context.Context, command ...string) string {
	out, _ := exec.CommandContext(ctx, command[0], command[1:]...).Output() // mosquitto -h ends with a code
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, " :\t\n")
		}
	}
	return "unknown processor"
}
