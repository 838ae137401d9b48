//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A system is what takes messages from sockets: the gateway, or what people run
// instead of it.
type system struct {
	name    string
	mqtt    string // address
	parts   []*process
	topic   string // in Kafka; "": it brings nothing there
	counter string // what stands in JSON before the counter of a message
	status  func(ctx context.Context) (gatewayStatus, error)
}

func (s *system) stop() {
	for i := len(s.parts) - 1; i >= 0; i-- {
		s.parts[i].stop()
	}
}

func (s *system) cpu() (sum time.Duration, err error) {
	for _, p := range s.parts {
		used, err := p.cpu()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", s.name, err)
		}
		sum += used
	}
	return sum, nil
}

// memory adds up all parts.
func (s *system) memory() (resident, peak float64, err error) {
	for _, p := range s.parts {
		r, k, err := p.memory()
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", s.name, err)
		}
		resident, peak = resident+r, peak+k
	}
	return resident, peak, nil
}

func (s *system) forgetPeak() error {
	for _, p := range s.parts {
		if err := p.forgetPeak(); err != nil {
			return err
		}
	}
	return nil
}

// A gatewayStatus is what is used of `plantgate status --json`.
type gatewayStatus struct {
	Buffer *struct {
		Next, Confirmed uint64
		Unsent          int64
		Commits         uint64
	}
}

// settings of the gateway that a measure changes: key and value as YAML.
type settings map[string]string

// gateway starts plantgate in a folder of its own, which is kept for a second
// start.
func (l *lab) gateway(ctx context.Context, dir string, changed settings) (*system, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &system{name: "plantgate", mqtt: freeAddress(), topic: "plantgate.readings.v1", counter: `"energy_kwh":`}
	all := settings{
		"gateway": "bench", "site": "home", "data_dir": filepath.Join(dir, "data"), "http": `{listen: "off"}`,
		"kafka": fmt.Sprintf("{brokers: [%q]}", l.bootstrap), "clock": "{trust: true}", "log": "{format: text}",
		"mqtt": fmt.Sprintf("{listen: %q, anonymous: true, limits: {connections: 6000, connections_per_address: 6000}}", s.mqtt),
	}
	var text strings.Builder
	for key, value := range changed {
		all[key] = value
	}
	for key, value := range all {
		fmt.Fprintf(&text, "%s: %s\n", key, value)
	}
	config := filepath.Join(dir, "plantgate.yaml")
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	p, err := start(filepath.Join(dir, "plantgate.log"), l.program, "run", "--config", config)
	if err != nil {
		return nil, err
	}
	s.parts = []*process{p}
	s.status = func(ctx context.Context) (st gatewayStatus, err error) {
		out, err := exec.CommandContext(ctx, l.program, "status", "--json", "--config", config).Output()
		if err != nil {
			return st, err
		}
		return st, json.Unmarshal(out, &st)
	}
	return s, s.awaitStart(ctx)
}

// mosquitto is Debian's broker with nothing durable, as it is installed. Its
// limits on what waits are lifted: else it drops what a subscriber is too slow
// for.
func (l *lab) mosquitto(ctx context.Context, dir string) (*system, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &system{name: "mosquitto", mqtt: freeAddress()}
	host, port, _ := net.SplitHostPort(s.mqtt)
	text := fmt.Sprintf("listener %s %s\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\nlog_type error\n", port, host)
	config := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	p, err := start(filepath.Join(dir, "mosquitto.log"), "mosquitto", "-c", config)
	if err != nil {
		return nil, err
	}
	s.parts = []*process{p}
	return s, s.awaitStart(ctx)
}

const telegrafTopic = "telegraf"

// telegraf puts Telegraf behind mosquitto. Everything is set towards speed, so
// far as nothing gets lost while Kafka is there: a persistent session with QoS
// 1, large batches, and a short interval between two of them.
func (l *lab) telegraf(ctx context.Context, dir string) (*system, error) {
	s, err := l.mosquitto(ctx, dir)
	if err != nil {
		return nil, err
	}
	s.name, s.topic, s.counter = "mosquitto + Telegraf", telegrafTopic, `"ENERGY_Total":`
	text := fmt.Sprintf(`[agent]
  interval = "1s"
  flush_interval = "200ms"
  flush_jitter = "0s"
  metric_batch_size = 5000
  metric_buffer_limit = 200000
  omit_hostname = true
  quiet = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://%s"]
  topics = ["tele/+/SENSOR"]
  qos = 1
  persistent_session = true
  client_id = "telegraf"
  max_undelivered_messages = 20000
  data_format = "json"
[[outputs.kafka]]
  brokers = [%q]
  topic = %q
  version = "2.8.0"
  required_acks = -1
  compression_codec = 4
  data_format = "json"
`, s.mqtt, l.bootstrap, telegrafTopic)
	config := filepath.Join(dir, "telegraf.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	p, err := start(filepath.Join(dir, "telegraf.log"), l.telegrafProgram, "--config", config)
	if err != nil {
		s.stop()
		return nil, err
	}
	s.parts = append(s.parts, p)
	time.Sleep(3 * time.Second) // it subscribes and says nothing about it
	return s, p.err()
}

func (s *system) awaitStart(ctx context.Context) error {
	err := eventually(ctx, 30*time.Second, s.name+" listens", func() (bool, error) {
		if err := s.parts[0].err(); err != nil {
			return false, err
		}
		conn, err := net.Dial("tcp", s.mqtt)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		s.stop()
	}
	return err
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // a machine without loopback has more to fear than a panic
	}
	defer l.Close()
	return l.Addr().String()
}
