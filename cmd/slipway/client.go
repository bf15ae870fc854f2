package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// client is what the verbs that ask for something or look at something need.
func (p *program) client(ctx context.Context) (*client.Client, error) {
	conn, js, err := p.connect(ctx, "slipway")
	if err != nil {
		return nil, err
	}
	c, err := client.Over(ctx, js, p.source())
	if err != nil {
		conn.Close()
		if errors.Is(err, natsjs.ErrStreamNotFound) {
			err = fmt.Errorf("%w: no slipway has run on this server yet; start one with \"slipway up\"", err)
		}
		return nil, err
	}
	if err := p.signs(c); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// signs has the client sign with the seed of the NATS user that the environment
// names, if it names one.
func (p *program) signs(c *client.Client) (err error) {
	c.SeedFile, err = p.broker().SeedFile()
	return err
}

// source is the CloudEvents source of commands from this program.
func (p *program) source() string {
	return "/slipway/cli/" + cmp.Or(p.environment["USER"], "anonymous")
}

// waiting are the flags of the verbs that publish a command.
type waiting struct {
	ID      string        `help:"Id of the command; the same id is the same command, however often it is published. Default: a new one."`
	Source  string        `help:"CloudEvents source of the command." placeholder:"URI"`
	Actor   string        `help:"For whom the command is sent, if not for its source (CloudEvents authid)."`
	Async   bool          `help:"Do not wait for the outcome."`
	Timeout time.Duration `default:"15m" help:"How long to wait for the outcome. The command goes on after that."`
}

// command is the command about name that the flags say.
func (w waiting) command(name string) client.Command {
	return client.Command{Name: name, ID: w.ID, Source: w.Source, Actor: w.Actor}
}

// submit publishes a command and, unless told otherwise, waits for its outcome
// and prints it. What the wait is for is the command itself, never the state
// that it is to lead to.
func (p *program) submit(ctx context.Context, c *client.Client, w waiting, kind deployment.Kind, name, op string, data any) error {
	return p.send(ctx, c, w, kind, op, w.command(name), data)
}

// send is submit for a command that says more than the flags.
func (p *program) send(ctx context.Context, c *client.Client, w waiting, kind deployment.Kind, op string, cmd client.Command, data any) error {
	pending, err := c.Publish(ctx, kind, op, cmd, data)
	fmt.Fprintf(p.stderr, "command %s: %s %s %s\n", pending.ID, op, kind, cmd.Name)
	if err != nil || w.Async {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	e, err := c.Await(waiting, pending, func(e client.Event) {
		if !e.Outcome.Terminal() {
			fmt.Fprintf(p.stderr, "  %-9s %s\n", e.Outcome, entry{e}.detail())
		}
	})
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return exitf(exitTimeout, "no outcome after %s; the command goes on: see \"slipway events %s\"", w.Timeout, cmd.Name)
	}
	if err != nil {
		return err
	}
	return p.printOutcome(entry{e})
}

// entry is an event of the ledger, as people see it.
type entry struct{ client.Event }

func readEntry(m jetstream.Message) (entry, error) {
	e, err := client.ReadEvent(m)
	return entry{e}, err
}

// detail says in one line what the event is about.
func (e entry) detail() string {
	switch e.Outcome {
	case events.Started:
		return fmt.Sprintf("attempt %d by %s", e.Attempt, e.Worker)
	case events.Validated:
		return fmt.Sprintf("%s: %s", e.Status, e.Message)
	case events.Progress:
		return e.Message
	case events.Retrying:
		return fmt.Sprintf("%s; next attempt at %s", e.Failure.Message, e.NextAt.Format(time.RFC3339))
	case events.Completed:
		return e.completed()
	case events.Rejected, events.Failed:
		return fmt.Sprintf("%s: %s", e.Failure.Code, e.Failure.Message)
	case events.Duplicate:
		return fmt.Sprintf("of command %d, which ended as %s", e.Original.Sequence, e.Original.Outcome)
	case events.Cancelled:
		return fmt.Sprintf("by command %s", e.CancelledBy.ID)
	case events.Expired:
		return "at " + e.ExpiredAt.Format(time.RFC3339)
	case events.Requested:
	}
	return ""
}
