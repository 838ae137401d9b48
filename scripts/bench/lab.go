//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// A lab is what every measure works with.
type lab struct {
	dir             string // on the disk that is measured
	program         string // plantgate as it is installed
	telegrafProgram string // "": the others are not measured
	bootstrap       string // Kafka
	scale           float64
	runs            int
	log             io.Writer
}

// A measure makes samples in one run.
type measure struct {
	name string
	run  func(context.Context, *lab) ([]sample, error)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// messages scales a usual number of messages.
func (l *lab) messages(usual int) int { return max(200, int(float64(usual)*l.scale)) }

// fresh is an empty folder.
func (l *lab) fresh(name string) (string, error) {
	dir := l.path(name)
	return dir, errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
}

// The tags leave of Telegraf what is needed here.
const (
	telegrafModule = "github.com/influxdata/telegraf/cmd/telegraf@v1.37.2"
	telegrafTags   = "custom,inputs.mqtt_consumer,outputs.kafka,parsers.json,serializers.json"
)

func (l *lab) build(ctx context.Context, peers bool) error {
	l.program = l.path("plantgate")
	if err := l.goCommand(ctx, "build", "-trimpath", "-ldflags=-s -w", "-o", l.program, "./gateway"); err != nil {
		return err
	}
	if !peers {
		return nil
	}
	if _, err := exec.LookPath("mosquitto"); err != nil {
		return fmt.Errorf("the others cannot be measured: %w (Debian: apt install mosquitto)", err)
	}
	l.telegrafProgram = l.path("telegraf")
	if _, err := os.Stat(l.telegrafProgram); err == nil {
		return nil
	}
	fmt.Fprintln(l.log, "building Telegraf; this takes a while the first time")
	return l.goCommand(ctx, "install", "-tags", telegrafTags, telegrafModule)
}

// goCommand builds without C, as the program is shipped, and installs into the
// lab's folder.
func (l *lab) goCommand(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+l.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, out)
	}
	return nil
}
