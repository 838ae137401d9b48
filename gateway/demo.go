package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/i2c"

	"github.com/plantgate/plantgate/drivers/dialect/mapping"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/journal"
)

// demoCommand starts the gateway as run does, with a configuration made here:
// emulated chips instead of a bus, and a Kafka-protocol broker in process.
type demoCommand struct{}

const demoTopics = "kafka"

func (demoCommand) Run(ctx context.Context, all *commands, s streams) error {
	dir := cmp.Or(all.DataDir, demoDir())
	if err := os.MkdirAll(filepath.Join(dir, demoTopics), 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	kafkaPort, err := freePort(9092)
	if err != nil {
		return err
	}
	kafka, err := demoKafka(filepath.Join(dir, demoTopics), kafkaPort)
	if err != nil {
		return err
	}
	defer kafka.Close()
	cfg, err := demoConfig(dir, kafkaPort)
	if err != nil {
		return err
	}
	log := journal.New(journal.Options{Out: s.err, Level: cfg.Log.Level})
	g, err := newGateway(cfg, log, emulatedBus(time.Now().Truncate(24*time.Hour)), new(mapping.Decoder))
	if err != nil {
		return err
	}
	defer g.close()
	return demoRun(ctx, s, g, cfg, dir)
}

// demoRun runs gateway and sockets. The greeting comes when everything works.
func demoRun(ctx context.Context, s streams, g *gateway, cfg config.Config, dir string) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		return g.run(ctx, func() { fmt.Fprint(s.out, greeting(cfg, dir)) })
	})
	for _, socket := range demoSockets() {
		tasks.Go(func() error { return socket.run(ctx, cfg.MQTT.Listen[0]) })
	}
	return tasks.Wait()
}

func greeting(cfg config.Config, dir string) string {
	mqtt, kafka := cfg.MQTT.Listen[0], cfg.Kafka.Brokers[0]
	_, port, _ := net.SplitHostPort(mqtt) // freePort made it
	return fmt.Sprintf(`
plantgate demo: two emulated soil probes and three sockets, to Kafka and back.

  MQTT broker   %s      anonymous, this machine only
  Kafka         %s      in this process, kept in %s
  health        http://%s/healthz and /metrics
  readings      %s

Look from a second terminal:

  bin/plantgate tail
  bin/plantgate status
  mosquitto_pub -p %s -t tele/lamp/SENSOR -m '{"ENERGY":{"Power":7.5}}'
  kcat -b %s -t %s -C

Ctrl-C stops it; started again it goes on with the next number. Changes:
`, mqtt, kafka, filepath.Join(dir, demoTopics), cfg.HTTP.Listen, filepath.Join(dir, bufferDir), port, kafka, cfg.Kafka.Topics.Readings)
}

// demoDir is where a demo's state lies when nothing else is said.
func demoDir() string {
	if state := os.Getenv("XDG_STATE_HOME"); state != "" {
		return filepath.Join(state, "plantgate-demo")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "plantgate-demo")
	}
	return filepath.Join(os.TempDir(), "plantgate-demo")
}

// demoKafka is a Kafka in this process whose topics survive a kill: it keeps
// and syncs what it confirms, as the gateway relies on.
func demoKafka(dir string, port int) (*kfake.Cluster, error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(), kfake.DefaultNumPartitions(1))
	if err != nil {
		return nil, fmt.Errorf("start the demo's Kafka: %w (after a crash of the machine, delete %s)", err, dir)
	}
	return c, nil
}

// demoConfig goes through the same parser as a person's file, so that the demo
// cannot be configured as run could not.
func demoConfig(dir string, kafkaPort int) (config.Config, error) {
	mqttPort, err := freePort(1883)
	if err != nil {
		return config.Config{}, err
	}
	httpPort, err := freePort(8080)
	if err != nil {
		return config.Config{}, err
	}
	text := fmt.Sprintf(demoYAML, strconv.Quote(dir), kafkaPort, mqttPort, httpPort)
	return config.Parse("demo", []byte(text), config.Options{Chips: chips(), Emulate: true})
}

const demoYAML = `
gateway: demo
data_dir: %s
kafka:
  brokers: ["127.0.0.1:%d"]
mqtt:
  listen: "127.0.0.1:%d"
  anonymous: true
sensors:
  - {name: basil, chip: ads1115, bus: /dev/i2c-1, address: 0x48, channel: 0, probe: capacitive, calibration: {dry: 2.80 V, wet: 1.40 V}, every: 5s}
  - {name: monstera, chip: ads1115, bus: /dev/i2c-1, address: 0x48, channel: 1, probe: capacitive, calibration: {dry: 2.80 V, wet: 1.40 V}, every: 5s}
buffer: {limit: 512MiB}
clock: {trust: true}
http: {listen: "127.0.0.1:%d"}
log: {level: info, format: text}
`

// emulatedBus gives every bus an ADS1115 with two plants: one that is watered
// often, one that dries slowly. Their days last minutes.
func emulatedBus(start time.Time) openBus {
	return func(string) (i2c.BusCloser, error) {
		basil := emulator.Plant{Start: start, Lasts: 10 * time.Minute, Watered: 8 * time.Minute, Day: 4 * time.Minute}
		monstera := emulator.Plant{Start: start, Lasts: time.Hour, Watered: 45 * time.Minute, Day: 4 * time.Minute}
		b := new(emulator.Bus)
		b.Attach(0x48, emulator.NewADS1115(
			emulator.Noise(basil.Volts, 0.002, 1), emulator.Noise(monstera.Volts, 0.002, 2),
			emulator.Air(), emulator.Shorted()))
		return b, nil
	}
}

// freePort is the first port from the usual one on that nobody listens on.
func freePort(usual int) (int, error) {
	const tries = 20
	for port := usual; port < usual+tries; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port from " + strconv.Itoa(usual) + " on: stop what listens there")
}
