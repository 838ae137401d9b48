package main

import (
	"context"
	"errors"

	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/gateway/internal/verify"
	"github.com/plantgate/plantgate/reading"
)

type verifyCommand struct {
	Brokers []string `help:"Kafka to read instead of the configured one: the demo's is 127.0.0.1:9092." placeholder:"HOST:PORT"`
}

var errNotExplained = errors.New("something is missing without an explanation, or out of order")

func (c verifyCommand) Run(ctx context.Context, all *commands, s streams) error {
	o, err := c.options(all)
	if err != nil {
		return err
	}
	report, err := verify.Run(ctx, o, s.out)
	if err != nil {
		return err
	}
	if !report.OK() {
		return errNotExplained
	}
	return nil
}

func (c verifyCommand) options(all *commands) (forward.Options, error) {
	if len(c.Brokers) > 0 {
		return forward.Options{Brokers: c.Brokers, Place: reading.Place{Gateway: "verify"}}, nil
	}
	cfg, err := all.load(loadOptions{})
	if err != nil {
		return forward.Options{}, err
	}
	return kafkaOptions(cfg)
}
