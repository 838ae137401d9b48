package main

import (
	"fmt"

	"github.com/plantgate/plantgate/gateway/internal/ingest"
)

type decodeCommand struct{}

// Help describes the lines; kong shows it under the command.
func (decodeCommand) Help() string {
	return `Each line is {"topic":..,"payload":..|"payload_b64":..,"retain":bool,"setup":[{"topic":..,"payload":..}]}
and is decoded on its own: setup is what the decoder has seen before. Each gives one line
{"readings":[{"device":..,"channel":..,"source":..,"values":[{"quantity":..,"unit":..,"value":..,"suspect":bool}]}],"ignored":bool,"error":".."}.`
}

func (decodeCommand) Run(all *commands, s streams) error {
	user, errs := all.mappings()
	for _, err := range errs {
		fmt.Fprintf(s.err, "plantgate: %v\n", err)
	}
	return ingest.DecodeLines(s.in, s.out, func() []ingest.Dialect { return dialects(user, nil) })
}
