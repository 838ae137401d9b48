// Command plantgate takes readings from soil probes and smart sockets, keeps
// each on the card before it acknowledges it, and forwards them to Kafka.
//
// This package is the wiring: commands, and the one place where the parts meet.
// It guarantees that every part is waited for and that a second Ctrl-C ends the
// program at once. The parts themselves are under internal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second Ctrl-C kills
	os.Exit(execute(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are what a command reads from and writes to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// commands is the command line; kong builds its help from it.
type commands struct {
	Config  string `help:"Configuration file." default:"/etc/plantgate/plantgate.yaml" type:"path" env:"PLANTGATE_CONFIG"`
	DataDir string `help:"Data directory, instead of the configured one." type:"path" placeholder:"DIR"`

	Run     runCommand     `cmd:"" help:"Run the gateway."`
	Demo    demoCommand    `cmd:"" help:"Run a gateway with emulated plants and sockets and a Kafka in the same process."`
	Check   checkCommand   `cmd:"" help:"Check the configuration file."`
	Status  statusCommand  `cmd:"" help:"Show what works, what waits, and what to do."`
	Tail    tailCommand    `cmd:"" help:"Show readings as they arrive."`
	Buffer  bufferCommand  `cmd:"" help:"Look at the buffer on the card."`
	Verify  verifyCommand  `cmd:"" help:"Read the topics back and explain every hole, duplicate and disorder."`
	Decode  decodeCommand  `cmd:"" help:"Decode MQTT messages from JSON lines on standard input."`
	Map     mapCommand     `cmd:"" help:"Own mappings for devices that no dialect reads."`
	MQTT    mqttCommand    `cmd:"" name:"mqtt" help:"Manage the users of the MQTT broker."`
	Version versionCommand `cmd:"" help:"Show the version."`
}

const description = "Soil probes and smart sockets to Kafka, without losing a reading."

// execute parses args, runs the command and returns the exit code: 0 for
// success, 1 for a failure, 2 for a command line that is wrong.
func execute(ctx context.Context, args []string, s streams) int {
	var c commands
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("plantgate"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		fmt.Fprintf(s.err, "plantgate: %v\n", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help has been shown
		return exited
	}
	if err != nil {
		fmt.Fprintf(s.err, "plantgate: %v\n", err)
		return 2
	}
	if err := command.Run(&c); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(s.err, "plantgate: %v\n", err)
		return 1
	}
	return 0
}
