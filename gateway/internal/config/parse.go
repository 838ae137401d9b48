package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// maxFileBytes bounds what is read: a configuration of 50 sensors has 10 KiB,
// and a path that names a disk by mistake must not fill the memory.
const maxFileBytes = 1 << 20

// Load reads and checks the file at path. What is wrong inside the file is
// returned as Errors; a file that cannot be read as an error of its own.
func Load(path string, o Options) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w%s", err, remedy(err))
	}
	defer func() { _ = f.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text, o)
}

func remedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return " (name another file with --config)"
	case errors.Is(err, fs.ErrPermission):
		return " (is the user in the group plantgate?)"
	default:
		return ""
	}
}

// Parse checks text, the content of the file name, and returns it over the
// defaults. Either the Config is valid or the error is of type Errors and holds
// all that is wrong, in the order of the file.
func Parse(name string, text []byte, o Options) (Config, error) {
	d := newDecoder(name, text)
	c := Default()
	if root := d.document(text); root != nil {
		d.config(d.root(root), &c, o)
	}
	if len(d.problems) > 0 {
		return Config{}, sorted(d.problems)
	}
	c.Warnings = sorted(d.warnings)
	return c, nil
}

func sorted(problems Errors) Errors {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return problems
}

// config reads the whole file. Checks that concern several sections come last,
// when each of them has been read.
func (d *decoder) config(root *object, c *Config, o Options) {
	read(root, "gateway", &c.Gateway, gatewayName)
	read(root, "site", &c.Site, label)
	read(root, "data_dir", &c.DataDir, dataDir)
	d.kafka(root.section("kafka"), &c.Kafka, o)
	var listening listeners
	d.mqtt(root.section("mqtt"), &c.MQTT, &listening)
	c.Sensors = d.sensors(root, o)
	d.buffer(root.section("buffer"), c)
	d.clock(root.section("clock"), &c.Clock)
	d.http(root.section("http"), &c.HTTP, &listening)
	d.log(root.section("log"), &c.Log)
	root.end()
	listening.check(d)
	d.gateway(root, c, o)
	if len(c.Sensors) == 0 && len(c.MQTT.Listen) == 0 && len(c.MQTT.TLS.Listen) == 0 {
		d.warn(root.place("mqtt"), "there is nothing to collect: no sensor is named and no MQTT listener is on",
			"name a sensor under `sensors`, or remove `mqtt.listen: off`")
	}
}

// gateway falls back to the host name, which need not be a legal name.
func (d *decoder) gateway(root *object, c *Config, o Options) {
	if c.Gateway != "" {
		return
	}
	host, err := o.Hostname, error(nil)
	if host == "" {
		host, err = os.Hostname()
	}
	if err != nil {
		d.complain(root.place("gateway"), fmt.Sprintf("`gateway` is not set and the host name is unknown: %v", err),
			"name the gateway: `gateway: pi1`")
		return
	}
	if !validGatewayName(host) {
		d.complain(root.place("gateway"), fmt.Sprintf("`gateway` is not set and the host name %s cannot stand in for it", quoted(host)),
			"name the gateway: `gateway: "+cleanedName(host)+"`")
		return
	}
	c.Gateway = host
}
