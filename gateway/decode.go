package main

import "github.com/plantgate/plantgate/gateway/internal/ingest"

type decodeCommand struct{}

// Help describes the lines; kong shows it under the command.
func (decodeCommand) Help() string {
	return `Each line is {"topic":..,"payload":..|"payload_b64":..,"retain":bool,"setup":[{"topic":..,"payload":..}]}
and is decoded on its own: setup is what the decoder has seen before. Each gives one line
{"readings":[{"device":..,"channel":..,"source":..,"values":[{"quantity":..,"unit":..,"value":..,"suspect":bool}]}],"ignored":bool,"error":".."}.`
}

func (decodeCommand) Run(s streams) error { return ingest.DecodeLines(s.in, s.out, dialects) }
