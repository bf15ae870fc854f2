package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/worker"
)

type redriveCmd struct {
	Name     string   `arg:"" help:"Name of the deployment (or model, with --kind model)."`
	Commands []string `arg:"" name:"command" help:"Id or token of a command that failed, was rejected or has expired."`
	Kind     string   `default:"deployment" enum:"deployment,model" help:"Kind of what the commands are for: deployment or model."`
	Wait     waiting  `embed:"" prefix:"command-"`
}

// Run publishes commands again, each under a new id, and waits for the outcome
// of one before it publishes the next. None is published unless all can be.
func (r *redriveCmd) Run(ctx context.Context, p *program) error {
	if _, err := deployment.ParseName(r.Name); err != nil {
		return exitf(exitUsage, "%w", err)
	}
	if r.Wait.ID != "" && len(r.Commands) > 1 {
		return exitf(exitUsage, "--command-id: expected one command, got %d", len(r.Commands))
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	requests := make([]request, len(r.Commands))
	for i, which := range r.Commands {
		if requests[i], err = r.again(ctx, c, which); err != nil {
			return err
		}
	}
	var worst error
	for i, again := range requests {
		err := p.send(ctx, c, r.Wait, deployment.Kind(r.Kind), again.op, again.command, again.data)
		if err != nil && !errors.Is(err, errSaid) {
			return fmt.Errorf("redrive %s: %w", r.Commands[i], err)
		}
		worst = cmp.Or(worst, err)
	}
	return worst
}

// request is a command that is to be published.
type request struct {
	op      string
	command client.Command
	data    any
}

// again is the command with this id or token as it is published again.
func (r *redriveCmd) again(ctx context.Context, c *client.Client, which string) (again request, err error) {
	op, err := r.find(ctx, c, which)
	if err != nil {
		return again, err
	}
	switch op.Outcome {
	case events.Failed, events.Rejected, events.Expired:
	default:
		return again, exitf(exitConflict, "command %s is %s: expected one that failed, was rejected or has expired", which, op.Outcome)
	}
	msg, err := c.Commands.Next(ctx, jetstream.CommandFilter(r.Kind, r.Name), op.Sequence)
	if err != nil {
		return again, err
	}
	if msg.Sequence != op.Sequence {
		return again, exitf(exitNotFound, "command %s, sequence %d, is no longer stored", which, op.Sequence)
	}
	cmd, err := events.ReadCommand(msg.Header, msg.Body)
	if err == nil && jetstream.CommandSubject(cmd.Type.Kind, cmd.Subject, cmd.Type.Op) != msg.Subject {
		err = fmt.Errorf("its type %s and subject %q do not fit NATS subject %s", cmd.Type, cmd.Subject, msg.Subject)
	}
	if err != nil {
		return again, exitf(exitRejected, "command %s, sequence %d, cannot be carried out, however often it is published: %w", which, op.Sequence, err)
	}
	again = request{op: cmd.Type.Op, command: r.Wait.command(cmd.Subject), data: cmd.Data}
	again.command.CorrelationID, again.command.CausationID = cmd.CorrelationID, cmd.ID
	return again, nil
}

// find is what became of the command with this id or token. Ids may look like
// tokens: it is taken for a token first.
func (r *redriveCmd) find(ctx context.Context, c *client.Client, which string) (op worker.OperationView, err error) {
	bucket, err := jetstream.OpenBucket[worker.OperationView](ctx, c.JetStream, jetstream.OperationsBucket)
	if err != nil {
		return op, err
	}
	if isToken(which) {
		op, revision, err := bucket.Load(ctx, which)
		if err != nil || revision > 0 && string(op.Kind) == r.Kind && op.Name == r.Name {
			return op, err
		}
	}
	fold := worker.NewFold()
	if err := c.Ledger.Replay(ctx, jetstream.Span{Filter: jetstream.Fence(r.Kind, r.Name)}, func(m jetstream.Message) error {
		fold.Add(m)
		return nil
	}); err != nil {
		return op, err
	}
	maps.DeleteFunc(fold.Operations, func(token string, op worker.OperationView) bool { return token != which && op.ID != which })
	tokens := slices.Sorted(maps.Keys(fold.Operations))
	switch len(tokens) {
	case 0:
		return op, exitf(exitNotFound, "%s %q has no command with id or token %q; see \"slipway events %[2]s\"", r.Kind, r.Name, which)
	case 1:
		return fold.Operations[tokens[0]], nil
	default:
		return op, exitf(exitConflict, "%d senders have a command with id %q: name it by its token, one of %s", len(tokens), which, strings.Join(tokens, ", "))
	}
}

// isToken reports whether s has the form of a command's token.
func isToken(s string) bool {
	return len(s) == len(events.Token("", "")) && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
