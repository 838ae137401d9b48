package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

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
	if _, errs := all.mappings(); len(errs) > 0 {
		return errors.Join(errs...)
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
