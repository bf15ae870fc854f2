package worker

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// cancelInterval is how often a running command looks for one that cancels it.
const cancelInterval = 500 * time.Millisecond

// notCancelledInQueue is notCancelled for a command that was not tried before.
// One that was may have begun an effect: it is claimed first, so that there is a
// fencing token to take that back with.
func (a *attempt) notCancelledInQueue(ctx context.Context) error {
	if a.number > 1 {
		return nil
	}
	return a.notCancelled(ctx)
}

// notCancelled returns errCancelled when a later command asks for the end of
// this one. Cancelling is the one thing that does not wait for its turn: when
// its turn comes, there is nothing left to cancel.
func (a *attempt) notCancelled(ctx context.Context) error {
	if a.op == handlers.OpCancel || a.digest == "" || a.rec.Who.Kind != deployment.KindDeployment {
		return nil
	}
	subject := jetstream.CommandSubject(string(a.rec.Who.Kind), a.rec.Who.Name, handlers.OpCancel)
	if a.Commands.None(ctx, subject, a.msg.Sequence+1) {
		return nil
	}
	for from := a.msg.Sequence + 1; ; {
		msg, err := a.Commands.Next(ctx, subject, from)
		if err != nil || msg.Sequence == 0 {
			return err
		}
		if by := a.cancelledBy(msg); by != nil {
			a.cancel = by
			return errCancelled
		}
		from = msg.Sequence + 1
	}
}

// cancelledBy is what msg says about this command, if it is a command that
// cancels it: one that would be refused cancels nothing.
func (a *attempt) cancelledBy(msg jetstream.Message) *CancelledBy {
	cmd, err := events.ReadCommand(msg.Header, msg.Body)
	if err != nil || len(msg.Body) > a.MaxCommand {
		return nil
	}
	who, op := AddressOf(msg.Subject)
	if rejectAddress(who, op, cmd) != nil || len(a.Schemas.Check(cmd.Type.String(), cmd.Data)) > 0 {
		return nil
	}
	var data handlers.Cancel
	if json.Unmarshal(cmd.Data, &data) != nil || events.Token(data.Source, data.ID) != a.token {
		return nil
	}
	if a.unproven(cmd) != nil || a.Policy.Permit(deployment.Command{
		Kind: who.Kind, Name: deployment.Name(who.Name), Op: op, By: sender(cmd, a.Actors != nil), Actor: cmd.AuthID,
	}) != nil {
		return nil
	}
	return &CancelledBy{Source: cmd.Source, ID: cmd.ID, Sequence: msg.Sequence}
}

// watchCancel ends ctx with errCancelled once a command cancels this one.
func (a *attempt) watchCancel(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(cancelInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch err := a.notCancelled(ctx); {
		case errors.Is(err, errCancelled):
			cancel(err)
			return
		case err != nil && ctx.Err() == nil:
			a.Log.WarnContext(ctx, "look for a command that cancels", "name", a.rec.Who.Name, "err", err)
		}
	}
}

// outcomeOf is how the command that data is about has ended, "" if there is no
// such command of this deployment before this one.
func (a *attempt) outcomeOf(ctx context.Context, source, id string) (string, error) {
	token := events.Token(source, id)
	if known, found := a.rec.find(token); found {
		return string(known.Outcome), nil
	}
	operation, err := a.Views.Operation(ctx, token)
	if err != nil || operation == nil || !operation.Done || operation.Sequence >= a.msg.Sequence ||
		operation.Kind != a.rec.Who.Kind || operation.Name != a.rec.Who.Name {
		return "", err
	}
	return string(operation.Outcome), nil
}
