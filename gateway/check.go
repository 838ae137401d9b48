package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/control"
	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/gateway/internal/service"
)

// loadOptions say what a command needs of the configuration.
type loadOptions struct {
	anyKafka bool // it sends nothing, so brokers may be absent
}

func (c *commands) load(o loadOptions) (config.Config, error) {
	cfg, err := config.Load(c.Config, config.Options{Chips: chips(), NoKafka: o.anyKafka})
	if c.DataDir == "" {
		return cfg, err
	}
	if o.anyKafka && errors.Is(err, fs.ErrNotExist) { // the folder says it all
		cfg, err = config.Default(), nil
	}
	cfg.DataDir = c.DataDir
	return cfg, err
}

// runtimeDirectory is the systemd unit's RuntimeDirectory, where a command that
// is not part of the unit looks for its socket.
const runtimeDirectory = "/run/plantgate"

// sockets are the places where a running gateway may be asked, the configured
// one first. The demo's is the last, so that `plantgate tail` beside a demo
// works without a flag.
func (c *commands) sockets() []string {
	if c.DataDir != "" {
		return []string{control.Path("", c.DataDir)}
	}
	paths := []string{control.Path(os.Getenv("RUNTIME_DIRECTORY"), runtimeDirectory)}
	if cfg, err := c.load(loadOptions{anyKafka: true}); err == nil {
		paths = append(paths, control.Path("", cfg.DataDir))
	}
	return append(paths, control.Path("", demoDir()))
}

type checkCommand struct {
	Connect bool `help:"Also connect to Kafka."`
}

func (c checkCommand) Run(ctx context.Context, all *commands, s streams) error {
	cfg, err := all.load(loadOptions{})
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(s.out, "warning: %v\n", w)
	}
	kafka, err := kafkaOptions(cfg)
	if err != nil {
		return err
	}
	if err := kafka.Validate(); err != nil {
		return err
	}
	if _, err := mqttListeners(cfg.MQTT, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if c.Connect {
		if err := ping(ctx, kafka.Connect()); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.out, "%s is right: %d sensors, Kafka at %v\n", all.Config, len(cfg.Sensors), cfg.Kafka.Brokers)
	return err
}

const pingTimeout = 15 * time.Second

func ping(ctx context.Context, opts []kgo.Opt) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("connect to Kafka: %w", err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("connect to Kafka: %w (address and port right? does the listener want TLS or SASL?)", err)
	}
	return nil
}

type runCommand struct{}

func (runCommand) Run(ctx context.Context, all *commands, s streams) error {
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
	return runGateway(ctx, cfg, log, linuxBus, func() {})
}

// runGateway runs a gateway until ctx ends and tells systemd about it.
func runGateway(ctx context.Context, cfg config.Config, log *slog.Logger, open openBus, ready func()) error {
	g, err := newGateway(cfg, log, open)
	if err != nil {
		return err
	}
	err = g.run(ctx, func() {
		if err := service.Notify(service.Ready); err != nil {
			log.Warn("systemd could not be told", "error", err)
		}
		log.Info("started", journal.Event(journal.Started), "version", version(), "gateway", cfg.Gateway, "data_dir", filepath.Clean(cfg.DataDir))
		ready()
	})
	return errors.Join(err, g.close())
}
