package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/control"
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
