package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"

	"github.com/slipway-ml/slipway/client"
)

// Exit codes (ecosystem.md section 3). Scripts rely on them.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2
	exitRejected     = 3
	exitTimeout      = 4
	exitUnreachable  = 5
	exitUnauthorised = 6
	exitNotFound     = 7
	exitConflict     = 8
	exitEnded        = 10 // cancelled or expired
	exitInterrupted  = 130
)

// exitError is an error that decides how the program ends.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exitf(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// cli is the command line. Its fields are the verbs.
type cli struct {
	Up            upCmd            `cmd:"" help:"Start everything in one process: NATS, worker, prediction server."`
	Worker        workerCmd        `cmd:"" help:"Start a worker against an external NATS server."`
	PredictServer predictServerCmd `cmd:"" name:"predict-server" help:"Start a prediction server against an external NATS server."`
	Gateway       gatewayCmd       `cmd:"" help:"Start a gateway for pipelines that speak HTTP and not NATS."`

	Upload     uploadCmd     `cmd:"" help:"Put a model file, or a folder of files, into the artifacts object store."`
	Register   registerCmd   `cmd:"" help:"Register a model."`
	Deploy     deployCmd     `cmd:"" help:"Create a deployment and serve a model from it."`
	Replace    replaceCmd    `cmd:"" help:"Serve another model from a deployment, without interruption."`
	Rollback   rollbackCmd   `cmd:"" help:"Serve an earlier version of a deployment again, without interruption."`
	Rename     renameCmd     `cmd:"" help:"Give a version of a deployment a name."`
	Validate   validateCmd   `cmd:"" help:"Say whether a model can replace the one that a deployment serves; nothing changes."`
	Update     updateCmd     `cmd:"" help:"Change label, description, importance or model of a deployment."`
	Drift      driftCmd      `cmd:"" help:"Switch the computing of drift on or off."`
	Deactivate deactivateCmd `cmd:"" help:"Answer no predictions until the deployment is activated."`
	Activate   activateCmd   `cmd:"" help:"Answer predictions again."`
	Delete     deleteCmd     `cmd:"" help:"End a deployment; its history stays."`
	Cancel     cancelCmd     `cmd:"" help:"End a command that is queued or running."`
	Get        getCmd        `cmd:"" help:"Show one deployment."`
	History    historyCmd    `cmd:"" help:"Show which models a deployment has served, and why they were replaced."`
	Versions   versionsCmd   `cmd:"" help:"Show the versions of a deployment: which models, why, by whom, from which commits."`
	List       listCmd       `cmd:"" help:"List deployments, models or prediction servers."`
	Servers    serversCmd    `cmd:"" help:"List the prediction servers that are live."`
	Events     eventsCmd     `cmd:"" help:"Show what happened, and follow what happens."`
	Predict    predictCmd    `cmd:"" help:"Ask a deployment for predictions."`

	Contract    contractCmd    `cmd:"" help:"Check and find the contracts that describe models."`
	Credentials credentialsCmd `cmd:"" help:"Keep secrets on the broker, for workers that have SLIPWAY_CREDENTIALS_BUCKET."`

	Provision provisionCmd `cmd:"" help:"Make the streams and buckets that Slipway needs, and show them."`
	Replay    replayCmd    `cmd:"" help:"Write the ledger as JSON lines, or publish it again below another subject."`
	Verify    verifyCmd    `cmd:"" help:"Compare deployments, models and operations with what the ledger says."`
	Rebuild   rebuildCmd   `cmd:"" help:"Rewrite what differs from the ledger."`
	GC        gcCmd        `cmd:"" name:"gc" help:"Remove model files that no version needs any more."`
	Redrive   redriveCmd   `cmd:"" help:"Publish commands that were not carried out again, under a new id."`

	Health healthCmd `cmd:"" help:"Exit with 0 if the slipway of this data directory is ready."`

	Output string `short:"o" enum:"table,json" default:"table" help:"How results are written: ${enum}."`
}

// program is what every verb has at hand.
type program struct {
	Config

	output         string // table or json
	environment    map[string]string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the whole program, so that tests can call it. It returns the exit code.
func run(ctx context.Context, args []string, environment map[string]string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := newParser(&c, kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(stderr, "slipway:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	verb, err := parser.Parse(args)
	switch {
	case exited >= 0: // --help has been answered
		return exited
	case err != nil:
		fmt.Fprintf(stderr, "slipway: %v\nRun \"slipway --help\" to see what there is.\n", err)
		return exitUsage
	}
	config, err := readConfig(ctx, environment)
	if err != nil {
		fmt.Fprintln(stderr, "slipway:", err)
		return exitUsage
	}
	p := &program{Config: config, output: c.Output, environment: environment, stdin: stdin, stdout: stdout, stderr: stderr}
	verb.BindTo(ctx, (*context.Context)(nil))
	err = verb.Run(p)
	interrupted := ctx.Err() != nil && errors.Is(err, context.Canceled) // who did it knows
	if err != nil && !errors.Is(err, errSaid) && !interrupted {
		fmt.Fprintln(stderr, "slipway:", err)
	}
	return exitCode(ctx, err)
}

func newParser(c *cli, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append(options, kong.Name("slipway"), kong.UsageOnError(),
		kong.Description("Deploys machine-learning models by event. Every variable of the environment is in docs/operations.md."))...)
}

// errSaid is an error about which everything has been printed.
var errSaid = errors.New("said")

func exitCode(ctx context.Context, err error) int {
	var (
		exit    *exitError
		refused *client.Error
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &refused):
		return classCode(refused.Class)
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrAuthExpired):
		return exitUnauthorised
	case slices.ContainsFunc([]error{nats.ErrNoServers, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrNoResponders, context.DeadlineExceeded},
		func(unreachable error) bool { return errors.Is(err, unreachable) }):
		return exitUnreachable
	default:
		return exitFailed
	}
}

// verbs are the names of all verbs.
func verbs() (names []string) {
	parser, err := newParser(&cli{})
	if err != nil {
		return nil
	}
	for _, verb := range parser.Model.Children {
		names = append(names, verb.Name)
	}
	return names
}
