package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/gateway/internal/service"
)

type runCommand struct {
	Pprof bool `help:"Serve /debug/pprof on http.listen, to see where time and memory go."`
}

func (c runCommand) Run(ctx context.Context, all *commands, s streams) error {
	if runtime.GOOS != "linux" {
		return errors.New("run works on Linux only; plantgate demo works everywhere")
	}
	cfg, err := all.load(loadOptions{})
	if err != nil {
		return err
	}
	log := journal.New(journal.Options{Format: cfg.Log.Format, Level: cfg.Log.Level, Out: s.err})
	for _, w := range cfg.Warnings {
		log.Warn("the configuration is doubtful", "warning", w.Error())
	}
	user, errs := all.mappings()
	for _, err := range errs {
		log.Warn("a mapping is not used", journal.Error(err))
	}
	boundMemory(cfg.MQTT.Limits.Connections)
	g, err := newGateway(cfg, log, linuxBus, user)
	if err != nil {
		return err
	}
	g.profiled = c.Pprof
	return g.serve(ctx)
}

// boundMemory makes the garbage collector work harder before the program grows:
// what a drain at full speed leaves behind is garbage, and a small board has
// other uses for the room. Seen at the peak of a drain at full speed: 112 MB
// resident without (4 million readings), 90 MB with it (1.8 million). Each connection beyond the
// usual ones needs its own room. GOMEMLIMIT, where it is set, holds instead.
func boundMemory(connections int) {
	const (
		base          = 64 << 20
		usual         = 512
		perConnection = 64 << 10
	)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(base + int64(max(0, connections-usual))*perConnection)
	}
}

// serve runs the gateway until ctx ends and tells systemd about it.
func (g *gateway) serve(ctx context.Context) error {
	told := context.AfterFunc(ctx, func() { g.tellService(service.Stopping) })
	defer told()
	err := g.run(ctx, func() {
		g.tellService(service.Ready)
		g.log.Info("started", journal.Event(journal.Started), "version", version(), "gateway", g.cfg.Gateway, "data_dir", filepath.Clean(g.cfg.DataDir))
	})
	return errors.Join(err, g.close())
}

// tellService tells systemd a change, and the line that `systemctl status` shows.
func (g *gateway) tellService(change ...string) {
	if err := service.Notify(append(change, service.Status("%s", g.status().headline()))...); err != nil {
		g.log.Warn("systemd could not be told", journal.Error(err))
	}
}
